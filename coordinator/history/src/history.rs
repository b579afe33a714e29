//! The history, whatever keeps it.

use std::{collections::BTreeMap, future::Future, path::PathBuf, time::Duration};

use smartfw_core::{Time, fleet::NodeId, prefix::canonical_net};

use crate::{BadEvent, Count, Event, Page, Query, query::MOST_TEXT};

/// Events of one call of [`History::append`] at most.
pub const MOST_APPENDED: usize = 1_024;

/// Nodes of which events are kept at most.
pub const MOST_NODES: usize = 16_384;

/// What happened in the fleet. Asynchronous, because those who ask are servers with many connections and Redis is
/// another machine; what is on the own disk is read and written by threads that may wait.
pub trait History: Send + Sync {
    /// Keeps events; when it returns `Ok` they survive any crash. Of each node they come in the order of their counts:
    /// what is not above [`History::last`] is known already and not kept again, so that repeating changes nothing.
    ///
    /// # Errors
    /// When an event is refused, and then none is kept, or when the disk or Redis fails, and then some may be.
    fn append(
        &self,
        now: Time,
        events: Vec<Event>,
    ) -> impl Future<Output = Result<Appended, HistoryError>> + Send;

    /// The events that are wanted, the newest first.
    ///
    /// # Errors
    /// When the disk or Redis fails, or what it holds is damaged.
    fn query(&self, query: Query) -> impl Future<Output = Result<Page, HistoryError>> + Send;

    /// Lets go what is placed longer than `age` before `now`, and the oldest beyond `bytes`. To be called at least once a
    /// day: each call believes the clock to have gone on by two days at most since the call before, or the newest event
    /// when there was none, so that one that is years ahead for a while does not let everything go.
    ///
    /// # Errors
    /// When the disk or Redis fails; what counts is still there.
    fn retain(
        &self,
        now: Time,
        age: Duration,
        bytes: u64,
    ) -> impl Future<Output = Result<(), HistoryError>> + Send;

    /// The highest count that was kept of a node, whether or not the event is still there.
    ///
    /// # Errors
    /// When Redis fails.
    fn last(&self, node: NodeId) -> impl Future<Output = Result<Option<Count>, HistoryError>> + Send;

    /// How much is kept.
    ///
    /// # Errors
    /// When Redis fails.
    fn size(&self) -> impl Future<Output = Result<Size, HistoryError>> + Send;

    /// What in the settings of whatever keeps it endangers what is acknowledged, as sentences for the coordinator's health.
    ///
    /// # Errors
    /// When Redis fails or does not tell.
    fn warnings(&self) -> impl Future<Output = Result<Vec<String>, HistoryError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }
}

/// What became of events that were appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Kept now.
    pub kept: usize,
    /// Known already.
    pub known: usize,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Events.
    pub events: u64,
    /// Bytes on disk, or in the memory of Redis.
    pub bytes: u64,
}

/// Why a history cannot do what it is asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HistoryError {
    /// An event cannot be kept.
    #[error("the event {epoch}-{sequence} of {node} is refused: {why}")]
    Refused {
        /// Whose it is.
        node: NodeId,
        /// The life of its store.
        epoch: u64,
        /// Its number.
        sequence: u64,
        /// What is wrong.
        why: BadEvent,
    },
    /// Too much at once.
    #[error("{given} events at once; {MOST_APPENDED} are allowed: send them in several calls")]
    TooMany {
        /// How many there were.
        given: usize,
    },
    /// There are too many nodes.
    #[error(
        "events of {MOST_NODES} nodes are kept, and {0} is one more; give its fleet a history of its own"
    )]
    TooManyNodes(NodeId),
    /// The text is too long.
    #[error("a text of {0} bytes to look for; {MOST_TEXT} are allowed")]
    LongText(usize),
    /// Another coordinator has it open.
    #[error("{path} is in use by another coordinator; stop that one, or give this one another folder")]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// The work ended before its end: a mistake in this program, or the program is ending.
    #[error(
        "the history's work was broken off: {0}; repeat the call, what was done already is known then, and report it \
         if it happens again"
    )]
    BrokenOff(String),
    /// The disk is full, read-only or gone.
    #[error("{path}: {why}; make room, give access or repair the disk: what was acknowledged is still there")]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
    /// What is on disk makes no sense.
    #[error("{path} is damaged: {why}; move it away, the rest of the history can be read without it")]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What makes no sense.
        why: String,
    },
    /// What is on disk was written by a program of another version.
    #[error(
        "{path} was written by another version, and there is no conversion; move it away, the rest of the history can be \
         read without it"
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
    },
    /// The address of Redis makes no sense.
    #[error(
        "the address of redis: {0}; it is written as redis://HOST:PORT or redis://NAME:PASSWORD@HOST:PORT"
    )]
    Address(String),
    /// Redis cannot be reached or refuses.
    #[error("redis: {0}; when that is mended the call can be repeated, what was done already is known then")]
    Redis(String),
    /// What is in Redis of a node's last makes no sense.
    #[error(
        "the field {node} of {keys}:lasts in redis is damaged: {why}; delete it together with {keys}:events:{node}: that \
         gives up this node's events, the others stay"
    )]
    DamagedLast {
        /// What the cluster's keys begin with.
        keys: String,
        /// The node, as the field is named.
        node: String,
        /// What makes no sense.
        why: String,
    },
    /// An entry in Redis makes no sense.
    #[error(
        "the entry {id} of {key} in redis is damaged; delete it (XDEL {key} {id}), the rest can be read then"
    )]
    DamagedEntry {
        /// The stream.
        key: String,
        /// The entry.
        id: String,
    },
}

/// The events by node, each in the order of its counts.
///
/// # Errors
/// When there are too many or one is not allowed.
pub(crate) fn sorted(events: Vec<Event>) -> Result<BTreeMap<NodeId, Vec<Event>>, HistoryError> {
    if events.len() > MOST_APPENDED {
        return Err(HistoryError::TooMany { given: events.len() });
    }
    let mut nodes: BTreeMap<NodeId, Vec<Event>> = BTreeMap::new();
    for mut event in events {
        let Count { epoch, sequence } = event.count();
        event.check().map_err(|why| HistoryError::Refused { node: event.id, epoch, sequence, why })?;
        event.address = event.address.map(canonical_net);
        nodes.entry(event.id).or_default().push(event);
    }
    nodes.values_mut().for_each(|events| events.sort_by_key(Event::count));
    Ok(nodes)
}

/// The question with its prefix in canonical form, unless it would cost too much.
///
/// # Errors
/// When the text is too long.
pub(crate) fn checked(mut query: Query) -> Result<Query, HistoryError> {
    query.address = query.address.map(canonical_net);
    match query.text.as_ref().map(String::len) {
        Some(bytes) if bytes > MOST_TEXT => Err(HistoryError::LongText(bytes)),
        _ => Ok(query),
    }
}
