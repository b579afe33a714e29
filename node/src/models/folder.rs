//! `<state>/models/`: a file for each model, the node's own key, and `state.json`.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
};

use smartfw_learn::{FileError, KeyError, ModelFile, ModelKey, card::is_name};

use super::ModelsError;
use crate::files;

/// The most models that are kept: with their limit of 64 MiB each, 2 GiB on disk.
pub const MAX_MODELS: usize = 32;
const EXTENSION: &str = ".sfwm";

/// The folder; it need not be there.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where the choice is stored.
    pub(super) fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// The names of the models, sorted; files that somebody else put there beyond the limit are passed over.
    pub(super) fn names(&self) -> Result<Vec<String>, ModelsError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(ModelsError::io(&self.0))?,
        };
        let files = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut names: Vec<String> =
            files.filter_map(|file| file.strip_suffix(EXTENSION).map(str::to_owned)).collect();
        names.retain(|name| is_name(name));
        names.sort();
        names.truncate(MAX_MODELS);
        Ok(names)
    }

    pub(super) fn read(&self, name: &str) -> Result<ModelFile, ModelsError> {
        // Anything else could lead out of the folder.
        if !is_name(name) {
            return Err(ModelsError::NoSuch(name.to_owned()));
        }
        ModelFile::open(&self.path(name)).map_err(|source| match source {
            FileError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                ModelsError::NoSuch(name.to_owned())
            }
            source => ModelsError::File { name: name.to_owned(), source },
        })
    }

    /// Adds a model; `false` when it is there already. The same one again is no mistake, and mends a damaged file.
    pub(super) fn add(&self, name: &str, bytes: &[u8]) -> Result<bool, ModelsError> {
        match self.read(name) {
            Ok(there) if there.as_bytes() == bytes => return Ok(false),
            Ok(_) => return Err(ModelsError::Exists(name.to_owned())),
            Err(ModelsError::NoSuch(_)) if self.names()?.len() >= MAX_MODELS => {
                return Err(ModelsError::Full);
            }
            Err(_) => {}
        }
        self.make()?;
        let path = self.path(name);
        files::replace(&path, bytes).map_err(ModelsError::io(&path)).map(|()| true)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), ModelsError> {
        if !is_name(name) {
            return Err(ModelsError::NoSuch(name.to_owned()));
        }
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ModelsError::NoSuch(name.to_owned()),
            _ => ModelsError::Io { path, source: error },
        })
    }

    /// The node's own key, if it was made.
    pub(super) fn own_key(&self) -> Result<Option<ModelKey>, KeyError> {
        let path = self.0.join("key");
        if path.exists() { ModelKey::load_or_make(&path).map(Some) } else { Ok(None) }
    }

    pub(super) fn make_key(&self) -> Result<ModelKey, ModelsError> {
        self.make()?;
        Ok(ModelKey::load_or_make(&self.0.join("key"))?)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{EXTENSION}"))
    }

    fn make(&self) -> Result<(), ModelsError> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(ModelsError::io(&self.0))
    }
}
