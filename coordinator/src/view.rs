//! What the fleet is right now, as its nodes tell it: in memory only, filled anew by what they send whenever they connect.

mod blocks;
mod news;
mod roster;
mod rows;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smartfw_core::{Block, Time, fleet::NodeId};
use smartfw_history::{Event, EventKind};
use smartfw_identity::Member;
use smartfw_proto::{
    convert::{FleetMember, Opening, Statistics},
    view::NodeStatus,
};
use tokio::sync::broadcast;

pub use blocks::{BlockKey, BlockPage, BlockQuery, EACH, FleetBlock, MOST_BLOCKS, Refused, TOGETHER};
pub use news::{BEHIND, News};
pub use roster::{FORGOTTEN, Full, Totals};
pub use rows::{Link, NodeRow, Rates};

use blocks::Blocks;
use roster::Roster;

/// The view. Whoever asks gets a copy, so that nobody is held up.
#[derive(Debug)]
pub struct View {
    roster: RwLock<Roster>,
    blocks: RwLock<Blocks>,
    news: broadcast::Sender<News>,
    /// Events alone: what a list of blocks brings must not push them out.
    events: broadcast::Sender<Arc<Event>>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            roster: RwLock::default(),
            blocks: RwLock::default(),
            news: broadcast::Sender::new(BEHIND),
            events: broadcast::Sender::new(BEHIND),
        }
    }
}

impl View {
    /// Every node that is known, by id.
    pub fn nodes(&self) -> Vec<NodeRow> {
        self.read().rows().cloned().collect()
    }

    /// One node.
    pub fn node(&self, id: &NodeId) -> Option<NodeRow> {
        self.read().row(id).cloned()
    }

    /// The fleet in sums.
    pub fn totals(&self) -> Totals {
        self.read().totals()
    }

    /// Blocks in force at `now`, in order of their targets.
    pub fn blocks(&self, query: &BlockQuery, now: Time) -> BlockPage {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).page(query, now)
    }

    /// Every block in force at `now`, in order of their targets, and a number that is higher whenever the list is another
    /// than it was; ask [`revision`](Self::revision) first, a copy of a million takes its time.
    pub fn every_block(&self, now: Time) -> (u64, Vec<Arc<FleetBlock>>) {
        let blocks = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        (blocks.revision(), blocks.all(now))
    }

    /// Higher whenever the list of blocks is another than it was.
    pub fn revision(&self) -> u64 {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).revision()
    }

    /// Whether every member that is known has told all of its blocks since the start. Until then what is not in the list
    /// may be in force all the same.
    pub fn is_complete(&self) -> bool {
        self.read().is_listed()
    }

    /// How many blocks are in force.
    pub fn blocked(&self) -> usize {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What is new, from now on. Who reads too slowly is told how much was missed.
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Every event that is kept, from now on. Who reads too slowly is told how many were missed.
    pub fn subscribe_events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// A node opened its stream.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn opened(
        &self,
        member: &Member,
        from: std::net::SocketAddr,
        opening: &Opening,
        now: Time,
    ) -> Result<(), Full> {
        let row = self.write().opened(member, from, opening, now)?.clone();
        self.tell(News::Node(row.into()));
        Ok(())
    }

    /// A node's stream ended, and no other took its place.
    pub(crate) fn closed(&self, id: &NodeId, now: Time) {
        let row = self.write().closed(id, now).cloned();
        row.into_iter().for_each(|row| self.tell(News::Node(row.into())));
    }

    /// A node told something; with `listed` the last of its blocks.
    pub(crate) fn heard_of(&self, id: &NodeId, now: Time, listed: bool) {
        self.write().heard_of(id, now, listed);
    }

    /// What a node counted.
    pub(crate) fn counted(&self, id: &NodeId, statistics: Statistics) {
        self.write().counted(id, statistics);
    }

    /// How a node is. What everybody hears of is only what changed in its health.
    pub(crate) fn said(&self, id: &NodeId, status: NodeStatus) {
        let row = self.write().said(id, status).cloned();
        row.into_iter().for_each(|row| self.tell(News::Node(row.into())));
    }

    /// A part of a node's own blocks, of the stream with this number; with the last, what it did not name is over.
    pub(crate) fn listed(
        &self,
        id: NodeId,
        stream: u64,
        (blocks, complete): (Vec<Block>, bool),
    ) -> Result<(), Refused> {
        let Some(name) = self.read().row(&id).map(|row| row.name.clone()) else { return Ok(()) };
        let mut changes = Vec::new();
        let refused = {
            let mut known = self.write_blocks();
            let mut refused = Ok(());
            for block in blocks {
                let block = FleetBlock::new(id, name.clone(), block);
                refused = refused.and(known.put(block, stream).map(|news| changes.extend(news)));
            }
            if complete {
                changes.extend(known.complete(&id, stream));
            }
            refused
        };
        changes.into_iter().for_each(|news| self.tell(news));
        refused
    }

    /// Events of a node that are kept now, in order, as they came on the stream with this number; so many are missed
    /// between them and what was kept before.
    pub(crate) fn kept(&self, events: Vec<Event>, (stream, missed): (u64, u64)) -> Result<(), Refused> {
        let Some(last) = events.last() else { return Ok(()) };
        self.write().kept(&last.id, last.count(), last.time, (events.len() as u64, missed));
        let mut refused = Ok(());
        for event in events {
            refused = refused.and(self.follow(&event, stream));
            let event = Arc::new(event);
            // Without anybody who listens it is not news.
            let _ = self.events.send(event.clone());
            self.tell(News::Event(event));
        }
        refused
    }

    /// What a block's event does to the list.
    fn follow(&self, event: &Event, stream: u64) -> Result<(), Refused> {
        match event.kind {
            EventKind::Block => {
                // One of a later version may have a form that is not known.
                let Some(block) = FleetBlock::told(event) else { return Ok(()) };
                let news = self.write_blocks().put(block, stream)?;
                news.into_iter().for_each(|news| self.tell(news));
            }
            EventKind::Lift => {
                let lifted = self.write_blocks().lift(event);
                lifted.into_iter().for_each(|block| self.tell(News::Lifted(block)));
            }
            EventKind::Alert | EventKind::Health | EventKind::Audit => {}
        }
        Ok(())
    }

    /// What members say of who is in the fleet.
    pub(crate) fn heard(&self, members: &[FleetMember]) {
        self.write().heard(members);
    }

    /// Nodes that were expelled, and their blocks.
    pub(crate) fn expel(&self, expelled: impl Fn(&Member) -> bool) {
        let rows = self.write().expel(expelled);
        for row in rows {
            let lifted = self.write_blocks().forget(&row.id);
            lifted.into_iter().for_each(|block| self.tell(News::Lifted(block)));
            self.tell(News::Node(row.into()));
        }
    }

    /// Lets go what is over: blocks that ran out, nodes that are long gone.
    pub(crate) fn tidy(&self, now: Time) {
        let forgotten = self.write().forget(now);
        let mut over = self.write_blocks().expire(now);
        for id in forgotten {
            over.extend(self.write_blocks().forget(&id));
        }
        over.into_iter().for_each(|block| self.tell(News::Lifted(block)));
    }

    fn tell(&self, news: News) {
        // Without anybody who listens it is not news.
        let _ = self.news.send(news);
    }

    fn read(&self) -> RwLockReadGuard<'_, Roster> {
        self.roster.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Roster> {
        self.roster.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_blocks(&self) -> RwLockWriteGuard<'_, Blocks> {
        self.blocks.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
