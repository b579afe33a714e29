//! Which model judges beside the rules.

use std::{fs::File, io::Read as _, path::Path, sync::Arc};

use smartfw_core::model::{MAX_BYTES, Model};

use crate::failure::Failure;

/// The model that `--model` names.
pub(super) fn read(choice: &Path) -> Result<Option<Arc<Model>>, Failure> {
    if choice == Path::new("none") {
        return Ok(None);
    }
    let cannot =
        |why: String| Failure::failed(format!("{} cannot be used as a model: {why}", choice.display()));
    let mut bytes = Vec::new();
    let file = File::open(choice).map_err(|error| cannot(error.to_string()))?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| cannot(error.to_string()))?;
    let model = Model::decode(&bytes).map_err(|error| cannot(error.to_string()))?;
    Ok(Some(Arc::new(model)))
}
