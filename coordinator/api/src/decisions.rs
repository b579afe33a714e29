//! The fleet's blocks as decisions of CrowdSec's Local API, and what every bouncer's key has heard of them.
//!
//! Each change has a number. What ended is remembered for a bounded number of ends; a key that has missed some of them, or
//! that we do not know since our start, hears of everything again. What stands is kept on disk, so that a restart neither
//! loses the end of something nor takes a list that is not complete yet for the end of everything.

mod kept;

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use self::kept::Keeper;
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
#[derive(Debug)]
pub(crate) struct Ledger {
    book: Mutex<Book>,
    keeper: Keeper,
}

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

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    /// The change that made or ended it.
    change: u64,
    id: u64,
    target: IpNet,
    class: String,
    /// None: never by itself.
    expires: Option<OffsetDateTime>,
    /// None: it stands.
    ended: Option<OffsetDateTime>,
    /// It is from the disk, and no list since the start has named it.
    restored: bool,
}

impl Ledger {
    /// The decisions as they stood when they were last kept.
    pub(crate) fn open(path: &Path) -> Self {
        let keeper = Keeper::new(path);
        let (change, standing) = keeper.read();
        Self { book: Mutex::new(Book { change, standing, ..Book::default() }), keeper }
    }

    /// What stands.
    pub(crate) fn standing(&self, now: OffsetDateTime, blocks: &Blocks) -> Vec<Decision> {
        let mut book = self.book();
        book.follow(now, blocks);
        book.standing.values().map(|entry| entry.decision(now)).collect()
    }

    /// What stands and bans the whole of `net`. Bouncers ask this for every visitor: it looks at no more than each prefix
    /// that `net` lies in.
    pub(crate) fn banning(&self, now: OffsetDateTime, blocks: &Blocks, net: IpNet) -> Vec<Decision> {
        let mut book = self.book();
        book.follow(now, blocks);
        let prefixes = (0..=net.prefix_len()).filter_map(|length| IpNet::new(net.addr(), length).ok());
        let entries = prefixes.filter_map(|prefix| book.standing.get(&prefix.trunc()));
        entries.map(|entry| entry.decision(now)).collect()
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
        let new = book.standing.values().filter(|entry| heard.is_none() || entry.change > since);
        let ended = book.ends.iter().filter(|end| end.change > since);
        // Ended and begun anew: it stands, and is among the new.
        let deleted = ended.filter(|end| !book.standing.contains_key(&end.target));
        News {
            new: new.map(|entry| entry.decision(now)).collect(),
            deleted: deleted.map(|end| end.decision(now)).collect(),
        }
    }

    /// Keeps what stands, where it changed and was not kept a moment ago. Waits for the disk.
    pub(crate) fn keep(&self, now: OffsetDateTime) {
        self.keeper.keep(now, || {
            let book = self.book();
            (book.change, book.standing.values().cloned().collect())
        });
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
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
        for block in
            blocks.list.iter().filter(|block| block.ban && block.expires.is_none_or(|expires| now < expires))
        {
            let entry = self.entry(before.remove(&block.target), block);
            self.standing.insert(block.target, entry);
        }
        for (target, entry) in before {
            let over = entry.expires.is_some_and(|expires| expires <= now);
            if over || blocks.complete || !entry.restored {
                self.end(entry, now);
            } else {
                self.standing.insert(target, entry);
            }
        }
        self.next_end = self.standing.values().filter_map(|entry| entry.expires).min();
    }

    /// The same decision as before, or one that is new: another end or class makes it another.
    fn entry(&mut self, before: Option<Entry>, block: &Block) -> Entry {
        match before {
            Some(entry) if entry.expires == block.expires && entry.class == block.class => {
                Entry { restored: false, ..entry }
            }
            _ => {
                self.change += 1;
                let (change, target, class) = (self.change, block.target, block.class.clone());
                Entry {
                    change,
                    id: change,
                    target,
                    class,
                    expires: block.expires,
                    ended: None,
                    restored: false,
                }
            }
        }
    }

    fn end(&mut self, entry: Entry, now: OffsetDateTime) {
        self.change += 1;
        if self.ends.len() >= ENDS {
            self.forgotten = self.ends.pop_front().map_or(self.forgotten, |end| end.change);
        }
        let ended = entry.expires.map_or(now, |expires| expires.min(now));
        self.ends.push_back(Entry { change: self.change, ended: Some(ended), ..entry });
    }
}

impl Entry {
    fn decision(&self, now: OffsetDateTime) -> Decision {
        let target = self.target;
        let single = target.prefix_len() == target.max_prefix_len();
        let left = self.ended.or(self.expires).map_or(FOR_EVER, |end| end - now);
        Decision {
            duration: go_duration(left),
            id: self.id,
            origin: origin(&self.class),
            scenario: format!("smartfw/{}", self.class),
            scope: if single { "Ip" } else { "Range" },
            kind: "ban",
            value: if single { target.addr().to_string() } else { target.to_string() },
            target,
        }
    }
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
