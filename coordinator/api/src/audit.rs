//! Who changed what, and who logged in: JSON lines in two files that never outgrow their bounds.
//!
//! What was done and what was refused lie apart, so that nobody can push the one out of the log by failing at the other
//! many times over.

mod trail;

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use self::trail::Trail;
use crate::moment::rfc3339;

/// The most characters of a text that are written down.
const MOST_TEXT: usize = 512;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Rises with every entry; microseconds since 1970 when nothing happens within one.
    pub(crate) id: u64,
    time: String,
    /// Absent: nobody that we know.
    who: Option<String>,
    role: Option<String>,
    from: IpAddr,
    action: String,
    target: String,
    /// For how long, why, as what.
    terms: Option<String>,
    outcome: String,
    /// Why it was refused.
    why: Option<String>,
}

/// What is to be written down.
#[derive(Clone, Debug)]
pub(crate) struct Deed {
    pub(crate) who: Option<String>,
    pub(crate) role: Option<&'static str>,
    pub(crate) from: IpAddr,
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) terms: Option<String>,
    /// None: it was done.
    pub(crate) refused: Option<String>,
}

/// A page of the log.
#[derive(Debug, Serialize)]
pub(crate) struct Entries {
    pub(crate) entries: Vec<Entry>,
    pub(crate) cursor: Option<String>,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Audit {
    trails: Mutex<Trails>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Trails {
    last: u64,
    done: Trail,
    refused: Trail,
}

impl Audit {
    /// A log in a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        let trails = Trails {
            last: 0,
            done: Trail::new(folder.join("audit.log")),
            refused: Trail::new(folder.join("refused.log")),
        };
        Self { trails: Mutex::new(trails), lost: AtomicU64::new(0) }
    }

    /// Writes something down. A full disk stops nobody from unblocking an address: what could not be written is counted,
    /// and is in the program's own log.
    pub(crate) fn note(&self, now: OffsetDateTime, deed: Deed) {
        let mut trails = self.trails();
        let micros = u64::try_from(now.unix_timestamp_nanos() / 1_000).unwrap_or(0);
        trails.last = micros.max(trails.last + 1);
        let done = deed.refused.is_none();
        let entry = entry(trails.last, now, deed);
        let trail = if done { &mut trails.done } else { &mut trails.refused };
        if let Err(error) = trail.append(&entry) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, ?entry, "the audit log cannot be written");
        }
    }

    /// Entries that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The entries below an id that are wanted, the newest first. Reads files.
    pub(crate) fn read(&self, below: u64, limit: usize, wanted: impl Fn(&Entry) -> bool) -> Entries {
        let (done, refused) = {
            let trails = self.trails();
            (trails.done.files(), trails.refused.files())
        };
        let mut entries = trail::newest(&done, below, limit + 1, &wanted);
        entries.extend(trail::newest(&refused, below, limit + 1, &wanted));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        let more = entries.len() > limit;
        entries.truncate(limit);
        let cursor = entries.last().filter(|_| more).map(|entry| entry.id.to_string());
        Entries { entries, cursor }
    }

    fn trails(&self) -> std::sync::MutexGuard<'_, Trails> {
        self.trails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    pub(crate) fn who(&self) -> Option<&str> {
        self.who.as_deref()
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }
}

fn entry(id: u64, now: OffsetDateTime, deed: Deed) -> Entry {
    Entry {
        id,
        time: rfc3339(now),
        who: deed.who,
        role: deed.role.map(str::to_owned),
        from: deed.from,
        action: deed.action.to_owned(),
        target: short(&deed.target),
        terms: deed.terms.as_deref().map(short),
        outcome: if deed.refused.is_none() { "done" } else { "refused" }.to_owned(),
        why: deed.refused.as_deref().map(short),
    }
}

fn short(text: &str) -> String {
    text.chars().take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn deed(who: &str, refused: Option<&str>) -> Deed {
        Deed {
            who: Some(who.to_owned()),
            role: Some("admin"),
            from: IpAddr::from([192, 0, 2, 1]),
            action: "block",
            target: "203.0.113.7/32".into(),
            terms: None,
            refused: refused.map(str::to_owned),
        }
    }

    #[test]
    fn pages_follow_one_another_and_both_files_are_one_log() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(folder.path());
        for number in 0..5 {
            let refused = (number % 2 == 1).then_some("no certificate");
            audit.note(START, deed(&number.to_string(), refused)); // all in one microsecond
        }
        let who = |entries: &Entries| {
            entries.entries.iter().map(|entry| entry.who.clone().unwrap()).collect::<String>()
        };
        let first = audit.read(u64::MAX, 3, |_| true);
        assert_eq!(who(&first), "432");
        let second = audit.read(first.cursor.unwrap().parse().unwrap(), 3, |_| true);
        assert_eq!((who(&second), second.cursor), ("10".to_owned(), None));
        assert_eq!(who(&audit.read(u64::MAX, 9, |entry| entry.why.is_some())), "31");
    }

    #[test]
    fn refusals_never_push_out_what_was_done_and_the_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(folder.path());
        audit.note(START, deed("ada", None));
        let long = "x".repeat(MOST_TEXT);
        let times = trail::MOST_BYTES * (trail::KEPT as u64 + 2) / 600;
        (0..times).for_each(|_| audit.note(START, deed("bob", Some(&long))));
        let size: u64 = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert!(size <= trail::MOST_BYTES * (trail::KEPT as u64 + 1) + 1_000, "{size}");
        assert!(size > trail::MOST_BYTES * trail::KEPT as u64, "it came to the bound: {size}");
        assert_eq!(audit.read(u64::MAX, 1, |entry| entry.who() == Some("ada")).entries.len(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_a_damaged_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(&folder.path().join("later"));
        audit.note(START, deed("ada", None));
        assert_eq!(audit.lost(), 1);
        std::fs::create_dir(folder.path().join("later")).unwrap();
        std::fs::write(folder.path().join("later/audit.log"), b"{half a li\xff\n").unwrap();
        audit.note(START, deed("bob", None));
        assert_eq!(audit.read(u64::MAX, 9, |_| true).entries.len(), 1);
    }
}
