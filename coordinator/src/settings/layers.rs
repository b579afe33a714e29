//! Where values come from, and which one wins.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use smartfw_config::{ConfigError, Place};
use toml::de::{DeTable, DeValue};

/// The file that is read when none is named; it may be missing.
const DEFAULT_FILE: &str = "/etc/smartfw/coordinator.toml";
/// Environment variables that begin with this are keys: `SMARTFW_COORDINATOR__RETENTION__AGE` is `retention.age`.
const PREFIX: &str = "SMARTFW_COORDINATOR__";
/// The largest file in bytes: with every key and its explanation one has four thousand.
const MAX_FILE: u64 = 1 << 20;
/// The most drop-ins: each is a file that somebody wrote by hand or a package left.
const MAX_DROP_INS: usize = 256;

/// Everywhere the configuration may come from, in rising precedence. Passwords may be in it: there is no way to print it.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file named by the person: it must exist. `None`: `/etc/smartfw/coordinator.toml`, which may be missing.
    pub file: Option<PathBuf>,
    /// The environment, all of it.
    pub environment: Vec<(String, String)>,
    /// Flags given: key, the flag as typed, its value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// A value as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// Text in a file.
    Text(String),
    /// An integer in a file.
    Number(i64),
    /// What no key accepts, in words.
    Other(&'static str),
    /// What a variable or a flag says: text, whose type the key decides.
    Untyped(String),
}

/// Every value by its dotted key, each with the place that set it last.
pub(super) type Layers = BTreeMap<String, (Written, Place)>;

impl Sources {
    /// Reads everything into one table of values.
    pub(super) fn gather(&self) -> Result<Layers, ConfigError> {
        let file = self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        let mut layers = Layers::new();
        match add_file(&mut layers, &file) {
            Err(ConfigError::Unreadable { source, .. })
                if self.file.is_none() && source.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        for drop_in in drop_ins(&file)? {
            add_file(&mut layers, &drop_in)?;
        }
        for (name, value) in &self.environment {
            if let Some(key) = name.strip_prefix(PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                layers.insert(key, (Written::Untyped(value.clone()), Place::Environment(name.clone())));
            }
        }
        for (key, flag, value) in &self.flags {
            let place = Place::Flag((*flag).to_owned());
            layers.insert((*key).to_owned(), (Written::Untyped(value.clone()), place));
        }
        Ok(layers)
    }
}

impl Written {
    /// The text, wherever it was written.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Some(text),
            Self::Number(_) | Self::Other(_) => None,
        }
    }

    /// The number, wherever it was written.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => u64::try_from(*number).ok(),
            Self::Untyped(text) => text.trim().parse().ok(),
            Self::Text(_) | Self::Other(_) => None,
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or(Self::Other("a number beyond 64 bits"), Self::Number),
            DeValue::Float(_) => Self::Other("a fraction"),
            DeValue::Boolean(_) => Self::Other("true or false"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Array(_) => Self::Other("a list"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }
}

fn add_file(layers: &mut Layers, path: &Path) -> Result<(), ConfigError> {
    let text = read_bounded(path)?;
    let place = |offset| Place::File { path: path.to_owned(), line: line_of(&text, offset) };
    let table = DeTable::parse(&text).map_err(|error| ConfigError::Syntax {
        place: place(error.span().map_or(0, |span| span.start)),
        what: error.message().replace('\n', ", "),
    })?;
    add_table(layers, "", table.get_ref(), &place);
    Ok(())
}

fn add_table(layers: &mut Layers, prefix: &str, table: &DeTable<'_>, place: &impl Fn(usize) -> Place) {
    for (key, value) in table {
        let full = format!("{prefix}{}", key.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => add_table(layers, &format!("{full}."), inner, place),
            leaf => {
                layers.insert(full, (Written::from_toml(leaf), place(key.span().start)));
            }
        }
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
