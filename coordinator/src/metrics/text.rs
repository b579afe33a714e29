//! Prometheus' text format.

use std::fmt::{Display, Write as _};

/// A page under construction. Names and labels are ours and need no escape.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// A number that only rises.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "counter", &[("", value)]);
    }

    /// A number that rises and falls.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "gauge", &[("", value)]);
    }

    /// Several numbers of one name, told apart by one label: `label="value"`.
    pub(super) fn family<V: Display>(&mut self, name: &str, help: &str, kind: &str, samples: &[(&str, V)]) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP smartfw_coordinator_{name} {help}");
        let _ = writeln!(self.0, "# TYPE smartfw_coordinator_{name} {kind}");
        for (label, value) in samples {
            let label = if label.is_empty() { String::new() } else { format!("{{{label}}}") };
            let _ = writeln!(self.0, "smartfw_coordinator_{name}{label} {value}");
        }
    }

    /// The finished page.
    pub(super) fn finish(self) -> String {
        self.0
    }
}
