//! What the fleet is right now, as its nodes tell it: in memory only, filled anew by what they send whenever they connect.

mod allows;
mod blocks;
mod roster;
mod rows;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smartfw_core::{Block, IpNet, Time, fleet::NodeId};
use smartfw_history::{Event, EventKind};
use smartfw_identity::Member;
use smartfw_proto::{
    convert::{Allowance, FleetMember, Opening, Statistics},
    view::NodeStatus,
};
use tokio::sync::broadcast;

pub use allows::{Basis, FleetAllowed, Unlisted};
pub use blocks::{EACH, FleetBlock, MOST_BLOCKS, Refused, TOGETHER};
pub use roster::{FORGOTTEN, Full, Totals};
pub use rows::{Link, NodeRow, Rates};

use allows::{Allows, Teller, Tellers};
use blocks::Blocks;
use roster::Roster;

/// Events that wait for a slow follower, each a pointer: two seconds of the busiest fleet. One that is further behind is
/// told how many it missed.
pub const BEHIND: usize = 4_096;

/// The view. Whoever asks gets a copy, so that nobody is held up.
#[derive(Debug)]
pub struct View {
    roster: RwLock<Roster>,
    blocks: RwLock<Blocks>,
    allows: RwLock<Allows>,
    events: broadcast::Sender<Arc<Event>>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            roster: RwLock::default(),
            blocks: RwLock::default(),
            allows: RwLock::default(),
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

    /// Whether a key may be a member's: anybody's may until a member has said who is in the fleet.
    pub fn may_be_member(&self, id: &NodeId) -> bool {
        self.read().may_be_member(id)
    }

    /// The fleet in sums.
    pub fn totals(&self) -> Totals {
        self.read().totals()
    }

    /// Every block in force at `now` within a prefix, in order of their targets.
    pub fn blocks_within(&self, net: &IpNet, now: Time) -> Vec<Arc<FleetBlock>> {
        self.blocks.read().unwrap_or_else(PoisonError::into_inner).within(net, now)
    }

    /// What is allowed at `now`, in order of targets: what operators allow the fleet as most nodes tell that report, and
    /// what single nodes allow. It takes its time, in which nobody else waits; ask first whether it is
    /// [still](Self::still_allowed) the same.
    pub fn allowed(&self, now: Time) -> (Vec<FleetAllowed>, Basis) {
        let tellers = self.tellers();
        let lists = self.allows.read().unwrap_or_else(PoisonError::into_inner).lists();
        lists.all(now, tellers)
    }

    /// Whether what was made of this is what is allowed at `now`.
    pub fn still_allowed(&self, basis: &Basis, now: Time) -> bool {
        let revision = self.allows.read().unwrap_or_else(PoisonError::into_inner).revision();
        basis.is_same(now, &self.tellers(), revision)
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
        self.write().opened(member, from, opening, now)
    }

    /// A node's stream ended, and no other took its place.
    pub(crate) fn closed(&self, id: &NodeId, now: Time) {
        self.write().closed(id, now);
    }

    /// A node told something; with `listed` the last of its blocks.
    pub(crate) fn heard_of(&self, id: &NodeId, now: Time, listed: bool) {
        self.write().heard_of(id, now, listed);
    }

    /// What a node counted.
    pub(crate) fn counted(&self, id: &NodeId, statistics: Statistics) {
        self.write().counted(id, statistics);
    }

    /// How a node is.
    pub(crate) fn said(&self, id: &NodeId, status: NodeStatus) {
        self.write().said(id, status);
    }

    /// A part of a node's own blocks, of the stream with this number; with the last, what it did not name is over.
    pub(crate) fn listed(
        &self,
        id: NodeId,
        stream: u64,
        (blocks, complete): (Vec<Block>, bool),
    ) -> Result<(), Refused> {
        let Some(name) = self.read().row(&id).map(|row| row.name.clone()) else { return Ok(()) };
        let (mut known, mut refused) = (self.write_blocks(), Ok(()));
        for block in blocks {
            refused = refused.and(known.put(FleetBlock::new(id, name.clone(), block), stream).map(drop));
        }
        if complete {
            known.complete(&id, stream);
        }
        refused
    }

    /// A part of what is allowed on a node, of the stream with this number; with the last the list is another.
    pub(crate) fn allowing(
        &self,
        id: NodeId,
        stream: u64,
        (entries, complete): (Vec<Allowance>, bool),
    ) -> Result<(), Unlisted> {
        let mut allows = self.allows.write().unwrap_or_else(PoisonError::into_inner);
        let taken = allows.put(id, stream, entries);
        if complete {
            allows.complete(&id, stream);
        }
        taken
    }

    /// Events of a node that are kept now, in order, as they came on the stream with this number; so many are missed
    /// between them and what was kept before.
    pub(crate) fn kept(&self, events: Vec<Event>, (stream, missed): (u64, u64)) -> Result<(), Refused> {
        let Some(last) = events.last() else { return Ok(()) };
        self.write().kept(&last.id, last.count(), last.time, (events.len() as u64, missed));
        let mut refused = Ok(());
        for event in events {
            refused = refused.and(self.follow(&event, stream));
            // Nobody may be listening.
            let _ = self.events.send(event.into());
        }
        refused
    }

    /// What a block's event does to the list.
    fn follow(&self, event: &Event, stream: u64) -> Result<(), Refused> {
        match event.kind {
            EventKind::Block => {
                // One of a later version may have a form that is not known.
                let Some(block) = FleetBlock::told(event) else { return Ok(()) };
                self.write_blocks().put(block, stream)?;
            }
            EventKind::Lift => self.write_blocks().lift(event),
            EventKind::Alert | EventKind::Health | EventKind::Audit => {}
        }
        Ok(())
    }

    /// What members say of who is in the fleet.
    pub(crate) fn heard(&self, members: &[FleetMember]) {
        self.write().heard(members);
    }

    /// Nodes that were expelled: their word is void.
    pub(crate) fn expel(&self, expelled: impl Fn(&Member) -> bool) {
        let out = self.write().expel(expelled);
        out.iter().for_each(|id| self.forget(id));
    }

    /// Lets go what is over: blocks that ran out, nodes that are long gone.
    pub(crate) fn tidy(&self, now: Time) {
        let forgotten = self.write().forget(now);
        forgotten.iter().for_each(|id| self.forget(id));
        self.write_blocks().expire(now);
    }

    fn forget(&self, id: &NodeId) {
        self.write_blocks().forget(id);
        self.allows.write().unwrap_or_else(PoisonError::into_inner).forget(id);
    }

    fn tellers(&self) -> Tellers {
        self.read().rows().map(|row| (row.id, Teller::of(row))).collect()
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
