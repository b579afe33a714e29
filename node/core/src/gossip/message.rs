//! What members tell each other, and what the driver shall do.

use alloc::{boxed::Box, vec::Vec};
use core::{fmt, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    Time,
    fleet::{Entry, LogId, NodeId, SignedRun, Version},
};

/// Logs that are kept: those of a thousand members and as many that left, with their sites'.
pub const LOGS: usize = 4096;

/// Ranges of one log that a vector lists.
pub const SPANS: usize = 64;

/// Ranges that one pull asks for, and vectors in one message.
pub const WANTS: usize = 1024;

/// Bytes of runs in one answer, and so in flight to one member: nothing queues behind them for long.
pub const FLIGHT: usize = 256 << 10;

/// Runs in one message.
pub const RUNS: usize = 1000;

/// What one member tells another. `R` is [`SignedRun`] on its way out, and
/// [`VerifiedRun`](crate::fleet::VerifiedRun) once its signature was checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<R> {
    /// What I hold, in eight bytes; and what my clock shows.
    Digest {
        /// The sum over all logs that both may see.
        all: u64,
        /// The sender's wall clock.
        wall: Time,
    },
    /// Our digests differ: mine of each log, at most [`LOGS`].
    Summary(Vec<Summary>),
    /// What I hold of the logs that differ; at most [`WANTS`].
    Vectors {
        /// One for each log.
        rows: Vec<Row>,
        /// Whether the receiver shall say what it holds of them.
        answer: bool,
    },
    /// Send me these; at most [`WANTS`]. Answered by one [`Runs`](Self::Runs) of at most [`FLIGHT`] bytes.
    Pull(Vec<Want>),
    /// Runs, new ones or asked for.
    Runs {
        /// At most [`RUNS`], of at most [`FLIGHT`] bytes unless it is a single one.
        runs: Vec<Carried<R>>,
        /// Whether a pull asked for them, and whether there is more that it asked for.
        answers: Option<More>,
    },
    /// Two different runs under one version: their origin lies.
    Proof(Box<(R, R)>),
    /// The kernel of the sender drops what was said under these versions; with the sequences 0 to 0 it takes back that it
    /// drops anything of that log.
    Enforced {
        /// Whose log.
        origin: NodeId,
        /// That of the site, instead of the cluster's.
        site: bool,
        /// The versions.
        span: Span,
    },
}

/// Whether a pull's answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct More(pub bool);

/// A run with what travels beside it unsigned.
#[derive(Clone, Debug, PartialEq)]
pub struct Carried<R> {
    /// The run.
    pub run: R,
    /// How old it is, as far as its carrier knows.
    pub age: Duration,
}

/// The digest of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Which log: the hash of its [`LogId`].
    pub tag: u64,
    /// The sum over its runs.
    pub digest: u64,
}

/// What a member holds of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which log.
    pub tag: u64,
    /// Its digest.
    pub digest: u64,
    /// Nothing below it lives.
    pub floor: Version,
    /// Its origin was found lying: the sender has the proof and takes nothing more of it.
    pub quarantined: bool,
    /// What is held, in order; at most [`SPANS`]. Where there is more, any of it.
    pub spans: Vec<Span>,
}

/// Entries `from..=to` of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The epoch.
    pub epoch: u64,
    /// The first sequence.
    pub from: u64,
    /// The last one.
    pub to: u64,
}

/// Entries that a member asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Of which log.
    pub tag: u64,
    /// Which.
    pub span: Span,
}

impl<R> Message<R> {
    /// The same message with every run converted; runs that convert to none are left out, and so is a proof without
    /// both of its runs.
    pub fn convert<S>(self, mut convert: impl FnMut(R) -> Option<S>) -> Option<Message<S>> {
        Some(match self {
            Self::Digest { all, wall } => Message::Digest { all, wall },
            Self::Summary(all) => Message::Summary(all),
            Self::Vectors { rows, answer } => Message::Vectors { rows, answer },
            Self::Pull(wants) => Message::Pull(wants),
            Self::Runs { runs, answers } => {
                let carried = |Carried { run, age }| Some(Carried { run: convert(run)?, age });
                Message::Runs { runs: runs.into_iter().filter_map(carried).collect(), answers }
            }
            Self::Proof(runs) => {
                let (one, other) = *runs;
                Message::Proof(Box::new((convert(one)?, convert(other)?)))
            }
            Self::Enforced { origin, site, span } => Message::Enforced { origin, site, span },
        })
    }
}

/// The number of something to keep: the store says up to which one it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What the driver shall do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// An origin says something that lives: a block or an order. Also what this member says itself.
    Apply {
        /// Whose log.
        log: LogId,
        /// Under which version; a block replaces what the same log said of its target.
        version: Version,
        /// What it says.
        entry: Entry,
        /// How long it is still to live; `None` for ever.
        remaining: Option<Duration>,
    },
    /// What this log said of the target up to this version is void.
    Void {
        /// Whose log.
        log: LogId,
        /// Of which target.
        target: IpNet,
        /// Up to which version.
        upto: Version,
        /// Why.
        why: Voided,
    },
    /// Keep this on disk; [`Gossip::handle_persisted`](super::Gossip::handle_persisted) once it is there.
    Persist(Ticket, Kept),
    /// Tell a member, on its stream; one is opened where there is none.
    Send(NodeId, Message<SignedRun>),
    /// Keep streams to exactly these members open.
    Neighbours(Vec<NodeId>),
    /// A member's kernel drops what was said under these versions, or, with the sequences 0 to 0, nothing of that log.
    Enforced {
        /// Who says so.
        member: NodeId,
        /// Whose log.
        origin: NodeId,
        /// That of the site, instead of the cluster's.
        site: bool,
        /// The versions.
        span: Span,
    },
    /// Something that a person should know.
    Report(Report),
}

/// Why entries are void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voided {
    /// The origin said something later, which is over already.
    Superseded,
    /// The origin took it back.
    Withdrawn,
    /// The origin raised its floor.
    Floor,
    /// The origin was found lying.
    Quarantined,
    /// The origin was expelled.
    Revoked,
}

/// What the store keeps of the logs: the last of each key, until it is gone. All of it is given back to
/// [`Gossip::restore`](super::Gossip::restore) at the next start, in any order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Sequences that this member may use; one record.
    Reserved(Reserved),
    /// A run; its key is log and version of the first entry.
    Run {
        /// The log.
        log: LogId,
        /// The version of the first entry.
        version: Version,
        /// The run.
        run: SignedRun,
        /// How old it is now. The store adds what passes until it gives it back.
        age: Duration,
    },
    /// A run is kept no more.
    Gone {
        /// The log.
        log: LogId,
        /// The version of the first entry.
        version: Version,
    },
    /// What of a log is over and gone; its key is the log. Who brings it back is not heard.
    Over {
        /// The log.
        log: LogId,
        /// What is over.
        spans: Vec<Span>,
    },
    /// A log was found lying; its key is the log. Its runs are gone.
    Proof {
        /// The log.
        log: LogId,
        /// The runs that prove it.
        runs: Box<(SignedRun, SignedRun)>,
    },
}

/// The sequences that this member has reserved: every version up to here counts as used after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The epoch.
    pub epoch: u64,
    /// In the cluster's log, the last sequence reserved.
    pub cluster: u64,
    /// In the site's log, the last sequence reserved.
    pub site: u64,
}

/// What a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Somebody knew a later version of this member than itself: its store was restored, or another runs with its key.
    EpochRaised {
        /// The epoch until now.
        from: u64,
        /// The epoch from now on.
        to: u64,
    },
    /// No higher epoch is left: this member needs a new key.
    EpochsUsedUp,
    /// An origin signed two different runs under one version, and is quarantined.
    DoubleSigned(LogId),
    /// An origin has said more than is kept of one: what comes more is taken when it has room.
    OverQuota(LogId),
    /// All logs together hold more than is kept, or there are too many: what comes more is taken when there is room.
    Full,
    /// Orders whose carrier was expelled or found lying are too many to be said again: some are lost to who joins later.
    OrdersLost {
        /// How many are said again at most.
        limit: usize,
    },
    /// A member sent what makes no sense.
    Nonsense {
        /// Who.
        member: NodeId,
        /// What, in a word.
        what: &'static str,
    },
    /// A run could not be signed, in the signer's words. It is tried again.
    CannotSign(alloc::string::String),
}

/// Why an entry was not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too much waits for the disk.
    Full {
        /// How many entries may wait.
        limit: usize,
    },
    /// The entry is longer than one may be.
    TooLong {
        /// How many bytes it may have.
        limit: usize,
    },
    /// This member was found to have signed two different runs under one version: it needs a new key.
    Quarantined,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(f, "{limit} entries wait for the disk already"),
            Self::TooLong { limit } => write!(f, "the entry is longer than {limit} bytes"),
            Self::Quarantined => f.write_str("this member's key signed two different runs under one version"),
        }
    }
}

impl core::error::Error for Refused {}
