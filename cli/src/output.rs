//! The only place that prints. Nothing that came from outside can reach a terminal as a control sequence.

use std::{
    io::{self, BufWriter, IsTerminal, Stdout, Write},
    sync::OnceLock,
};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use serde_json::Value;
use smartfw_proto::json;

use crate::{
    args::{Format, Global, When},
    failure::Failure,
};

/// Standard output in the form that was asked for.
pub(crate) struct Output {
    pub(crate) format: Format,
    color: bool,
    terminal: bool,
    out: Box<dyn Write>,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = io::stdout().is_terminal();
        let color = match global.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        let out: BufWriter<Stdout> = BufWriter::new(io::stdout());
        Self { format: global.format, color, terminal, out: Box::new(out) }
    }

    /// For tests: into memory, without colours.
    #[cfg(test)]
    pub(crate) fn to(format: Format, bytes: std::rc::Rc<std::cell::RefCell<Vec<u8>>>) -> Self {
        struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        Self { format, color: false, terminal: false, out: Box::new(Shared(bytes)) }
    }

    /// One line of text, cleaned.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{}", clean(text))?;
        Ok(())
    }

    /// One line whose marks are our own; the parts out of data must be cleaned.
    fn marked(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    /// A line that stands out.
    pub(crate) fn headline(&mut self, text: &str, tone: Tone) -> Result<(), Failure> {
        let text = clean(text);
        match (self.color, tone.code()) {
            (true, code) => self.marked(&format!("\u{1b}[1;{code}m{text}\u{1b}[0m")),
            (false, _) => self.marked(&text),
        }
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        json::line(&mut self.out, value)?;
        Ok(())
    }

    /// Tab-separated fields: tabs and line breaks within them are blanks.
    pub(crate) fn raw(&mut self, fields: &[String]) -> Result<(), Failure> {
        let fields: Vec<String> = fields.iter().map(|field| clean(field).into_owned()).collect();
        writeln!(self.out, "{}", fields.join("\t"))?;
        Ok(())
    }

    /// Bytes as they are: manuals and completions, which are our own.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        Ok(())
    }

    /// Everything printed so far goes out.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush()?;
        Ok(())
    }

    /// A table, its lines indented by `indent` blanks.
    pub(crate) fn table(&mut self, grid: Grid, indent: usize) -> Result<(), Failure> {
        let text =
            grid.render(self.color, self.terminal.then(|| terminal_width().saturating_sub(indent as u16)));
        for line in text.lines() {
            let line = format!("{:indent$}{}", "", line.trim_end());
            self.marked(line.trim_end())?;
        }
        Ok(())
    }
}

/// One line on standard error, cleaned. Where it cannot be written nobody can be told, and that is no reason to stop.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "smartfw-cli: {}", clean(text));
}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "39",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
        }
    }

    const fn color(self) -> Option<Color> {
        match self {
            Self::Plain => None,
            Self::Good => Some(Color::Green),
            Self::Warn => Some(Color::Yellow),
            Self::Bad => Some(Color::Red),
        }
    }
}

/// A table: headings, rows of text, and which columns hold numbers.
pub(crate) struct Grid {
    headings: Vec<&'static str>,
    numbers: Vec<usize>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Grid {
    /// A table with these headings; none: no heading line.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), numbers: Vec::new(), rows: Vec::new() }
    }

    /// These columns hold numbers: right-aligned.
    pub(crate) fn numbers(mut self, columns: &[usize]) -> Self {
        self.numbers = columns.to_vec();
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.toned(cells.into_iter().map(|cell| (cell, Tone::Plain)));
    }

    pub(crate) fn toned(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().map(|(cell, tone)| (clean(&cell).into_owned(), tone)).collect());
    }

    /// `width`: the columns that there are; `None` where nobody counts them.
    pub(crate) fn render(self, color: bool, width: Option<u16>) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if color {
            table.enforce_styling()
        } else {
            table.force_no_tty()
        };
        match width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40))
            }
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        let columns = self.headings.len();
        if self.headings.iter().any(|heading| !heading.is_empty()) {
            table.set_header(
                self.headings.iter().map(|heading| Cell::new(heading).add_attribute(Attribute::Bold)),
            );
        }
        for row in self.rows {
            table.add_row(row.into_iter().map(|(text, tone)| match tone.color() {
                Some(color) => Cell::new(text).fg(color),
                None => Cell::new(text),
            }));
        }
        for index in 0..columns {
            if let Some(column) = table.column_mut(index) {
                column.set_padding((0, 2));
                if self.numbers.contains(&index) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.to_string()
    }
}

fn terminal_width() -> u16 {
    static WIDTH: OnceLock<u16> = OnceLock::new();
    *WIDTH.get_or_init(|| Table::new().width().unwrap_or(80))
}

/// `text` without control characters: no terminal does anything else than show it.
pub(crate) fn clean(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(json::is_foul) {
        return text.into();
    }
    let replace = |letter: char| match letter {
        '\t' | '\n' | '\r' => ' ',
        letter if json::is_foul(letter) => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(replace).collect::<String>().into()
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 641286953 as `641.3 MB`.
pub(crate) fn scaled(number: f64, unit: &str) -> String {
    let mut rest = number;
    for prefix in ["", "k", "M", "G", "T"] {
        if rest.abs() < 999.95 {
            let digits = usize::from(!prefix.is_empty());
            return format!("{rest:.digits$} {prefix}{unit}");
        }
        rest /= 1000.0;
    }
    format!("{rest:.1} P{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_sequence_gets_through() {
        assert_eq!(clean("red \u{1b}[31mtext\u{7}"), "red \u{fffd}[31mtext\u{fffd}");
        assert_eq!(clean("two\nlines\tand a tab"), "two lines and a tab");
        assert_eq!(clean("\u{9b}31m\u{202e}evil"), "\u{fffd}31m\u{fffd}evil");
        assert_eq!(clean("plain ü"), "plain ü");
    }

    #[test]
    fn a_table_is_aligned_and_ends_without_blanks() {
        let mut grid = Grid::new(&["TARGET", "PACKETS"]).numbers(&[1]);
        grid.row(["203.0.113.7/32".into(), "5".into()]);
        grid.row(["::1/128".into(), "1,234".into()]);
        let text = grid.render(false, None);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["TARGET          PACKETS", "203.0.113.7/32        5", "::1/128           1,234"]);
    }

    #[test]
    fn a_table_has_colour_only_when_asked() {
        let grid = || {
            let mut grid = Grid::new(&["LEVEL"]);
            grid.toned([("fail\u{1b}[0m".to_owned(), Tone::Bad)]);
            grid
        };
        assert!(!grid().render(false, None).contains('\u{1b}'));
        let colored = grid().render(true, None);
        assert!(colored.contains("\u{1b}[") && colored.contains("fail\u{fffd}[0m"), "{colored:?}");
    }

    #[test]
    fn numbers_are_grouped_and_scaled() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_534_760), "1,534,760");
        assert_eq!(scaled(999.0, "B"), "999 B");
        assert_eq!(scaled(641_286_953.0, "B"), "641.3 MB");
        assert_eq!(scaled(999_960.0, "bit/s"), "1.0 Mbit/s");
    }
}
