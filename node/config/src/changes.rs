//! What differs between two configurations.

use std::collections::BTreeMap;

use crate::{NodeConfig, kinds::Kind, schema, schema::Visitor};

/// The dotted keys whose values differ, sorted.
pub fn changed_keys(before: &NodeConfig, after: &NodeConfig) -> Vec<String> {
    let (before, after) = (shown(before), shown(after));
    after.into_iter().filter(|(key, value)| before.get(key) != Some(value)).map(|(key, _)| key).collect()
}

fn shown(config: &NodeConfig) -> BTreeMap<String, String> {
    let mut shower = Shower::default();
    schema::walk(&mut shower, &mut config.clone());
    shower.values
}

#[derive(Default)]
struct Shower {
    prefix: String,
    values: BTreeMap<String, String>,
}

impl Visitor for Shower {
    fn section(&mut self, name: &'static str, _about: &'static str) {
        self.prefix = format!("{name}.");
    }

    fn item<K: Kind>(&mut self, key: &'static str, _about: &'static str, kind: K, value: &mut K::Value) {
        self.values.insert(format!("{}{key}", self.prefix), kind.show(value));
    }

    fn rows<T: Default>(
        &mut self,
        name: &'static str,
        _about: &'static str,
        _most: usize,
        rows: &mut Vec<T>,
        walk: impl Fn(&mut Self, &mut T),
    ) {
        self.values.insert(name.to_owned(), rows.len().to_string());
        for (row, number) in rows.iter_mut().zip(1..) {
            self.prefix = format!("{name}.{number}.");
            walk(self, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_named() {
        let mut other = NodeConfig::default();
        assert_eq!(changed_keys(&other, &NodeConfig::default()), Vec::<String>::new());
        other.logs.keep += 1;
        other.policy.blast.flow_share -= 1;
        assert_eq!(
            changed_keys(&NodeConfig::default(), &other),
            ["enforcement.blast.flow_share", "logs.keep"]
        );
    }
}
