//! From a feed's bytes to prefixes: a line at a time, and every line that is none is counted.

mod elements;
mod table;

use std::{fmt, str::FromStr};

use smartfw_core::{IpNet, prefix};
use thiserror::Error;

/// The most entries of one feed: the largest public lists have a hundred thousand.
pub const ENTRIES: usize = 200_000;

/// A longer line is none of a list, bytes.
const LINE: usize = 4096;

/// Bytes of an unreadable line that are shown to a person.
const SHOWN: usize = 60;

/// Columns and keys have names of at most so many bytes.
const NAME: usize = 64;

/// How a feed is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// An address or prefix at the beginning of each line; comments begin with `#` or `;`.
    Plain,
    /// A table whose first line names the columns.
    CsvNamed(String),
    /// A table; the column is counted from 1.
    CsvNumbered(usize),
    /// A JSON array or JSON lines, of texts, or of objects with this key.
    Json(Option<String>),
}

/// There is no such form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownFormat;

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let (kind, name) = text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        let fits = |name: &&str| !name.is_empty() && name.len() <= NAME && !name.contains(char::is_control);
        match (kind, name) {
            ("plain", None) => Ok(Self::Plain),
            ("json", None) => Ok(Self::Json(None)),
            ("json", Some(key)) if fits(&key) => Ok(Self::Json(Some(key.to_owned()))),
            ("csv", Some(column)) => match column.parse() {
                Ok(1..=1000) => Ok(Self::CsvNumbered(column.parse().unwrap_or(1))),
                Ok(_) => Err(UnknownFormat),
                Err(_) if fits(&column) => Ok(Self::CsvNamed(column.to_owned())),
                Err(_) => Err(UnknownFormat),
            },
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::CsvNamed(column) => write!(f, "csv:{column}"),
            Self::CsvNumbered(column) => write!(f, "csv:{column}"),
            Self::Json(None) => f.write_str("json"),
            Self::Json(Some(key)) => write!(f, "json:{key}"),
        }
    }
}

/// What a feed says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// What it lists, in its order, repetitions included.
    pub nets: Vec<IpNet>,
    /// Lines, rows or elements that are no address.
    pub unreadable: usize,
    /// The first of them, cut.
    pub example: Option<String>,
}

/// A feed that is not of its form at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unparsed {
    /// It has more entries than a feed may.
    #[error("it has more than {ENTRIES} entries")]
    TooMany,
    /// The table has no such column.
    #[error("its first line names no column `{0}`")]
    NoColumn(String),
    /// It is no JSON.
    #[error("it is no JSON: {0}")]
    NoJson(String),
}

/// Reads a feed.
///
/// # Errors
/// [`Unparsed`]: why nothing of it can be used.
pub fn parse(bytes: &[u8], format: &Format) -> Result<Parsed, Unparsed> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match format {
        Format::Plain => plain(bytes),
        Format::CsvNamed(column) => table::named(bytes, column),
        Format::CsvNumbered(column) => table::numbered(bytes, *column),
        Format::Json(key) => elements::read(bytes, key.as_deref()),
    }
}

impl Parsed {
    /// Takes what should be an address.
    fn take(&mut self, text: &str) -> Result<(), Unparsed> {
        match net_of(text) {
            Some(_) if self.nets.len() >= ENTRIES => return Err(Unparsed::TooMany),
            Some(net) => self.nets.push(net),
            None => self.miss(text),
        }
        Ok(())
    }

    /// Counts what is no address.
    fn miss(&mut self, text: &str) {
        self.unreadable += 1;
        self.example.get_or_insert_with(|| {
            text.chars().map(|c| if c.is_control() { '?' } else { c }).take(SHOWN).collect()
        });
    }
}

fn plain(bytes: &[u8]) -> Result<Parsed, Unparsed> {
    let mut parsed = Parsed::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(text) = text_of(line) else {
            parsed.miss(&String::from_utf8_lossy(&line[..line.len().min(SHOWN)]));
            continue;
        };
        let entry = text.split(['#', ';']).next().unwrap_or_default();
        // Some lists count reports behind the address.
        if let Some(entry) = entry.split([' ', '\t', ',', '\r']).find(|part| !part.is_empty()) {
            parsed.take(entry)?;
        }
    }
    Ok(parsed)
}

fn text_of(line: &[u8]) -> Option<&str> {
    (line.len() <= LINE).then(|| std::str::from_utf8(line).ok()).flatten()
}

/// An address, a prefix, or an address with a port.
fn net_of(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|socket| prefix::host(socket.ip()));
    prefix::parse_target(text).ok().or_else(with_port)
}

#[cfg(test)]
mod tests;
