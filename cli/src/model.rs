//! Models that a person names: a file that is there or is to be, what a node on this host keeps, or what came with the
//! program.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

use smartfw_learn::{FileError, ModelFile, card::is_name};

use crate::failure::Failure;

/// The model file at this path, whoever signed it.
pub(crate) fn open(path: &Path) -> Result<ModelFile, Failure> {
    ModelFile::open(path).map_err(|why| match why {
        FileError::Io(error) => Failure::failed(format!(
            "cannot read {}: {error}; see to the path and its rights",
            path.display()
        )),
        why => Failure::failed(format!("{} is refused: {why}", path.display())),
    })
}

/// Writes a file that must not be there yet, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let cannot = cannot_write(path);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(&cannot)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = fs::remove_file(path);
        cannot(error)
    })
}

/// The system refused to write there.
pub(crate) fn cannot_write(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| {
        let remedy = match error.kind() {
            io::ErrorKind::AlreadyExists => "name another, or remove it first",
            _ => "see to the folder, its rights and the disk",
        };
        Failure::failed(format!("cannot write {path}: {error}; {remedy}"))
    }
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
