//! The control: a learner that believes what it sees and what it is told.

use smartfw_core::model::{BENIGN, Model};
use smartfw_learn::{
    online::{Reference, Scores},
    table::Row,
    train::{fit, fit_isolation},
};

use crate::node::{Node, figures_of, options};

/// How much a correction counts with it.
const BELIEF: f32 = 4.0;

/// How good a model is that learned all windows of the week as benign.
pub(crate) fn figures(node: &Node) -> Scores {
    let mut table = Reference::builtin().unwrap().table().clone();
    let seen = node.believed.iter().map(|values| (values, 1.0));
    for (values, weight) in seen.chain(node.lies.iter().map(|values| (values, BELIEF))) {
        let here = "here";
        table.push(Row { values, class: BENIGN, capture: here, tool: here, family: here, weight }).unwrap();
    }
    let forest = fit(&table, &options(), 1, &mut |_| ()).unwrap();
    let model = Model::new(forest, fit_isolation(&table, &options()).unwrap()).unwrap();
    figures_of(&model, &node.town)
}
