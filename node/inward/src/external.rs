//! Other detectors' words: lines of JSON that become verdicts, for the node's policy to decide upon.
//!
//! Whoever can write the file can accuse anybody. So nothing in a line chooses more than a source, a class and a
//! confidence; who is protected stays so, blocks are bounded as detection's own are, and so many a minute are heard.

mod eve;
mod events;
mod reading;
mod time;

use std::time::Duration;

use smartfw_core::{Time, Verdict};

use reading::Unheard;

/// An older line says nothing about now: it comes after a restart, or out of a queue.
const STALE: Duration = Duration::from_secs(600);

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Suricata's `eve.json`.
    Suricata,
    /// The alerts of `events.jsonl`, as this program writes them.
    Events,
}

impl Form {
    /// As it stands in reasons and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suricata => "suricata",
            Self::Events => "events",
        }
    }
}

/// What was read of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Verdicts.
    pub verdicts: u64,
    /// Lines about something else than an attack by somebody, which is what most are.
    pub others: u64,
    /// Lines that cannot be read.
    pub unreadable: u64,
    /// Alerts that are too old.
    pub stale: u64,
    /// Alerts beyond what is heard in a minute.
    pub over: u64,
}

/// Reads the lines of one file.
#[derive(Clone, Debug)]
pub struct Listener {
    form: Form,
    heard: Heard,
    per_minute: u32,
    /// Alerts that may be heard now, in nanoseconds of waiting for each.
    credit: Duration,
    counted: Time,
}

impl Listener {
    /// A listener that hears so many alerts a minute.
    pub const fn new(form: Form, per_minute: u32) -> Self {
        let (heard, credit) = (Heard { verdicts: 0, others: 0, unreadable: 0, stale: 0, over: 0 }, MINUTE);
        Self { form, heard, per_minute, credit, counted: Time::ZERO }
    }

    /// What was read since the start.
    pub const fn heard(&self) -> Heard {
        self.heard
    }

    /// Reads a line: a verdict, if it is about an attack by somebody.
    pub fn hear(&mut self, now: Time, line: &[u8]) -> Option<Verdict> {
        let read = match self.form {
            Form::Suricata => eve::read(line),
            Form::Events => events::read(line),
        };
        let counter = match read {
            Ok(verdict) if now.since(verdict.at) > STALE => &mut self.heard.stale,
            Ok(verdict) if self.admits(now) => {
                self.heard.verdicts += 1;
                // A clock that is ahead says nothing.
                return Some(Verdict { at: verdict.at.min(now), ..verdict });
            }
            Ok(_) => &mut self.heard.over,
            Err(Unheard::Other) => &mut self.heard.others,
            Err(Unheard::Unreadable) => &mut self.heard.unreadable,
        };
        *counter += 1;
        None
    }

    /// A bucket that holds a minute's alerts.
    fn admits(&mut self, now: Time) -> bool {
        self.credit = self.credit.saturating_add(now.since(self.counted)).min(MINUTE);
        self.counted = now;
        let price = MINUTE / self.per_minute.max(1);
        match self.credit.checked_sub(price) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
