//! What the store keeps of the fleet, in rows of their own.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};
use smartfw_core::{
    Time,
    fleet::{LogId, SignedRun, Version},
    gossip::{Kept, Now, Reserved, Span},
    members::Remembered,
};

use crate::store::{Key, Value, decode, encode};

/// The tables' numbers on disk, behind those of the agent's records: never change one.
const RESERVED: u8 = 64;
const RUN: u8 = 65;
const PROOF: u8 = 66;
const PEER: u8 = 67;
const LIFE: u8 = 68;
const OVER: u8 = 69;

/// Rows of the fleet that may wait for the disk: the runs of a million blocks said one by one, twice, is more than the
/// logs may hold; those of the largest fleet's members beside them.
pub const MOST: usize = 300_000;

/// A row, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// The sequences reserved.
    Reserved(Reserved),
    /// A run, and how old it was when.
    Run(Box<StoredRun>),
    /// A log found lying.
    Proof(LogId, Box<(SignedRun, SignedRun)>),
    /// What of a log is over and gone.
    Over(LogId, Vec<Span>),
    /// A member.
    Peer(Box<Remembered>),
    /// Which life of this node it was.
    Life(u64),
}

/// A run as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRun {
    /// Its log.
    pub log: LogId,
    /// The version of its first entry.
    pub version: Version,
    /// The run.
    pub run: SignedRun,
    /// How old it was.
    pub age: Duration,
    /// When it was so old.
    pub at: Stamp,
}

/// A moment, by the clock that a boot begins and by the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    boot: u128,
    steady: Time,
    wall: Time,
}

/// Tells one boot of the machine from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot(u128);

impl Boot {
    /// The one that we live in.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn this() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        u128::from_str_radix(&digits, 16).map(Self).map_err(io::Error::other)
    }

    /// A moment of it.
    pub const fn stamp(self, now: Now) -> Stamp {
        Stamp { boot: self.0, steady: now.steady, wall: now.wall }
    }
}

impl Stamp {
    /// How much time has passed since: by the clock that does not step where it is the same boot's.
    pub fn passed(&self, boot: Boot, now: Now) -> Duration {
        if self.boot == boot.0 { now.steady.since(self.steady) } else { now.wall.since(self.wall) }
    }
}

#[derive(Serialize, Deserialize)]
struct Bytes {
    bytes: Vec<u8>,
    signature: Vec<u8>,
    certificate: Vec<u8>,
}

impl Bytes {
    fn of(run: &SignedRun) -> Self {
        let SignedRun { bytes, signature, certificate } = run;
        Self { bytes: bytes.to_vec(), signature: signature.to_vec(), certificate: certificate.to_vec() }
    }

    fn run(self) -> Option<SignedRun> {
        let signature = self.signature.try_into().ok()?;
        Some(SignedRun { bytes: self.bytes.into(), signature, certificate: self.certificate.into() })
    }
}

/// Whether a key is one of the fleet's.
pub fn is_fleets(key: &[u8]) -> bool {
    key.first().is_some_and(|table| (RESERVED..=OVER).contains(table))
}

/// The row of something to keep.
pub fn of_kept(kept: &Kept, at: Stamp) -> (Key, Value) {
    match kept {
        Kept::Reserved(reserved) => (vec![RESERVED], Some(encode(reserved))),
        Kept::Run { log, version, run, age } => {
            (run_key(log, *version), Some(encode(&(log, version, Bytes::of(run), age, at))))
        }
        Kept::Gone { log, version } => (run_key(log, *version), None),
        Kept::Over { log, spans } => (log_key(OVER, log), (!spans.is_empty()).then(|| encode(&(log, spans)))),
        Kept::Proof { log, runs } => {
            (log_key(PROOF, log), Some(encode(&(log, Bytes::of(&runs.0), Bytes::of(&runs.1)))))
        }
    }
}

/// The row of a member to remember.
pub fn of_peer(remembered: &Remembered) -> (Key, Value) {
    (peer_key(&remembered.node.0), Some(encode(remembered)))
}

/// The row of a member, gone.
pub fn without_peer(node: &smartfw_core::fleet::NodeId) -> (Key, Value) {
    (peer_key(&node.0), None)
}

/// The row of this node's life.
pub fn of_life(life: u64) -> (Key, Value) {
    (vec![LIFE], Some(encode(&life)))
}

/// Rows that are needed only while this node takes part: gone.
pub fn without_self() -> [(Key, Value); 2] {
    [(vec![RESERVED], None), (vec![LIFE], None)]
}

/// The row, or nothing when it makes no sense.
pub fn read(key: &[u8], value: &[u8]) -> Option<Row> {
    Some(match *key.first()? {
        RESERVED => Row::Reserved(decode(value)?),
        RUN => {
            let (log, version, run, age, at): (LogId, Version, Bytes, Duration, Stamp) = decode(value)?;
            Row::Run(Box::new(StoredRun { log, version, run: run.run()?, age, at }))
        }
        PROOF => {
            let (log, one, other): (LogId, Bytes, Bytes) = decode(value)?;
            Row::Proof(log, Box::new((one.run()?, other.run()?)))
        }
        OVER => {
            let (log, spans) = decode(value)?;
            Row::Over(log, spans)
        }
        PEER => Row::Peer(Box::new(decode(value)?)),
        LIFE => Row::Life(decode(value)?),
        _ => return None,
    })
}

fn run_key(log: &LogId, version: Version) -> Key {
    let mut key = log_key(RUN, log);
    key.extend(version.epoch.to_be_bytes());
    key.extend(version.sequence.to_be_bytes());
    key
}

fn log_key(table: u8, log: &LogId) -> Key {
    let mut key = vec![table];
    key.extend(log.origin.0);
    // A site's name ends where the numbers begin, or the key does: it has no zero byte.
    key.extend(log.site.iter().flat_map(|site| site.bytes().chain([0])));
    key
}

fn peer_key(node: &[u8; 32]) -> Key {
    let mut key = vec![PEER];
    key.extend(node);
    key
}

#[cfg(test)]
mod tests {
    use smartfw_core::{fleet::NodeId, members::MemberState};

    use super::*;

    fn now(seconds: u64) -> Now {
        Now { steady: Time::from_secs(seconds), wall: Time::from_secs(1_000_000 + 2 * seconds) }
    }

    fn run(n: u8) -> SignedRun {
        SignedRun { bytes: vec![n; 5].into(), signature: [n; 64], certificate: vec![n; 3].into() }
    }

    #[test]
    fn every_row_is_read_as_it_was_written() {
        let log = LogId { origin: NodeId([7; 32]), site: Some("here".into()) };
        let (version, age) = (Version { epoch: 3, sequence: 9 }, Duration::from_secs(5));
        let at = Boot(1).stamp(now(10));
        let kept = Kept::Run { log: log.clone(), version, run: run(1), age };
        let (key, value) = of_kept(&kept, at);
        assert!(is_fleets(&key));
        let stored = StoredRun { log: log.clone(), version, run: run(1), age, at };
        assert_eq!(read(&key, &value.unwrap()), Some(Row::Run(stored.into())));
        assert_eq!(of_kept(&Kept::Gone { log: log.clone(), version }, at), (key, None));

        let spans = vec![Span { epoch: 3, from: 1, to: u64::MAX }];
        let (key, value) = of_kept(&Kept::Over { log: log.clone(), spans: spans.clone() }, at);
        assert!(is_fleets(&key));
        assert_eq!(read(&key, &value.unwrap()), Some(Row::Over(log.clone(), spans)));
        assert_eq!(of_kept(&Kept::Over { log: log.clone(), spans: Vec::new() }, at), (key, None));

        let runs = Box::new((run(1), run(2)));
        let (key, value) = of_kept(&Kept::Proof { log: log.clone(), runs: runs.clone() }, at);
        assert_eq!(read(&key, &value.unwrap()), Some(Row::Proof(log, runs)));

        let reserved = Reserved { epoch: 1, cluster: 2, site: 3 };
        let (key, value) = of_kept(&Kept::Reserved(reserved), at);
        assert_eq!(read(&key, &value.unwrap()), Some(Row::Reserved(reserved)));

        let (node, record) = (NodeId([9; 32]), vec![1, 2]);
        let peer = Remembered { node, record, epoch: 4, state: MemberState::Dead, since: Time::from_secs(8) };
        let (key, value) = of_peer(&peer);
        assert_eq!(read(&key, &value.unwrap()), Some(Row::Peer(peer.into())));
        let (key, value) = of_life(77);
        assert_eq!(read(&key, &value.unwrap()), Some(Row::Life(77)));
    }

    #[test]
    fn age_passes_by_the_boots_clock_and_by_the_wall_clock_over_a_reboot() {
        let at = Boot(1).stamp(now(10));
        assert_eq!(at.passed(Boot(1), now(40)), Duration::from_secs(30));
        assert_eq!(at.passed(Boot(2), now(40)), Duration::from_secs(60));
    }
}
