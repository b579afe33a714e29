//! What one coordinator is told.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use smartfw_proto::{
    convert::{Report, Statistics},
    limits,
    view::NodeStatus,
    wire,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    super::{
        index::Index,
        reader::{Batch, Reader},
        telling::{self, Told},
    },
    Ended, Shared, UNDER_WAY, Way, Word,
};
use crate::fleet::asked;

/// A coordinator that kept nothing of what it was sent for so long is given up, and dialled again.
pub(super) const UNKEPT: Duration = Duration::from_secs(60);
/// All blocks are told anew no more often.
pub(super) const ANEW: Duration = Duration::from_secs(10);
/// Orders that are under way hold that up so long at most: nobody waits longer for what becomes of one.
const LATEST: Duration = Duration::from_secs(10);
/// As good as never: a year.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Speaks to one coordinator.
pub(super) struct Mouth<'a> {
    way: &'a Way,
    shared: &'a Shared,
    to: mpsc::Sender<wire::NodeReport>,
    outcomes: mpsc::Receiver<Word>,
    index: watch::Receiver<Index>,
    anew: watch::Receiver<u64>,
    told: watch::Receiver<Told>,
    reader: Option<Reader>,
    /// Since when it has to answer.
    asked: Option<Instant>,
    /// From when on the stream is to be opened again.
    again: Option<Instant>,
}

/// What comes next.
enum Next {
    Events,
    Kept,
    Outcome(Word),
    Told,
    Anew,
    Again,
    Stuck,
}

impl<'a> Mouth<'a> {
    pub(super) fn new(
        way: &'a Way,
        shared: &'a Shared,
        to: mpsc::Sender<wire::NodeReport>,
        outcomes: mpsc::Receiver<Word>,
    ) -> Self {
        let uplink = &way.uplink.0;
        Self {
            way,
            shared,
            to,
            outcomes,
            index: uplink.index.subscribe(),
            anew: uplink.anew.subscribe(),
            told: uplink.told.subscribe(),
            reader: Some(Reader::new(&uplink.folder)),
            asked: None,
            again: None,
        }
    }

    /// Until the stream ends.
    pub(super) async fn speak(mut self) -> Result<(), Ended> {
        let opened = Instant::now();
        if let Some(status) = telling::status(&self.way.uplink).await {
            self.say(Report::Status(status)).await?;
        }
        self.blocks().await?;
        self.allowed().await?;
        let mut told = Told::clone(&self.told.borrow_and_update());
        loop {
            while self.events().await? {}
            let never = opened + NEVER;
            let stuck = self.asked.map_or(never, |asked| asked + UNKEPT);
            let again = self.reopens().unwrap_or(never);
            let next = tokio::select! {
                biased;
                _ = self.index.changed() => Next::Events,
                () = self.shared.kept.notified() => Next::Kept,
                Some(outcome) = self.outcomes.recv() => Next::Outcome(outcome),
                _ = self.told.changed() => Next::Told,
                _ = self.anew.changed() => Next::Anew,
                () = sleep_until(again) => Next::Again,
                () = sleep_until(stuck) => Next::Stuck,
            };
            match next {
                Next::Events => {}
                // It may have kept a part only: it is given its time anew.
                Next::Kept => self.asked = self.waits().then(Instant::now),
                Next::Outcome(Word { report, turn }) => {
                    self.say(report).await?;
                    drop(turn); // only now nobody waits for it any more
                }
                Next::Told => self.tell(&mut told).await?,
                Next::Anew => {
                    self.again.get_or_insert((opened + ANEW).max(Instant::now()));
                }
                Next::Again if self.reopens().is_some_and(|at| at <= Instant::now()) => {
                    return Err(Ended::Anew);
                }
                Next::Again => {} // an order has come meanwhile
                Next::Stuck => return Err(Ended::Stuck),
            }
        }
    }

    /// When the stream is opened again. An order changes blocks before disk and kernel have it: what became of those
    /// that are under way is told first.
    fn reopens(&self) -> Option<Instant> {
        let all_told = self.shared.orders.available_permits() == UNDER_WAY;
        self.again.map(|again| if all_told { again } else { again + LATEST })
    }

    /// What was counted, and how the node is, where that is new.
    async fn tell(&mut self, before: &mut Told) -> Result<(), Ended> {
        let now = Told::clone(&self.told.borrow_and_update());
        let Told { status, statistics } = std::mem::replace(before, now.clone());
        if let Some(told) = now.statistics.filter(|told| Some(*told) != statistics) {
            let waiting = self.way.uplink.waiting();
            self.say(Report::Statistics(Statistics { waiting, ..told })).await?;
        }
        match now.status.filter(|told| status.is_none_or(|before| !Arc::ptr_eq(told, &before))) {
            Some(told) => self.say(Report::Status(Box::new(NodeStatus::clone(&told)))).await,
            None => Ok(()),
        }
    }

    /// Sends the next batch; whether there may be another.
    async fn events(&mut self) -> Result<bool, Ended> {
        let index = self.index.borrow_and_update().clone();
        let (epoch, from) = {
            let conversation = self.shared.conversation.lock().unwrap_or_else(PoisonError::into_inner);
            (conversation.epoch(), conversation.next())
        };
        if index.epoch != epoch {
            return Err(Ended::Anew);
        }
        let Some(from) = from.filter(|from| *from < index.next) else { return Ok(false) };
        let batch = self.read(index, from).await?;
        if batch.damaged {
            tracing::warn!(from, "events for the coordinator cannot be read from the disk and are left out");
        }
        let (events, next) = (batch.events, batch.next);
        let count = events.len() as u64;
        self.shared.conversation.lock().unwrap_or_else(PoisonError::into_inner).sent(count > 0, next);
        if count > 0 {
            self.asked.get_or_insert_with(Instant::now);
            self.say(Report::Events(events)).await?;
            self.way.uplink.0.counters.uplink.sent.add(count);
        }
        Ok(next > from)
    }

    async fn read(&mut self, index: Index, from: u64) -> Result<Batch, Ended> {
        let ending = || Ended::Broken("the node is ending".into());
        let mut reader = self.reader.take().ok_or_else(ending)?;
        let read = tokio::task::spawn_blocking(move || (reader.read(&index, from), reader)).await;
        let (batch, reader) = read.map_err(|_| ending())?;
        self.reader = Some(reader);
        Ok(batch)
    }

    async fn blocks(&mut self) -> Result<(), Ended> {
        let mut behind = None;
        loop {
            let piece = telling::blocks(&self.way.inbox, behind).await;
            let piece = piece.ok_or_else(|| Ended::Broken("the node is ending".into()))?;
            behind = piece.behind;
            self.say(Report::Blocks(piece.blocks, behind.is_none())).await?;
            if behind.is_none() {
                return Ok(());
            }
        }
    }

    /// What people allow; a coordinator that speaks the first protocol alone knows no such list.
    async fn allowed(&mut self) -> Result<(), Ended> {
        if self.shared.protocol < 2 {
            return Ok(());
        }
        let all = asked::allowances(&self.way.inbox).await;
        let mut rest = all.ok_or_else(|| Ended::Broken("the node is ending".into()))?;
        loop {
            let behind = rest.split_off(rest.len().min(limits::CHUNK));
            let entries = std::mem::replace(&mut rest, behind);
            self.say(Report::Allowed(entries, rest.is_empty())).await?;
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    fn waits(&self) -> bool {
        self.shared.conversation.lock().unwrap_or_else(PoisonError::into_inner).waits()
    }

    async fn say(&self, report: Report) -> Result<(), Ended> {
        match timeout(UNKEPT, self.to.send(report.into())).await {
            Ok(sent) => sent.map_err(|_| Ended::Broken("it reads no more".into())),
            Err(_) => Err(Ended::Stuck),
        }
    }
}
