//! `doctor`: is this host able to detect and drop? Each check says ok, warn or fail, and what to do.

mod daemon;
mod files;
mod host;
mod kernel;

use serde_json::json;

use crate::{
    args::{Format, Global},
    failure::Failure,
    output::{Grid, Output, Tone},
};

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    name: &'static str,
    level: Level,
    what: String,
    remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warn,
    Fail,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl Check {
    fn ok(name: &'static str, what: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, what: what.into(), remedy: String::new() }
    }

    fn warn(name: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, what: what.into(), remedy: remedy.into() }
    }

    fn fail(name: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, what: what.into(), remedy: remedy.into() }
    }
}

pub(super) fn run(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let checks = all(global);
    match output.format {
        Format::Json => output.json(&checks.iter().map(to_json).collect())?,
        Format::Raw => checks.iter().try_for_each(|check| {
            let Check { name, level, what, remedy } = check.clone();
            output.raw(&[level.as_str().to_owned(), name.to_owned(), what, remedy])
        })?,
        Format::Human => human(output, &checks)?,
    }
    let failed: Vec<_> = checks.iter().filter(|check| check.level == Level::Fail).collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let Check { name, what, remedy, .. } = first;
    Err(Failure::failed(format!("{} checks failed, the first: {name}: {what}; do: {remedy}", failed.len())))
}

/// Every check, also for `support dump`.
pub(super) fn all(global: &Global) -> Vec<Check> {
    let mut checks = daemon::checks(global);
    checks.extend(kernel::checks());
    checks.extend(host::checks());
    checks.extend(files::checks(global));
    checks
}

pub(super) fn to_json(check: &Check) -> serde_json::Value {
    json!({"check": check.name, "level": check.level.as_str(), "what": check.what, "do": check.remedy})
}

fn human(output: &mut Output, checks: &[Check]) -> Result<(), Failure> {
    let mut grid = Grid::new(&["", "", ""]);
    for Check { name, level, what, remedy } in checks {
        let tone = match level {
            Level::Ok => Tone::Good,
            Level::Warn => Tone::Warn,
            Level::Fail => Tone::Bad,
        };
        let text = if remedy.is_empty() { what.clone() } else { format!("{what}; do: {remedy}") };
        grid.toned([
            (level.as_str().to_owned(), tone),
            ((*name).to_owned(), Tone::Plain),
            (text, Tone::Plain),
        ]);
    }
    output.table(grid, 0)?;
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    output.line("")?;
    output.line(&format!(
        "{} ok, {} warnings, {} failures",
        count(Level::Ok),
        count(Level::Warn),
        count(Level::Fail)
    ))
}

/// A number out of a file of the kernel's.
fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
