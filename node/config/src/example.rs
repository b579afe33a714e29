//! The commented example: every key with its default, its meaning and what it accepts.

use crate::{NodeConfig, kinds::Kind, schema, schema::Visitor};

/// The commented example configuration. Every value in it is the default, commented out, so that it can be installed
/// as it is.
pub fn example() -> String {
    let mut writer = Writer { text: HEAD.to_owned(), mark: "#" };
    schema::walk(&mut writer, &mut NodeConfig::default());
    writer.text
}

const HEAD: &str = "\
# Configuration of smartfw-node. Every line that begins with `#` and a key shows a default: an empty file protects a host.
# Drop-ins beside this file (node.toml.d/*.toml, sorted) come after it, then environment variables such as
# SMARTFW_NODE__ENFORCEMENT__MODE=manual, then flags. `smartfw-node --check` says what is wrong.
# Durations: \"90s\", \"5m\", \"1h\", \"7d\", or seconds. Sizes: bytes, or \"64MiB\".
";

struct Writer {
    text: String,
    /// What keys begin with: within a table that may be there many times they are no default of anything.
    mark: &'static str,
}

impl Visitor for Writer {
    fn section(&mut self, name: &'static str, about: &'static str) {
        self.text += &format!("\n# {about}\n[{name}]\n");
    }

    fn item<K: Kind>(&mut self, key: &'static str, about: &'static str, kind: K, value: &mut K::Value) {
        self.text += &format!(
            "\n## {about}\n## Must be {}.\n{}{key} = {}\n",
            kind.expected(),
            self.mark,
            kind.show(value)
        );
    }

    fn rows<T: Default>(
        &mut self,
        name: &'static str,
        about: &'static str,
        _most: usize,
        _rows: &mut Vec<T>,
        walk: impl Fn(&mut Self, &mut T),
    ) {
        self.text += &format!("\n# {about}\n# [[{name}]]\n");
        self.mark = "# ";
        walk(self, &mut T::default());
        self.mark = "#";
    }
}
