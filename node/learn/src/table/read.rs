//! Tables out of CSV files, also compressed ones.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use csv::{ErrorKind, StringRecord};
use flate2::bufread::MultiGzDecoder;
use smartfw_core::features::{NAMES, SCHEMA};

use super::{Row, Table, TableError, bounded::Bounded};

/// How a table is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Which columns there are.
    pub columns: Columns,
    /// What becomes of missing and infinite values.
    pub missing: Missing,
    /// How much is read.
    pub limits: Limits,
}

/// Which columns a table has.
#[derive(Clone, Debug, Default)]
pub enum Columns {
    /// The features of a window in their order, then `class,capture,tool,family`, below a line `# schema N`.
    #[default]
    Windows,
    /// Any columns, the names without the blanks around them.
    Named {
        /// The column of the class.
        label: String,
        /// The column of the capture, if there is one.
        capture: Option<String>,
        /// The column of the tool, if there is one.
        tool: Option<String>,
        /// Columns that are no features.
        leave_out: Vec<String>,
    },
}

/// What becomes of values that are missing (empty, `nan`, `?`) or infinite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The table is refused.
    #[default]
    Refuse,
    /// Missing ones stay missing; infinite ones become the largest number.
    Keep,
}

/// How much is read: no table is believed to end by itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes, after unfolding.
    pub bytes: u64,
    /// The most rows.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // The whole of CICIDS2017 has 2.8 million rows in 0.9 GB.
        Self { bytes: 2 << 30, rows: 4 << 20 }
    }
}

/// Reads several files of the same columns as one table.
///
/// # Errors
/// [`TableError`] names the file, and the line and column in it.
pub fn read_files<P: AsRef<Path>>(paths: &[P], options: &ReadOptions) -> Result<Table, TableError> {
    let mut table = Table::default();
    for path in paths {
        let path = path.as_ref();
        let next = read_file(path, options)?;
        if table.features().is_empty() {
            table = next;
        } else {
            table.append(&next).map_err(|error| in_file(path, error))?;
        }
        if table.len() > options.limits.rows {
            return Err(in_file(path, TableError::ManyRows(options.limits.rows)));
        }
    }
    if table.is_empty() { Err(TableError::NoRows) } else { Ok(table) }
}

/// Reads a file, whose name ends in `.gz` when it is compressed.
///
/// # Errors
/// [`TableError`] names the file, and the line and column in it.
pub fn read_file(path: &Path, options: &ReadOptions) -> Result<Table, TableError> {
    let file =
        File::open(path).map_err(|error| TableError::Io { path: path.display().to_string(), error })?;
    let file = BufReader::new(file);
    let table = if path.extension().is_some_and(|extension| extension == "gz") {
        read(BufReader::new(MultiGzDecoder::new(file)), options)
    } else {
        read(file, options)
    };
    table.map_err(|error| in_file(path, error))
}

fn in_file(path: &Path, error: TableError) -> TableError {
    TableError::In { path: path.display().to_string(), error: Box::new(error) }
}

/// Reads a table.
///
/// # Errors
/// [`TableError`] names the line and column.
pub fn read<R: BufRead>(from: R, options: &ReadOptions) -> Result<Table, TableError> {
    let mut from = Bounded::new(from, options.limits.bytes);
    let comments = from.comments().map_err(|error| TableError::Line { line: 1, error })?;
    if matches!(options.columns, Columns::Windows) {
        check_schema(&comments)?;
    }
    let mut lines = csv::Reader::from_reader(from);
    let before = comments.len() as u64;
    let header = lines.headers().map_err(|error| broken(error, before))?.clone();
    lines.get_mut().end_record();
    if header.is_empty() {
        return Err(TableError::NoHeader);
    }
    let layout = Layout::new(&header, &options.columns)?;
    let mut table = Table::new(layout.features.iter().map(|(_, name)| name.clone()).collect())?;
    let (mut record, mut values) = (StringRecord::new(), Vec::new());
    while lines.read_record(&mut record).map_err(|error| broken(error, before))? {
        lines.get_mut().end_record();
        let line = before + record.position().map_or(0, csv::Position::line);
        if table.len() >= options.limits.rows {
            return Err(TableError::ManyRows(options.limits.rows));
        }
        layout.values(&record, line, options.missing, &mut values)?;
        table
            .push(layout.row(&record, &values))
            .map_err(|error| TableError::Row { line, error: Box::new(error) })?;
    }
    if table.is_empty() { Err(TableError::NoRows) } else { Ok(table) }
}

fn check_schema(comments: &[String]) -> Result<(), TableError> {
    let schema = comments.iter().find_map(|comment| comment.strip_prefix("schema "));
    let schema = schema.ok_or(TableError::NoSchema)?.trim();
    if schema == SCHEMA.to_string() { Ok(()) } else { Err(TableError::Schema(shortened(schema))) }
}

fn broken(error: csv::Error, before: u64) -> TableError {
    let line = before + error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            TableError::Fields { line, expected: expected_len as usize, found: len as usize }
        }
        ErrorKind::Io(error) => TableError::Line { line, error },
        ErrorKind::Utf8 { err, .. } => {
            TableError::Line { line, error: io::Error::new(io::ErrorKind::InvalidData, err) }
        }
        kind => TableError::Line { line, error: io::Error::other(format!("{kind:?}")) },
    }
}

/// Where in a line everything is.
struct Layout {
    features: Vec<(usize, String)>,
    class: usize,
    capture: Option<usize>,
    tool: Option<usize>,
    family: Option<usize>,
}

impl Layout {
    fn new(header: &StringRecord, columns: &Columns) -> Result<Self, TableError> {
        match columns {
            Columns::Windows => Self::windows(header),
            Columns::Named { label, capture, tool, leave_out } => {
                let header = distinct(header);
                let find = |name: &String| {
                    let at = header.iter().position(|column| column == name);
                    at.ok_or_else(|| TableError::NoColumn(name.clone()))
                };
                leave_out.iter().try_for_each(|name| find(name).map(drop))?;
                let class = find(label)?;
                let capture = capture.as_ref().map(find).transpose()?;
                let tool = tool.as_ref().map(find).transpose()?;
                let features = header.iter().cloned().enumerate().filter(|(at, name)| {
                    ![Some(class), capture, tool].contains(&Some(*at)) && !leave_out.contains(name)
                });
                Ok(Self { features: features.collect(), class, capture, tool, family: None })
            }
        }
    }

    fn windows(header: &StringRecord) -> Result<Self, TableError> {
        let wanted: Vec<&str> = NAMES.into_iter().chain(["class", "capture", "tool", "family"]).collect();
        for position in 0..wanted.len().max(header.len()) {
            let expected = wanted.get(position).copied().unwrap_or_default();
            let found = header.get(position).unwrap_or_default().trim();
            if expected != found {
                let (expected, found) = (expected.to_owned(), shortened(found));
                return Err(TableError::Column { position: position + 1, expected, found });
            }
        }
        let first = NAMES.len();
        let features = NAMES.iter().map(|name| (*name).to_owned()).enumerate().collect();
        let [capture, tool, family] = [first + 1, first + 2, first + 3].map(Some);
        Ok(Self { features, class: first, capture, tool, family })
    }

    fn values(
        &self,
        record: &StringRecord,
        line: u64,
        missing: Missing,
        values: &mut Vec<f32>,
    ) -> Result<(), TableError> {
        values.clear();
        for (at, name) in &self.features {
            let text = record.get(*at).unwrap_or_default().trim();
            let value = value(text, missing).map_err(|what| TableError::Value {
                line,
                column: name.clone(),
                found: shortened(text),
                what,
            })?;
            values.push(value);
        }
        Ok(())
    }

    fn row<'a>(&self, record: &'a StringRecord, values: &'a [f32]) -> Row<'a> {
        let name = |at: Option<usize>| at.and_then(|at| record.get(at)).unwrap_or_default().trim();
        Row {
            values,
            class: name(Some(self.class)),
            capture: name(self.capture),
            tool: name(self.tool),
            family: name(self.family),
            weight: 1.0,
        }
    }
}

/// The header's names; the second of a name is called `name.1`, the third `name.2`, as pandas does: CICIDS2017 has one
/// column twice.
fn distinct(header: &StringRecord) -> Vec<String> {
    let mut seen = BTreeMap::new();
    let distinct = |name: &str| {
        let before = seen.entry(name.to_owned()).and_modify(|times| *times += 1).or_insert(0);
        if *before == 0 { name.to_owned() } else { format!("{name}.{before}") }
    };
    header.iter().map(str::trim).map(distinct).collect()
}

fn value(text: &str, missing: Missing) -> Result<f32, &'static str> {
    let keep = missing == Missing::Keep;
    if text.is_empty() || text == "?" {
        return if keep { Ok(f32::NAN) } else { Err("missing") };
    }
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(value) if value.is_nan() => {
            if keep {
                Ok(f32::NAN)
            } else {
                Err("missing")
            }
        }
        Ok(value) if keep => Ok(value.clamp(f32::MIN, f32::MAX)),
        Ok(_) => Err("infinite"),
        Err(_) => Err("no number"),
    }
}

/// What a message shows of a text that may be anything.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
