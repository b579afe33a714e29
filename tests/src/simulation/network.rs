//! Streams between nodes: they delay and break, but while they hold they neither lose nor mix.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::chance::Chance;

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Packets lost, percent: each costs a retransmission.
    pub loss: u8,
    /// Messages that come a second time, percent.
    pub repeats: u8,
    /// Messages that later ones overtake, percent.
    pub overtakes: u8,
    /// Messages after which the connection breaks, per thousand.
    pub breaks: u16,
}

/// One way through a link.
const LEAST: Duration = Duration::from_micros(500);
const MOST: Duration = Duration::from_millis(3);
/// The first retransmission; each that is lost again doubles it.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// Keep-alives find a dead connection after this.
pub(super) const BROKEN_AFTER: Duration = Duration::from_secs(4);
/// The handshakes' own work.
const HANDSHAKE: Duration = Duration::from_millis(3);

/// A stream between two nodes.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Its number: a new one has another.
    pub(super) connection: u64,
    /// Whether it is open; else it is being dialled.
    pub(super) open: bool,
    /// Encoded messages that wait for it to open, each with its sender.
    pub(super) waiting: Vec<(usize, Vec<u8>)>,
    /// What is sent again and again: since when, by whom.
    stalled: Vec<(Duration, usize, Vec<u8>)>,
    /// When the last message arrives at the lower and at the higher end.
    last: [Duration; 2],
}

/// All streams, and which ways are cut.
#[derive(Debug, Default)]
pub struct Network {
    /// The weather.
    pub weather: Weather,
    streams: BTreeMap<(usize, usize), Stream>,
    cut: BTreeSet<(usize, usize)>,
    connections: u64,
}

/// How a message fares.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// It arrives then.
    Arrives(Duration),
    /// It does not, and the stream is found broken then.
    Breaks(Duration),
    /// It is sent again until the way is mended, or the stream is found broken.
    Stalls,
}

impl Network {
    /// The stream between two nodes.
    pub(super) fn stream(&mut self, a: usize, b: usize) -> Option<&mut Stream> {
        self.streams.get_mut(&ends(a, b))
    }

    /// Whether the stream with this number still is.
    pub(super) fn holds(&self, a: usize, b: usize, connection: u64) -> bool {
        self.streams.get(&ends(a, b)).is_some_and(|stream| stream.connection == connection)
    }

    /// Dials; says when the stream opens, or when that is given up.
    pub(super) fn dial(&mut self, chance: &mut Chance, now: Duration, from: usize, to: usize) -> (u64, Fate) {
        self.connections += 1;
        let (connection, last) = (self.connections, [now; 2]);
        self.streams.insert(
            ends(from, to),
            Stream { connection, open: false, waiting: Vec::new(), stalled: Vec::new(), last },
        );
        if self.is_cut(from, to) || self.is_cut(to, from) {
            return (connection, Fate::Breaks(now + Duration::from_secs(1)));
        }
        let ways: Duration = (0..4).map(|_| self.way(chance)).sum();
        (connection, Fate::Arrives(now + ways + HANDSHAKE))
    }

    /// Sends on an open stream.
    pub(super) fn send(&mut self, chance: &mut Chance, now: Duration, from: usize, to: usize) -> Fate {
        if self.is_cut(from, to) {
            return Fate::Stalls;
        }
        if chance.number() % 1000 < u64::from(self.weather.breaks) {
            return Fate::Breaks(now + LEAST);
        }
        let at = now + self.way(chance);
        if chance.percent(self.weather.overtakes) {
            return Fate::Arrives(at + chance.between(Duration::ZERO, RETRANSMIT));
        }
        let Some(stream) = self.streams.get_mut(&ends(from, to)) else { return Fate::Arrives(at) };
        let last = &mut stream.last[usize::from(from < to)];
        *last = at.max(*last + Duration::from_nanos(1));
        Fate::Arrives(*last)
    }

    /// A message does not get through now.
    pub(super) fn stall(&mut self, now: Duration, from: usize, to: usize, bytes: Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(&ends(from, to)) {
            stream.stalled.push((now, from, bytes));
        }
    }

    /// Whether something on a stream does not get through.
    pub(super) fn stalled(&self, a: usize, b: usize) -> bool {
        self.streams.get(&ends(a, b)).is_some_and(|stream| !stream.stalled.is_empty())
    }

    /// Whether there is a stream, or one is being dialled.
    pub(super) fn has(&self, a: usize, b: usize) -> bool {
        self.streams.contains_key(&ends(a, b))
    }

    /// What gets through now that all ways are mended: from, to, connection, when, and what.
    pub(super) fn unstall(
        &mut self,
        chance: &mut Chance,
        now: Duration,
    ) -> Vec<(usize, usize, u64, Duration, Vec<u8>)> {
        let mut through = Vec::new();
        for (&(low, high), stream) in &mut self.streams {
            for (since, from, bytes) in stream.stalled.drain(..) {
                let mut at = since;
                let mut wait = RETRANSMIT;
                while at < now {
                    at += wait;
                    wait *= 2;
                }
                let last = &mut stream.last[usize::from(from == low)];
                *last = (*last + Duration::from_nanos(1)).max(at + chance.between(LEAST, MOST));
                through.push((from, if from == low { high } else { low }, stream.connection, *last, bytes));
            }
        }
        through
    }

    /// The time that a packet takes, with what is lost on the way.
    fn way(&self, chance: &mut Chance) -> Duration {
        let mut way = chance.between(LEAST, MOST);
        let mut wait = RETRANSMIT;
        while chance.percent(self.weather.loss) && wait < BROKEN_AFTER {
            way += wait;
            wait *= 2;
        }
        way
    }

    /// The stream is no more.
    pub(super) fn close(&mut self, a: usize, b: usize) -> Option<Stream> {
        self.streams.remove(&ends(a, b))
    }

    /// The open streams and dials of a node.
    pub(super) fn of(&self, node: usize) -> Vec<(usize, Stream)> {
        let ends = self.streams.iter().filter(|((a, b), _)| *a == node || *b == node);
        ends.map(|((a, b), stream)| (if *a == node { *b } else { *a }, stream.clone())).collect()
    }

    /// Cuts, or mends, the way from one to another.
    pub(super) fn cut(&mut self, from: usize, to: usize, cut: bool) {
        if cut {
            self.cut.insert((from, to));
        } else {
            self.cut.remove(&(from, to));
        }
    }

    /// Mends everything.
    pub(super) fn mend(&mut self) {
        self.cut.clear();
    }

    /// Whether nothing gets from one to another.
    pub(super) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut.contains(&(from, to))
    }
}

const fn ends(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}
