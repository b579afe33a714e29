//! Which model judges beside the rules.

use std::{path::Path, sync::Arc};

use smartfw_core::model::Model;

use crate::{failure::Failure, model};

/// The model that `--model` names. Whoever signed it: nothing is dropped by a replay.
pub(super) fn read(state_dir: &Path, choice: &Path) -> Result<Option<Arc<Model>>, Failure> {
    if choice == Path::new("none") {
        return Ok(None);
    }
    model::named(state_dir, choice).map(|file| Some(file.model().clone()))
}
