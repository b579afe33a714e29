//! The fleet's blocks as decisions of CrowdSec's Local API, and what every bouncer's key has heard of them.
//!
//! Each change has a number. What ended is remembered for a bounded number of ends; a key that has missed some of them, or
//! that we do not know since our start, hears of everything again. What it did not hear the end of, it forgets when the
//! duration that it was told is over.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use ipnet::IpNet;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::{Block, Blocks, moment::go_duration};

/// Ends that are remembered.
const ENDS: usize = 65_536;
/// Bouncers' keys whose place is remembered: more than there may be tokens.
const KEYS: usize = 1_024;
/// What is told of a block for ever: the Local API has no such thing.
const FOR_EVER: Duration = Duration::days(3_650);

/// A decision, as bouncers read it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Decision {
    duration: String,
    id: u64,
    pub(crate) origin: &'static str,
    pub(crate) scenario: String,
    pub(crate) scope: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    pub(crate) value: String,
    #[serde(skip)]
    pub(crate) target: IpNet,
}

/// What a key has not heard. The Local API writes null for none.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) new: Vec<Decision>,
    pub(crate) deleted: Vec<Decision>,
}

/// The decisions, and who has heard what.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    /// The version of the fleet's list that was read last.
    version: Option<u64>,
    /// The number of the last change.
    change: u64,
    standing: BTreeMap<IpNet, Entry>,
    /// The nearest end by itself.
    next_end: Option<OffsetDateTime>,
    ends: VecDeque<Entry>,
    /// The number of the last end that is not remembered any more.
    forgotten: u64,
    heard: BTreeMap<String, u64>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The change that made or ended it.
    change: u64,
    id: u64,
    block: Arc<Block>,
    until: OffsetDateTime,
}

impl Ledger {
    /// What stands.
    pub(crate) fn standing(&self, now: OffsetDateTime, blocks: &Blocks) -> Vec<Decision> {
        let mut book = self.book();
        book.follow(now, blocks);
        book.standing.values().map(|entry| entry.decision(now)).collect()
    }

    /// What a key has not heard, or everything; from then on it has heard it.
    pub(crate) fn pull(&self, now: OffsetDateTime, blocks: &Blocks, key: &str, startup: bool) -> News {
        let mut book = self.book();
        book.follow(now, blocks);
        let heard = book.heard.get(key).copied().filter(|heard| !startup && *heard >= book.forgotten);
        let since = heard.unwrap_or(0);
        let change = book.change;
        if book.heard.len() >= KEYS && !book.heard.contains_key(key) {
            book.heard.pop_first();
        }
        book.heard.insert(key.to_owned(), change);
        let new =
            book.standing.values().filter(|entry| entry.change > since).map(|entry| entry.decision(now));
        let ended = book.ends.iter().filter(|end| end.change > since);
        // Ended and begun anew: it stands, and is among the new.
        let deleted =
            ended.filter(|end| !book.standing.contains_key(&end.block.target)).map(|end| end.decision(now));
        News { new: new.collect(), deleted: deleted.collect() }
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Reads the fleet's list, where it is another or something in it has ended.
    fn follow(&mut self, now: OffsetDateTime, blocks: &Blocks) {
        if self.version == Some(blocks.version) && self.next_end.is_none_or(|end| now < end) {
            return;
        }
        // A list that is older than the one we know: two bouncers asked at the same time.
        if self.version.is_some_and(|version| blocks.version < version) {
            return;
        }
        self.version = Some(blocks.version);
        let mut before = std::mem::take(&mut self.standing);
        for block in blocks.list.iter().filter(|block| block.expires.is_none_or(|expires| now < expires)) {
            let entry = self.entry(before.remove(&block.target), block, now);
            self.standing.insert(block.target, entry);
        }
        before.into_values().for_each(|entry| self.end(entry, now));
        let ends =
            self.standing.values().filter(|entry| entry.block.expires.is_some()).map(|entry| entry.until);
        self.next_end = ends.min();
    }

    /// The same decision as before, or one that is new: another end, class or origin makes it another.
    fn entry(&mut self, before: Option<Entry>, block: &Arc<Block>, now: OffsetDateTime) -> Entry {
        match before {
            Some(entry) if same(&entry.block, block) => Entry { block: block.clone(), ..entry },
            _ => {
                self.change += 1;
                let until = block.expires.unwrap_or(now + FOR_EVER);
                Entry { change: self.change, id: self.change, block: block.clone(), until }
            }
        }
    }

    fn end(&mut self, entry: Entry, now: OffsetDateTime) {
        self.change += 1;
        if self.ends.len() >= ENDS {
            self.forgotten = self.ends.pop_front().map_or(self.forgotten, |end| end.change);
        }
        self.ends.push_back(Entry { change: self.change, until: entry.until.min(now), ..entry });
    }
}

impl Entry {
    fn decision(&self, now: OffsetDateTime) -> Decision {
        let target = self.block.target;
        let single = target.prefix_len() == target.max_prefix_len();
        let until =
            if self.block.expires.is_none() && self.until > now { now + FOR_EVER } else { self.until };
        Decision {
            duration: go_duration(until - now),
            id: self.id,
            origin: origin(&self.block.class),
            scenario: format!("smartfw/{}", self.block.class),
            scope: if single { "Ip" } else { "Range" },
            kind: "ban",
            value: if single { target.addr().to_string() } else { target.to_string() },
            target,
        }
    }
}

fn same(one: &Block, other: &Block) -> bool {
    (one.expires, &one.class, one.target) == (other.expires, &other.class, other.target)
}

/// The origins that bouncers know, count by and can be told to leave out.
fn origin(class: &str) -> &'static str {
    match class {
        "manual" => "cscli",
        "feed" => "lists",
        _ => "crowdsec",
    }
}

#[cfg(test)]
mod tests;
