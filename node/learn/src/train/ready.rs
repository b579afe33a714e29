//! What a table must be for a model to come of it.

use smartfw_core::model::{
    BENIGN, Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Model, ModelError, Node,
};

use super::{TrainError, TrainOptions, TrainedOn, check, judge::Plan};
use crate::{Card, file::MAX_CARD, table::Table};

/// Whether [`train`](super::train) takes a table, which is soon said.
///
/// # Errors
/// [`TrainError`] says what is wrong with it.
pub fn admit(table: &Table, options: &TrainOptions) -> Result<(), TrainError> {
    Ready::new(table, options).map(drop)
}

/// A table of which a model can come: what would be refused at the end is refused before the work.
pub(super) struct Ready {
    /// With the classes in their order.
    pub(super) table: Table,
    pub(super) trained_on: TrainedOn,
    pub(super) dropped: Vec<String>,
    pub(super) plan: Plan,
}

impl Ready {
    pub(super) fn new(table: &Table, options: &TrainOptions) -> Result<Self, TrainError> {
        let trained_on = TrainedOn::new(table);
        let (table, dropped) = table.clone().tidy();
        check(&table)?;
        if !table.class().names().iter().any(|class| class == BENIGN) {
            return Err(TrainError::NoBenign);
        }
        leaf(&table)?;
        let plan = Plan::new(&table, options);
        let longest = Card::longest(&trained_on, plan.groups().chain(&dropped));
        if longest > MAX_CARD {
            return Err(TrainError::Names(longest));
        }
        Ok(Self { table, trained_on, dropped, plan })
    }
}

/// The least model of a table's features and classes, which is refused for the same as every other.
fn leaf(table: &Table) -> Result<Model, ModelError> {
    let (features, classes) = (table.features().to_vec(), table.class().names().to_vec());
    let mut shares = vec![0; classes.len()];
    shares[0] = u16::MAX;
    let (roots, typical) = (vec![0], vec![0.0; features.len()]);
    let forest = ForestParts {
        features: features.clone(),
        classes,
        roots: roots.clone(),
        nodes: vec![Node::leaf(0.0)],
        shares,
        calibration: Calibration::default(),
    };
    let nodes = vec![Node::leaf(1.0)];
    let isolation = IsolationParts { features, roots, nodes, mean_path: 1.0, threshold: 0.6, typical };
    Model::new(Forest::new(forest)?, IsolationForest::new(isolation)?)
}
