//! Prometheus' text format.

use std::fmt::{Display, Write as _};

/// A page under construction. Label values are escaped; names are ours and need not be.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A number that only rises.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "counter", &[(&[], value)]);
    }

    /// A number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, help, "gauge", &[(&[], value)]);
    }

    /// Several numbers of one name, told apart by labels.
    pub fn family<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        kind: &str,
        samples: &[(&[(&str, &str)], V)],
    ) {
        self.head(name, help, kind);
        for (labels, value) in samples {
            self.sample(name, labels, value);
        }
    }

    /// The two lines before the samples of a name.
    pub fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP smartfw_{name} {help}"));
        self.line(format_args!("# TYPE smartfw_{name} {kind}"));
    }

    /// One sample.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        if labels.is_empty() {
            self.line(format_args!("smartfw_{name} {value}"));
        } else {
            self.line(format_args!("smartfw_{name}{{{}}} {value}", labels.join(",")));
        }
    }

    /// The finished page.
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.counter("packets_total", "Packets seen.", 5);
        page.family(
            "blocks",
            "Blocks.",
            "gauge",
            &[(&[("class", "a\"b")], 1), (&[("class", "c"), ("x", "y")], 2)],
        );
        assert_eq!(
            page.finish(),
            "# HELP smartfw_packets_total Packets seen.\n# TYPE smartfw_packets_total counter\nsmartfw_packets_total 5\n\
             # HELP smartfw_blocks Blocks.\n# TYPE smartfw_blocks gauge\nsmartfw_blocks{class=\"a\\\"b\"} 1\n\
             smartfw_blocks{class=\"c\",x=\"y\"} 2\n"
        );
    }
}
