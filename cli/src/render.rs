//! How the domain's things look to a person, in one place for every command.

use std::time::Duration;

use smartfw_core::{Action, Alert, Block, BlockState, Evidence, Strength, Subject, Time};
use smartfw_proto::view::BlockRow;

use crate::{
    duration::{date, human, relative},
    output::{Grid, Tone, grouped, scaled},
};

/// The address, or the service under attack with how many sources were seen.
pub(crate) fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Source(source) => source.to_string(),
        Subject::Destination { service, sources_seen } => {
            format!("{service} (from {} sources)", grouped(*sources_seen))
        }
    }
}

/// `in 4m 12s`, `never`.
pub(crate) fn until(expires: Option<Time>, now: Time) -> String {
    expires.map_or_else(|| "never".to_owned(), |expires| relative(expires, now))
}

/// `5m`, `for ever`.
pub(crate) fn span(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "for ever".to_owned(), |duration| format!("for {}", human(duration)))
}

pub(crate) const fn strength_tone(strength: Strength) -> Tone {
    match strength {
        Strength::Hard => Tone::Bad,
        Strength::Soft => Tone::Warn,
    }
}

pub(crate) const fn action_tone(action: Action) -> Tone {
    match action {
        Action::Block => Tone::Bad,
        Action::RateLimit | Action::Pending => Tone::Warn,
        Action::Report | Action::Protected => Tone::Plain,
    }
}

/// What a class of evidence means.
pub(crate) const fn evidence(evidence: Option<Evidence>) -> &'static str {
    match evidence {
        Some(Evidence::Handshake) => {
            "handshake: the source completed a TCP handshake, or a service vouches for it, so the address is its own"
        }
        Some(Evidence::Spoofable) => {
            "spoofable: these packets could carry a forged address, so what is established already still passes"
        }
        None => "none: there is no single source",
    }
}

/// Whether a block is enforced, in a word or two.
pub(crate) fn state(state: &BlockState) -> String {
    match state {
        BlockState::InForce => "in force".to_owned(),
        BlockState::Shadowed => "another is stronger".to_owned(),
        BlockState::Suspended(by) => format!("suspended: {} ({})", by.why, by.net),
        BlockState::Off => "enforcement is off".to_owned(),
        BlockState::Withheld(why) => format!("not followed: {}", why.text()),
    }
}

/// The table of `blocks`; with `all`, also whether each decides.
pub(crate) struct BlockTable {
    grid: Grid,
    all: bool,
    now: Time,
}

impl BlockTable {
    pub(crate) fn new(all: bool, now: Time) -> Self {
        const HEADINGS: [&str; 10] =
            ["TARGET", "STRENGTH", "CLASS", "ORIGIN", "SINCE", "ENDS", "LEVEL", "PACKETS", "BYTES", "REASON"];
        let mut headings = HEADINGS.to_vec();
        if all {
            headings.push("STATE");
        }
        Self { grid: Grid::new(&headings).numbers(&[6, 7, 8]), all, now }
    }

    pub(crate) fn add(&mut self, row: &BlockRow) {
        let BlockRow { block, packets, bytes, .. } = row;
        let plain = |text: String| (text, Tone::Plain);
        let mut cells = vec![
            plain(block.target.to_string()),
            (block.strength.to_string(), strength_tone(block.strength)),
            plain(block.class.to_string()),
            plain(block.origin.to_string()),
            plain(relative(block.since, self.now)),
            plain(until(block.expires, self.now)),
            plain(block.level.to_string()),
            plain(grouped(*packets)),
            plain(scaled(*bytes as f64, "B")),
            plain(block.reason.clone()),
        ];
        if self.all {
            cells.push(plain(state(&row.state)));
        }
        self.grid.toned(cells);
    }

    pub(crate) fn finish(self) -> Grid {
        self.grid
    }
}

/// The fields of a block in `-o raw`.
pub(crate) fn raw_block(row: &BlockRow) -> Vec<String> {
    let BlockRow { block, packets, bytes, .. } = row;
    vec![
        block.target.to_string(),
        block.class.to_string(),
        block.origin.to_string(),
        block.strength.to_string(),
        smartfw_proto::json::rfc3339(block.since),
        block.expires.map_or_else(|| "never".to_owned(), smartfw_proto::json::rfc3339),
        block.level.to_string(),
        packets.to_string(),
        bytes.to_string(),
        block.id.to_string(),
        block.reason.clone(),
    ]
}

/// The fields of an alert in `-o raw`.
pub(crate) fn raw_alert(alert: &Alert) -> Vec<String> {
    let who = match &alert.subject {
        Subject::Source(source) => source.to_string(),
        Subject::Destination { service, .. } => service.to_string(),
    };
    vec![
        smartfw_proto::json::rfc3339(alert.time),
        who,
        alert.class.to_string(),
        format!("{:.2}", alert.confidence),
        alert.action.to_string(),
        alert.count.to_string(),
        alert.id.to_string(),
        alert.reason.text.clone(),
        alert.note.clone(),
    ]
}

/// The cells of an alert in a table: when, who, what, how sure, done, how often, why.
pub(crate) const ALERT_HEADINGS: [&str; 7] =
    ["TIME (UTC)", "SOURCE", "CLASS", "SURE", "ACTION", "COUNT", "REASON"];

pub(crate) fn alert_cells(alert: &Alert) -> Vec<(String, Tone)> {
    let reason = if alert.note.is_empty() {
        alert.reason.text.clone()
    } else {
        format!("{} [{}]", alert.reason.text, alert.note)
    };
    let plain = |text: String| (text, Tone::Plain);
    vec![
        plain(date(alert.time)),
        plain(subject(&alert.subject)),
        plain(alert.class.to_string()),
        plain(percent(alert.confidence)),
        (alert.action.to_string(), action_tone(alert.action)),
        plain(grouped(alert.count)),
        plain(reason),
    ]
}

/// 0.97 as `97%`.
pub(crate) fn percent(share: f32) -> String {
    format!("{:.0}%", share * 100.0)
}

/// A measured number: whole ones whole, others with the digits that matter.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.1e}");
    }
    if value.fract() == 0.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(value.abs() as u64));
    }
    match value.abs() {
        size if size >= 100.0 => number(value.round()),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

/// `203.0.113.7/32 is blocked (hard) until …`: one line about a block that was just made.
pub(crate) fn blocked(block: &Block) -> String {
    let left = block.remaining(block.since);
    let ends = block.expires.map_or_else(String::new, |at| format!(", until {} UTC", date(at)));
    format!("{} is blocked {}{ends}", block.target, span(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_show_the_digits_that_matter() {
        assert_eq!(number(312.0), "312");
        assert_eq!(number(-3.0), "-3");
        assert_eq!(number(1234.56), "1,235");
        assert_eq!(number(12.345), "12.3");
        assert_eq!(number(0.12345), "0.1235");
        assert_eq!(number(0.000_025_3), "2.5e-5");
        assert_eq!(number(1e300), "1.0e300");
    }

    #[test]
    fn a_block_for_ever_never_ends() {
        assert_eq!(until(None, Time::ZERO), "never");
        assert_eq!(span(None), "for ever");
    }
}
