//! Why a table is refused.

use std::io;

use smartfw_core::features::SCHEMA;

use super::{MAX_FEATURES, MAX_NAME};

/// Why a table, or a row of it, is refused. Lines are counted from 1, comments and the header included.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// A file of several is refused.
    #[error("{path}: {error}")]
    In {
        /// The file.
        path: String,
        /// Why.
        error: Box<Self>,
    },
    /// A line is no line of a table.
    #[error("line {line}: {error}")]
    Line {
        /// The line.
        line: u64,
        /// What is wrong with it.
        error: io::Error,
    },
    /// It has nothing but comments.
    #[error("it is empty: not even a header")]
    NoHeader,
    /// It has a header, and no rows.
    #[error("it has a header and no rows")]
    NoRows,
    /// It does not say which version of the features it has.
    #[error("it lacks the line \"# schema {SCHEMA}\" before its header, which says what its features mean")]
    NoSchema,
    /// Its features mean something else.
    #[error("its features are of schema {0}, and this program has {SCHEMA}: record its windows again")]
    Schema(String),
    /// A column is missing, or another one stands there.
    #[error("column {position} is {found:?}, and should be {expected:?}")]
    Column {
        /// Where, counted from 1.
        position: usize,
        /// What should be there.
        expected: String,
        /// What is there; empty when there is none.
        found: String,
    },
    /// A column that was asked for is not there.
    #[error("it has no column {0:?}")]
    NoColumn(String),
    /// Two columns have one name.
    #[error("two columns are called {0:?}")]
    Twice(String),
    /// It has no features, or more than a model can have.
    #[error("it has {0} features; a model has from 1 to {MAX_FEATURES}")]
    Features(usize),
    /// It has other features than the table that it is to be added to.
    #[error("it has other features, or in another order, than the table before it")]
    OtherFeatures,
    /// A row has another number of values.
    #[error("a row has {found} values, and should have {expected}")]
    Width {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A line has another number of fields than the header.
    #[error("line {line} has {found} fields, and the header {expected}")]
    Fields {
        /// The line.
        line: u64,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A field is no number, or missing or infinite where that is refused.
    #[error("line {line}, column {column:?}: {found:?} is {what}")]
    Value {
        /// The line.
        line: u64,
        /// The column.
        column: String,
        /// What is there, shortened.
        found: String,
        /// What that is.
        what: &'static str,
    },
    /// A value is infinite.
    #[error("a value of {0:?} is infinite")]
    Infinite(String),
    /// A weight is not a finite number above 0.
    #[error("a row's weight is {0}; it should be finite and above 0")]
    Weight(f32),
    /// A line has names that are refused.
    #[error("line {line}: {error}")]
    Row {
        /// The line.
        line: u64,
        /// Why.
        error: Box<Self>,
    },
    /// A name is too long.
    #[error("a name in column {column:?} has more than {most} bytes", most = MAX_NAME)]
    LongName {
        /// The column.
        column: &'static str,
    },
    /// There are too many names.
    #[error("column {column:?} has more than {most} different names")]
    ManyNames {
        /// The column.
        column: &'static str,
        /// How many may be.
        most: usize,
    },
    /// It has more rows than allowed.
    #[error("it has more than {0} rows")]
    ManyRows(usize),
}
