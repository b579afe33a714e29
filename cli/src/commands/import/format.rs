//! What `import` reads: a JSON array, JSON lines, CSV, or one address a line. The first thing in the file tells which.

use std::io::BufRead;

use serde_json::Value;
use smartfw_core::{Class, Strength, Time, order::BlockOrder, prefix::parse_target};
use smartfw_proto::{json::parse_rfc3339, limits};

use super::pieces::Pieces;
use crate::duration::parse_span;

/// A block out of a file, and the line that it stands on.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) line: u64,
    pub(super) order: BlockOrder,
}

/// A line that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) line: u64,
    pub(super) what: String,
}

/// What holds where the file does not say.
#[derive(Clone, Debug)]
pub(super) struct Defaults {
    pub(super) duration: Option<std::time::Duration>,
    pub(super) reason: String,
    pub(super) now: Time,
}

/// The entries of a file, read as a stream.
pub(super) struct Entries<R> {
    pieces: Pieces<R>,
    defaults: Defaults,
    columns: Option<Columns>,
    soft: u64,
}

/// Which CSV column holds what.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    target: usize,
    duration: Option<usize>,
    expires: Option<usize>,
    reason: Option<usize>,
    class: Option<usize>,
}

impl<R: BufRead> Entries<R> {
    pub(super) const fn new(reader: R, defaults: Defaults) -> Self {
        Self { pieces: Pieces::new(reader), defaults, columns: None, soft: 0 }
    }

    /// Soft blocks that were passed over.
    pub(super) const fn soft(&self) -> u64 {
        self.soft
    }

    /// `None` for a line that says nothing: empty, a comment, a heading; and for a soft block.
    fn entry(&mut self, text: &str) -> Option<Result<BlockOrder, String>> {
        let text = text.trim();
        match text.chars().next() {
            None | Some('#' | ';') => None,
            Some('{') => self.object(text.trim_end_matches(',')).transpose(),
            Some(_) if self.columns.is_none() && self.heading(text) => None,
            Some(_) => Some(self.fields(text)),
        }
    }

    fn object(&mut self, text: &str) -> Result<Option<BlockOrder>, String> {
        let value: Value =
            serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
        let said = |key: &str| value.get(key).filter(|value| !value.is_null());
        let string = |key: &str| match said(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(format!("`{key}` is not a string")),
        };
        if string("strength")? == Some(Strength::Soft.as_str()) {
            self.soft += 1;
            return Ok(None);
        }
        let target = string("target")?.or(string("source")?).or(string("ip")?).ok_or("it has no `target`")?;
        let duration = match (string("expires")?, said("duration")) {
            (Some(expires), _) => self.until(expires)?,
            (None, Some(Value::Number(seconds))) => {
                let seconds = seconds.as_u64().ok_or("`duration` is not a number of seconds")?;
                parse_span(&seconds.to_string())?.0
            }
            (None, Some(Value::String(text))) => parse_span(text)?.0,
            (None, Some(_)) => return Err("`duration` is not a number of seconds".to_owned()),
            // An exported block that never ends says so.
            (None, None) if value.get("expires").is_some() => None,
            (None, None) => self.defaults.duration,
        };
        self.order(target, duration, string("reason")?, string("class")?).map(Some)
    }

    fn until(&self, expires: &str) -> Result<Option<std::time::Duration>, String> {
        let at = parse_rfc3339(expires).ok_or("`expires` is not an RFC 3339 time")?;
        if at == Time::NEVER {
            return Ok(None);
        }
        super::remaining(at, self.defaults.now).map(Some).ok_or_else(|| "it has ended already".to_owned())
    }

    /// Takes a line as CSV's heading when its first field is one.
    fn heading(&mut self, text: &str) -> bool {
        let names: Vec<String> = split(text).into_iter().map(|name| name.to_lowercase()).collect();
        let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let Some(target) = find(&["target", "ip", "address", "source", "cidr"]) else { return false };
        self.columns = Some(Columns {
            target,
            duration: find(&["duration", "for", "ttl"]),
            expires: find(&["expires", "until"]),
            reason: find(&["reason", "comment"]),
            class: find(&["class"]),
        });
        true
    }

    /// A line of CSV, or an address with a comment after it. Without a heading the columns are target, duration,
    /// reason.
    fn fields(&self, text: &str) -> Result<BlockOrder, String> {
        let fallback = Columns { target: 0, duration: Some(1), expires: None, reason: Some(2), class: None };
        let columns = self.columns.as_ref().unwrap_or(&fallback);
        let text = if self.columns.is_none() { uncommented(text) } else { text };
        let fields = split(text);
        let field = |at: Option<usize>| {
            at.and_then(|at| fields.get(at)).map(String::as_str).filter(|text| !text.is_empty())
        };
        let target = field(Some(columns.target)).ok_or("it has no target")?;
        let duration = match (field(columns.expires), field(columns.duration)) {
            (Some("null" | "never" | "forever"), _) => None,
            (Some(expires), _) => self.until(expires)?,
            (None, Some(duration)) => parse_span(duration)?.0,
            (None, None) => self.defaults.duration,
        };
        self.order(target, duration, field(columns.reason), field(columns.class))
    }

    fn order(
        &self,
        target: &str,
        duration: Option<std::time::Duration>,
        reason: Option<&str>,
        class: Option<&str>,
    ) -> Result<BlockOrder, String> {
        let shown: String = target.chars().take(60).collect();
        let target =
            parse_target(target.trim()).map_err(|_| format!("{shown:?} is not an address or CIDR"))?;
        let class = match class {
            None => Class::Manual,
            Some(name) => name.parse().map_err(|_| format!("there is no class {name:?}"))?,
        };
        let reason = reason.map_or_else(|| self.defaults.reason.clone(), str::to_owned);
        if reason.len() > limits::TEXT {
            return Err(format!("the reason is longer than {} bytes", limits::TEXT));
        }
        Ok(BlockOrder { target, duration, reason, class, force: false })
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry, Bad>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, piece) = self.pieces.next()?;
            let entry = match piece {
                Ok(text) => self.entry(&text),
                Err(what) => Some(Err(what)),
            };
            match entry {
                None => {}
                Some(Ok(order)) => return Some(Ok(Entry { line, order })),
                Some(Err(what)) => return Some(Err(Bad { line, what })),
            }
        }
    }
}

/// What stands before a comment at the end of the line.
fn uncommented(text: &str) -> &str {
    let end = text.find([' ', '\t']).filter(|&at| text[at..].trim_start().starts_with(['#', ';', '/']));
    end.map_or(text, |end| &text[..end])
}

/// The fields of a line of CSV: commas, and quotes that double themselves.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars().peekable();
    let mut quoted = false;
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => field.push(letter),
        }
    }
    fields.iter().map(|field| field.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests;
