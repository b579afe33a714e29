//! Members that lie: what they send is not what their core said.

use std::{collections::BTreeSet, time::Duration};

use smartfw_core::{
    fleet::{Entry, RunHeader, SignedRun, Verifier, Version},
    gossip::{Carried, Message, More, Row, Span, Want},
};

use super::{
    chance::Chance,
    keys::{Book, Key},
    node::CLUSTER,
};

/// How a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It changes what others said.
    Forge,
    /// It says that what others said is new, or long over.
    Age,
    /// It signs two runs under one version, one for some and one for others.
    Fork,
    /// It says what no numbers are made for.
    Giant,
    /// It claims to hold everything, asks for everything, and answers what nobody asked.
    Boast,
    /// It never answers when it is asked for runs.
    Silent,
}

impl Lie {
    /// Every way to lie.
    pub const ALL: [Self; 6] = [Self::Forge, Self::Age, Self::Fork, Self::Giant, Self::Boast, Self::Silent];

    /// What is sent instead of a message.
    pub fn instead(
        self,
        chance: &mut Chance,
        key: &Key,
        to: usize,
        message: Message<SignedRun>,
    ) -> Vec<Message<SignedRun>> {
        match (self, message) {
            (Self::Silent, Message::Runs { answers: Some(_), .. }) => Vec::new(),
            (Self::Forge | Self::Age | Self::Fork, Message::Runs { runs, answers }) => {
                let runs = runs.into_iter().map(|carried| self.twist(chance, key, to, carried)).collect();
                vec![Message::Runs { runs, answers }]
            }
            (Self::Giant, message) => vec![message, giant(chance, key)],
            (Self::Boast, Message::Vectors { rows, answer }) => {
                vec![Message::Vectors { rows: rows.into_iter().map(boast).collect(), answer }]
            }
            (Self::Boast, message) => vec![message, nonsense(chance)],
            (_, message) => vec![message],
        }
    }

    fn twist(
        self,
        chance: &mut Chance,
        key: &Key,
        to: usize,
        carried: Carried<SignedRun>,
    ) -> Carried<SignedRun> {
        let Carried { mut run, mut age } = carried;
        let Ok(verified) = Book::default().recall(&run) else { return Carried { run, age } };
        let own = verified.header().origin == key.id();
        match self {
            Self::Forge if !own => {
                let mut bytes = run.bytes.to_vec();
                let at = chance.below(bytes.len());
                bytes[at] ^= 1 << chance.below(8);
                run.bytes = bytes.into();
            }
            Self::Age if !own => age = Duration::from_secs(if chance.percent(50) { 0 } else { 40_000 }),
            Self::Fork if own && to == 0 => {
                let mut entries = verified.entries().to_vec();
                entries.iter_mut().for_each(other);
                if let Ok(forked) = key.sign(verified.header().clone(), entries) {
                    run = forked.signed().clone();
                }
            }
            _ => {}
        }
        Carried { run, age }
    }
}

fn other(entry: &mut Entry) {
    if let Entry::Block(block) = entry {
        block.level = block.level.wrapping_add(1);
    }
}

/// A run with numbers at the end of what there is.
fn giant(chance: &mut Chance, key: &Key) -> Message<SignedRun> {
    let numbers = [1, 1 << 48, (1 << 48) + 1, u64::MAX - 1, u64::MAX];
    let (epoch, first) = (numbers[chance.below(5)], numbers[chance.below(5)]);
    let floor = Version { epoch: numbers[chance.below(5)], sequence: numbers[chance.below(5)] };
    let floor = if chance.percent(50) { Version::default() } else { floor };
    let issued = smartfw_core::Time::from_nanos(chance.number());
    let header =
        RunHeader { cluster: CLUSTER.to_owned(), site: None, origin: key.id(), epoch, first, issued, floor };
    let entry = Entry::Unknown {
        kind: 99,
        lasts: Some(Duration::from_nanos(chance.number())),
        bytes: [7; 30].into(),
    };
    let run = key.sign(header, vec![entry]).map(|run| run.signed().clone());
    let age = Duration::from_nanos(chance.number());
    Message::Runs { runs: run.into_iter().map(|run| Carried { run, age }).collect(), answers: None }
}

fn boast(row: Row) -> Row {
    let known = row.spans.iter().map(|span| span.epoch).take(32);
    let epochs: BTreeSet<u64> = known.chain([1, 2, 1 << 40, u64::MAX]).collect();
    Row { spans: epochs.into_iter().map(|epoch| Span { epoch, from: 0, to: u64::MAX }).collect(), ..row }
}

fn nonsense(chance: &mut Chance) -> Message<SignedRun> {
    let span = Span { epoch: chance.number(), from: 0, to: u64::MAX };
    match chance.below(4) {
        0 => Message::Digest { all: chance.number(), wall: smartfw_core::Time::from_nanos(chance.number()) },
        1 => Message::Pull(vec![Want { tag: chance.number(), span }]),
        2 => Message::Runs { runs: Vec::new(), answers: Some(More(true)) },
        _ => {
            let (tag, digest, floor) =
                (chance.number(), chance.number(), Version { epoch: u64::MAX, sequence: 0 });
            Message::Vectors {
                rows: vec![Row { tag, digest, floor, quarantined: true, spans: vec![span] }],
                answer: true,
            }
        }
    }
}
