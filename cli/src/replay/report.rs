//! How a replay is told: as it happens, file by file.

use std::path::Path;

use smartfw_proto::json::{self, Summary};

use super::driver::Event;
use crate::{
    args::Format,
    duration::{date, human},
    failure::Failure,
    output::{Grid, Output, Tone, grouped, scaled},
    render,
};

/// The rows of a table that are laid out together; what follows begins a table of its own.
const TABLE: usize = 1000;

/// What one file gave.
pub(super) struct Report<'a> {
    output: &'a mut Output,
    file: String,
    titled: bool,
    several: bool,
    grid: Option<Grid>,
    rows: usize,
}

/// The file's name as it was typed.
pub(super) fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl<'a> Report<'a> {
    pub(super) fn new(output: &'a mut Output, path: &Path, several: bool) -> Self {
        Self { output, file: name(path), titled: false, several, grid: None, rows: 0 }
    }

    /// One alert or block.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Failure> {
        match (self.output.format, event) {
            (Format::Json, Event::Alert(alert)) => {
                self.output.json(&json::with_file(json::alert(alert), &self.file))
            }
            (Format::Json, Event::Block(at, block)) => {
                self.output.json(&json::with_file(json::block(*at, block, 0, 0), &self.file))
            }
            (Format::Raw, event) => self.raw(event),
            (Format::Human, event) => self.row(event),
        }
    }

    fn raw(&mut self, event: &Event) -> Result<(), Failure> {
        let mut fields = vec![self.file.clone()];
        match event {
            Event::Alert(alert) => {
                fields.push("alert".to_owned());
                fields.extend(render::raw_alert(alert));
            }
            Event::Block(at, block) => {
                let (target, class) = (block.target.to_string(), block.class.to_string());
                let ends = block.expires.map_or_else(|| "never".to_owned(), json::rfc3339);
                let strength = block.strength.to_string();
                fields.extend(["block".to_owned(), json::rfc3339(*at), target, class, strength, ends]);
                fields.push(block.reason.clone());
            }
        }
        self.output.raw(&fields)
    }

    fn row(&mut self, event: &Event) -> Result<(), Failure> {
        let plain = |text: String| (text, Tone::Plain);
        let cells = match event {
            Event::Alert(alert) => {
                let note = if alert.note.is_empty() { String::new() } else { format!(" [{}]", alert.note) };
                [
                    plain(date(alert.time)),
                    (alert.action.to_string(), render::action_tone(alert.action)),
                    plain(render::subject(&alert.subject)),
                    plain(alert.class.to_string()),
                    plain(render::percent(alert.confidence)),
                    plain(format!("{}{note}", alert.reason.text)),
                ]
            }
            Event::Block(at, block) => [
                plain(date(*at)),
                (format!("-> {}", block.strength), render::strength_tone(block.strength)),
                plain(block.target.to_string()),
                plain(block.class.to_string()),
                plain(render::percent(block.confidence)),
                plain(format!("dropped {}", render::span(block.expires.map(|end| end.since(*at))))),
            ],
        };
        let headings = ["TIME (UTC)", "WHAT", "WHO", "CLASS", "SURE", "WHY"];
        self.grid.get_or_insert_with(|| Grid::new(&headings).numbers(&[4])).toned(cells);
        self.rows += 1;
        if self.rows == TABLE { self.print() } else { Ok(()) }
    }

    fn print(&mut self) -> Result<(), Failure> {
        self.rows = 0;
        self.title()?;
        match self.grid.take() {
            Some(grid) => self.output.table(grid, 0),
            None => Ok(()),
        }
    }

    fn title(&mut self) -> Result<(), Failure> {
        if self.several && !self.titled {
            self.titled = true;
            self.output.headline(&self.file.clone(), Tone::Plain)?;
        }
        Ok(())
    }

    /// The last word about the file.
    pub(super) fn summary(&mut self, summary: &Summary) -> Result<(), Failure> {
        match self.output.format {
            Format::Human => {
                self.print()?;
                human_summary(self.output, summary)?;
                if self.several { self.output.line("") } else { Ok(()) }
            }
            _ => machine_summary(self.output, summary),
        }
    }
}

/// The last word about several files.
pub(super) fn total(output: &mut Output, total: &Summary) -> Result<(), Failure> {
    match output.format {
        Format::Human => {
            output.headline("All files", Tone::Plain)?;
            human_summary(output, total)
        }
        _ => machine_summary(output, total),
    }
}

fn machine_summary(output: &mut Output, summary: &Summary) -> Result<(), Failure> {
    if output.format == Format::Json {
        return output.json(&json::summary(summary));
    }
    let file = summary.file.clone().unwrap_or_default();
    let numbers = [
        summary.packets,
        summary.bytes,
        summary.malformed,
        summary.sources,
        summary.flows,
        summary.suppressed,
    ];
    let mut fields = vec![file, "summary".to_owned()];
    fields.extend(numbers.map(|number| number.to_string()));
    fields.push(summary.truncated.to_string());
    output.raw(&fields)
}

fn human_summary(output: &mut Output, summary: &Summary) -> Result<(), Failure> {
    let seconds = summary.elapsed.as_secs_f64();
    let rate = if seconds > 0.0 { summary.packets as f64 / seconds } else { 0.0 };
    let took = if seconds < 10.0 { format!("{seconds:.2} s") } else { human(summary.elapsed) };
    let mut text = format!(
        "{} packets, {}, {} sources, {} flows; {} suppressed by would-be blocks, {} malformed; {took}, {}",
        grouped(summary.packets),
        scaled(summary.bytes as f64, "B"),
        grouped(summary.sources),
        grouped(summary.flows),
        grouped(summary.suppressed),
        grouped(summary.malformed),
        scaled(rate, "packets/s"),
    );
    if summary.truncated {
        text.push_str("; TRUNCATED: the file ends in the middle of a packet");
    }
    output.line(&text)
}
