//! Reads layers along the schema: the first mistake wins.

use std::collections::BTreeSet;

use crate::{ConfigError, Place, kinds::Kind, layers::Layers, nearest::nearest, raw::Raw, schema::Visitor};

/// Puts what the layers say where the schema points.
pub(crate) struct Reader<'a> {
    layers: &'a Layers,
    prefix: String,
    known: BTreeSet<String>,
    error: Option<ConfigError>,
}

impl<'a> Reader<'a> {
    /// A reader that has seen nothing of the schema yet.
    pub(crate) fn new(layers: &'a Layers) -> Self {
        Self { layers, prefix: String::new(), known: BTreeSet::new(), error: None }
    }

    /// The first mistake: an unknown key before a wrong value, because a wrong value may follow from it.
    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        let unknown = self.layers.iter().find(|(key, raw, _)| !self.knows(key, raw));
        let Some((key, raw, place)) = unknown else { return self.error.map_or(Ok(()), Err) };
        let (key, place) = (key.to_owned(), place.clone());
        if self.is_section(&key) {
            let (expected, found) = ("a table".to_owned(), raw.to_string());
            return Err(ConfigError::WrongValue { place, key, expected, found });
        }
        let nearest = nearest(&key, self.known.iter().map(String::as_str)).to_owned();
        Err(ConfigError::UnknownKey { place, key, nearest })
    }

    fn knows(&self, key: &str, raw: &Raw) -> bool {
        self.known.contains(key) || (*raw == Raw::Table && self.is_section(key))
    }

    fn is_section(&self, key: &str) -> bool {
        self.known.iter().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
    }
}

impl Reader<'_> {
    fn no_tables(&mut self, name: &str, most: usize, found: String, place: Place) {
        let expected = format!("at most {most} tables [[{name}]]");
        let wrong = ConfigError::WrongValue { place, key: name.to_owned(), expected, found };
        self.error.get_or_insert(wrong);
    }
}

impl Visitor for Reader<'_> {
    fn section(&mut self, name: &'static str, _about: &'static str) {
        self.prefix = format!("{name}.");
    }

    fn item<K: Kind>(&mut self, key: &'static str, _about: &'static str, kind: K, value: &mut K::Value) {
        let full = format!("{}{key}", self.prefix);
        if let Some((raw, place)) = self.layers.get(&full) {
            match kind.parse(raw) {
                Ok(parsed) => *value = parsed,
                Err(found) => {
                    let (place, expected) = (place.clone(), kind.expected());
                    let wrong = ConfigError::WrongValue { place, key: full.clone(), expected, found };
                    self.error.get_or_insert(wrong);
                }
            }
        }
        self.known.insert(full);
    }

    fn rows<T: Default>(
        &mut self,
        name: &'static str,
        _about: &'static str,
        most: usize,
        rows: &mut Vec<T>,
        walk: impl Fn(&mut Self, &mut T),
    ) {
        self.known.insert(name.to_owned());
        // Its keys are known even where it has no table: who misspells its name is told.
        self.prefix = format!("{name}.N.");
        walk(self, &mut T::default());
        let count = match self.layers.get(name) {
            None => 0,
            Some((Raw::Rows(count), place)) => {
                let (count, place) = (*count, place.clone());
                if count > most {
                    self.no_tables(name, most, Raw::Rows(count).to_string(), place);
                }
                count
            }
            Some((Raw::List(none), _)) if none.is_empty() => 0,
            Some((raw, place)) => {
                let (place, found) = (place.clone(), raw.to_string());
                return self.no_tables(name, most, found, place);
            }
        };
        *rows = (1..=count)
            .map(|number| {
                self.prefix = format!("{name}.{number}.");
                let mut row = T::default();
                walk(self, &mut row);
                row
            })
            .collect();
    }
}
