//! Models that a person names: a file, or what a node on this host keeps.

use std::path::Path;

use smartfw_learn::{ModelFile, card::is_name};

use crate::failure::Failure;

/// The model file at this path, whoever signed it.
pub(crate) fn open(path: &Path) -> Result<ModelFile, Failure> {
    ModelFile::open(path).map_err(|why| Failure::failed(format!("{} is refused: {why}", path.display())))
}

/// A file, `builtin`, or a model of the node that keeps its state there.
pub(crate) fn named(state_dir: &Path, name: &Path) -> Result<ModelFile, Failure> {
    if name == Path::new("builtin") {
        let built_in = smartfw_learn::builtin().cloned();
        return built_in.ok_or_else(|| Failure::failed("this program was built without a model".to_owned()));
    }
    let kept = name.to_str().filter(|text| is_name(text) && !name.exists());
    kept.map_or_else(|| open(name), |text| open(&state_dir.join(format!("models/{text}.sfwm"))))
}
