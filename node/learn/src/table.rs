//! Rows of features with what is known about each: class, capture, tool, family and weight.

mod bounded;
mod error;
mod read;

use std::collections::BTreeSet;

use smartfw_core::{features::NAMES, model::BENIGN};

pub use error::TableError;
pub use read::{Columns, Limits, Missing, ReadOptions, read, read_file, read_files};

/// A model's node has eight bits for where its feature stands in a row, which has every feature twice.
pub const MAX_FEATURES: usize = 127;
/// A model has no more classes than this.
pub const MAX_CLASSES: usize = 64;
/// More captures, tools or families than this are refused: names are for grouping, and these are no groups.
pub const MAX_NAMES: usize = 1 << 14;
/// A name of more bytes than this is refused.
pub const MAX_NAME: usize = 128;

/// Rows to learn from, and what is known about each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    features: Vec<String>,
    values: Vec<f32>,
    weights: Vec<f32>,
    class: Names,
    capture: Names,
    tool: Names,
    family: Names,
}

/// A name for each row, each name kept once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    names: Vec<String>,
    of: Vec<u16>,
}

/// One row, as it is put into a table.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// A value for each feature; NaN is missing.
    pub values: &'a [f32],
    /// The class: `benign` or an attack's.
    pub class: &'a str,
    /// The run that it was recorded in.
    pub capture: &'a str,
    /// What made the traffic.
    pub tool: &'a str,
    /// The address family.
    pub family: &'a str,
    /// How much it counts; 1 is as much as every other.
    pub weight: f32,
}

impl Table {
    /// A table of windows, without rows.
    pub fn windows() -> Self {
        Self { features: NAMES.map(str::to_owned).to_vec(), ..Self::default() }
    }

    /// A table of other features, without rows.
    ///
    /// # Errors
    /// [`TableError`] when there are none, too many, or two of one name.
    pub fn new(features: Vec<String>) -> Result<Self, TableError> {
        if features.is_empty() || features.len() > MAX_FEATURES {
            return Err(TableError::Features(features.len()));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = features.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(TableError::Twice(twice.clone()));
        }
        Ok(Self { features, ..Self::default() })
    }

    /// Adds a row. What is no attack is called [`BENIGN`], however that is written.
    ///
    /// # Errors
    /// [`TableError`] when it has another width, an infinite value, a weight that is none, or a name too many; the
    /// table is as before then.
    pub fn push(&mut self, row: Row<'_>) -> Result<(), TableError> {
        let Row { values, class, capture, tool, family, weight } = row;
        if values.len() != self.features.len() {
            return Err(TableError::Width { expected: self.features.len(), found: values.len() });
        }
        if let Some(at) = values.iter().position(|value| value.is_infinite()) {
            return Err(TableError::Infinite(self.features[at].clone()));
        }
        if !(weight.is_finite() && weight > 0.0) {
            return Err(TableError::Weight(weight));
        }
        let class = if class.eq_ignore_ascii_case(BENIGN) { BENIGN } else { class };
        // First all that may fail.
        let class_number = self.class.number("class", class, MAX_CLASSES)?;
        let capture_number = self.capture.number("capture", capture, MAX_NAMES)?;
        let tool_number = self.tool.number("tool", tool, MAX_NAMES)?;
        let family_number = self.family.number("family", family, MAX_NAMES)?;
        self.class.put(class_number, class);
        self.capture.put(capture_number, capture);
        self.tool.put(tool_number, tool);
        self.family.put(family_number, family);
        self.values.extend_from_slice(values);
        self.weights.push(weight);
        Ok(())
    }

    /// Adds all rows of another table of the same features.
    ///
    /// # Errors
    /// [`TableError`] when the features differ or there are too many names; rows before the refused one stay.
    pub fn append(&mut self, other: &Self) -> Result<(), TableError> {
        if other.features != self.features {
            return Err(TableError::OtherFeatures);
        }
        (0..other.len()).try_for_each(|row| self.push(other.row(row)))
    }

    /// The rows with these numbers, in this order. Names keep their numbers, also those that no row bears any more.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let width = self.features.len();
        let values = rows.iter().flat_map(|row| &self.values[row * width..(row + 1) * width]);
        Self {
            features: self.features.clone(),
            values: values.copied().collect(),
            weights: rows.iter().map(|row| self.weights[*row]).collect(),
            class: self.class.select(rows),
            capture: self.capture.select(rows),
            tool: self.tool.select(rows),
            family: self.family.select(rows),
        }
    }

    /// The same rows with the classes in a fixed order, `benign` first and the others by name, without those that no
    /// row bears; and the names of those.
    #[must_use]
    pub fn tidy(mut self) -> (Self, Vec<String>) {
        let rows = self.class.counts();
        let (mut kept, dropped): (Vec<usize>, Vec<usize>) =
            (0..self.class.names.len()).partition(|class| rows[*class] > 0);
        kept.sort_by_key(|class| (self.class.names[*class] != BENIGN, &self.class.names[*class]));
        let mut new = vec![0; self.class.names.len()];
        for (to, from) in kept.iter().enumerate() {
            new[*from] = to as u16;
        }
        let dropped = dropped.iter().map(|class| self.class.names[*class].clone()).collect();
        self.class.names = kept.iter().map(|class| self.class.names[*class].clone()).collect();
        self.class.of.iter_mut().for_each(|class| *class = new[usize::from(*class)]);
        (self, dropped)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// One row.
    pub fn row(&self, row: usize) -> Row<'_> {
        Row {
            values: self.values_of(row),
            class: self.class.name_of(row),
            capture: self.capture.name_of(row),
            tool: self.tool.name_of(row),
            family: self.family.name_of(row),
            weight: self.weights[row],
        }
    }

    /// One row's values.
    pub fn values_of(&self, row: usize) -> &[f32] {
        let width = self.features.len();
        &self.values[row * width..(row + 1) * width]
    }

    /// The names of the features, in a row's order.
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// All rows' values, one row after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// How much each row counts.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Each row's class.
    pub fn class(&self) -> &Names {
        &self.class
    }

    /// Each row's capture.
    pub fn capture(&self) -> &Names {
        &self.capture
    }

    /// Each row's tool.
    pub fn tool(&self) -> &Names {
        &self.tool
    }

    /// Each row's address family.
    pub fn family(&self) -> &Names {
        &self.family
    }
}

impl Names {
    /// The names, in the order of their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Each row's number.
    pub fn of(&self) -> &[u16] {
        &self.of
    }

    /// One row's name.
    pub fn name_of(&self, row: usize) -> &str {
        &self.names[usize::from(self.of[row])]
    }

    /// The number of a name.
    pub fn find(&self, name: &str) -> Option<u16> {
        self.names.iter().position(|known| known == name).map(|at| at as u16)
    }

    /// How many rows bear each name.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.names.len()];
        self.of.iter().for_each(|name| counts[usize::from(*name)] += 1);
        counts
    }

    /// The number of a name: that after the last where nobody bears it yet.
    fn number(&self, column: &'static str, name: &str, most: usize) -> Result<u16, TableError> {
        // Rows of one name mostly stand together.
        let last = self.of.last().filter(|last| self.names[usize::from(**last)] == name);
        if let Some(number) = last.copied().or_else(|| self.find(name)) {
            return Ok(number);
        }
        if name.len() > MAX_NAME {
            return Err(TableError::LongName { column });
        }
        if self.names.len() >= most {
            return Err(TableError::ManyNames { column, most });
        }
        Ok(self.names.len() as u16)
    }

    /// Adds a row of this name.
    fn put(&mut self, number: u16, name: &str) {
        if usize::from(number) == self.names.len() {
            self.names.push(name.to_owned());
        }
        self.of.push(number);
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self { names: self.names.clone(), of: rows.iter().map(|row| self.of[*row]).collect() }
    }
}

#[cfg(test)]
mod tests;
