//! Where values come from, and which one wins.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{ConfigError, Place, raw::Raw};

/// The file that is read when none is named; it may be missing.
pub const DEFAULT_FILE: &str = "/etc/smartfw/node.toml";

/// Environment variables that begin with this are keys: `SMARTFW_NODE__ENFORCEMENT__MODE` is `enforcement.mode`.
pub const ENVIRONMENT_PREFIX: &str = "SMARTFW_NODE__";

/// The largest configuration file in bytes: an allow list of ten thousand prefixes takes half of it.
const MAX_FILE: u64 = 1 << 20;

/// The most drop-ins: each is a file that somebody wrote by hand or a package left.
const MAX_DROP_INS: usize = 256;

/// This process's environment; what is no text names no key.
pub fn environment() -> Vec<(String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

/// Everywhere the configuration may come from, in rising precedence.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named by the person: it must exist. `None`: [`DEFAULT_FILE`], which may be missing.
    pub file: Option<PathBuf>,
    /// The environment, all of it; what does not begin with [`ENVIRONMENT_PREFIX`] is ignored.
    pub environment: Vec<(String, String)>,
    /// Flags given: key, the flag as typed, its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// Reads everything into one table of values.
    pub(crate) fn gather(&self) -> Result<Layers, ConfigError> {
        let file = self.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let mut layers = Layers::default();
        match layers.add_file(&file) {
            Err(ConfigError::Unreadable { source, .. })
                if self.file.is_none() && source.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        for drop_in in drop_ins(&file)? {
            layers.add_file(&drop_in)?;
        }
        layers.add_environment(&self.environment);
        for (key, flag, value) in &self.flags {
            layers.set((*key).to_owned(), Raw::Untyped(value.clone()), Place::Flag((*flag).to_owned()));
        }
        Ok(layers)
    }
}

/// The `*.toml` files in the folder beside `file` that is named like it and `.d`, sorted by name.
fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut folder = file.as_os_str().to_owned();
    folder.push(".d");
    let folder = PathBuf::from(folder);
    let unreadable = |source| ConfigError::Unreadable { path: folder.clone(), source };
    let entries = match fs::read_dir(&folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        result => result.map_err(unreadable)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
        if found.len() > MAX_DROP_INS {
            let source = io::Error::other(format!("more than {MAX_DROP_INS} files"));
            return Err(ConfigError::Unreadable { path: folder, source });
        }
    }
    found.sort();
    Ok(found)
}

/// Every value by its dotted key, each with the place that set it last.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    values: BTreeMap<String, (Raw, Place)>,
}

impl Layers {
    /// What one file says.
    pub(crate) fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let mut layers = Self::default();
        layers.add_file(path)?;
        Ok(layers)
    }

    /// The value of a key, if anybody set it.
    pub(crate) fn get(&self, key: &str) -> Option<&(Raw, Place)> {
        self.values.get(key)
    }

    /// Every key that was set, with its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Raw, &Place)> {
        self.values.iter().map(|(key, (raw, place))| (key.as_str(), raw, place))
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = read_bounded(path)?;
        let place = |offset| Place::File { path: path.to_owned(), line: line_of(&text, offset) };
        let table = DeTable::parse(&text).map_err(|error| ConfigError::Syntax {
            place: place(error.span().map_or(0, |span| span.start)),
            what: error.message().replace('\n', ", "),
        })?;
        self.add_table("", table.get_ref(), &place);
        Ok(())
    }

    fn add_table(&mut self, prefix: &str, table: &DeTable<'_>, place: &impl Fn(usize) -> Place) {
        for (key, value) in table {
            let full = format!("{prefix}{}", quoted(key.get_ref()));
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => {
                    self.add_table(&format!("{full}."), inner, place)
                }
                DeValue::Array(rows)
                    if !rows.is_empty() && rows.iter().all(|row| row.get_ref().is_table()) =>
                {
                    self.set_rows(&full, rows, place);
                }
                leaf => self.set(full, Raw::from_toml(leaf), place(key.span().start)),
            }
        }
    }

    fn set_rows(&mut self, name: &str, rows: &[Spanned<DeValue<'_>>], place: &impl Fn(usize) -> Place) {
        let prefix = format!("{name}.");
        let first = rows.first().map_or(0, |row| row.span().start);
        self.set(name.to_owned(), Raw::Rows(rows.len()), place(first));
        for (row, number) in rows.iter().zip(1..) {
            if let DeValue::Table(keys) = row.get_ref() {
                self.add_table(&format!("{prefix}{number}."), keys, place);
            }
        }
    }

    fn add_environment(&mut self, environment: &[(String, String)]) {
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                self.set(key, Raw::Untyped(value.clone()), Place::Environment(name.clone()));
            }
        }
    }

    fn set(&mut self, key: String, value: Raw, place: Place) {
        if matches!(value, Raw::List(_) | Raw::Rows(_)) {
            // A list takes the place of the one before as a whole, with what was in its tables.
            let prefix = format!("{key}.");
            self.values.retain(|other, _| !other.starts_with(&prefix));
        }
        self.values.insert(key, (value, place));
    }
}

/// A key with a dot inside its quotes must not pass for two.
fn quoted(key: &str) -> String {
    if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() }
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit: MAX_FILE });
    }
    Ok(text)
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}
