//! Who there is, who is connected, and whom to tell.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::time::Duration;

use super::FLIGHT;
use crate::{
    Time,
    chance::Chance,
    fleet::{LogId, NodeId},
};

/// Members, with this one, up to which everybody is told everything by its origin.
pub const FULL_MESH: usize = 16;

/// Beyond that each keeps streams to so many, and as many on average to it: eight.
const KEPT: usize = 4;

/// And tells so many others, chosen each time.
const STRANGERS: usize = 4;

/// Digests a second: idle traffic stays below 1 kB/s, with headers and acknowledgements.
const DIGESTS: usize = 4;

/// Who was heard of so long ago keeps a stream with us.
const KEEPING: Duration = Duration::from_secs(30);

/// Streams at once; beyond that they are not counted on.
const LINKS: usize = 4096;

/// A member that is alive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// The site that its certificate names.
    pub site: String,
}

#[derive(Clone, Debug)]
pub(super) struct Peers {
    me: NodeId,
    site: String,
    /// Whether each is of our site.
    members: BTreeMap<NodeId, bool>,
    links: BTreeMap<NodeId, Link>,
    neighbours: BTreeSet<NodeId>,
    /// Who was sent a digest last.
    turn: Option<NodeId>,
}

/// What is known of a stream.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Bytes pushed since anything was heard: no more than a flight.
    pushed: usize,
    /// When its last digest came.
    kept: Time,
    /// Its digest and ours, when they differed last.
    pub(super) differed: (u64, u64),
    /// When they were compared last.
    pub(super) looked: Time,
    /// Until when nothing is to be gained from comparing these two again.
    pub(super) settled: Time,
    /// How often that has happened in a row.
    pub(super) vain: u32,
}

impl Peers {
    pub(super) fn new(me: NodeId, site: String) -> Self {
        let (members, links) = (BTreeMap::new(), BTreeMap::new());
        Self { me, site, members, links, neighbours: BTreeSet::new(), turn: None }
    }

    /// The members alive now. Gives the neighbours to keep, where they change.
    pub(super) fn set_members(&mut self, chance: &mut Chance, members: Vec<Member>) -> Option<Vec<NodeId>> {
        let others = members.into_iter().filter(|member| member.id != self.me);
        self.members = others.map(|member| (member.id, member.site == self.site)).collect();
        let neighbours = self.choose_neighbours(chance);
        if neighbours == self.neighbours {
            return None;
        }
        self.neighbours = neighbours;
        Some(self.neighbours.iter().copied().collect())
    }

    /// All in a small cluster; else the next one by number, so that all are connected, the next of the site, so that its
    /// log gets around too, and others that stay: half of them of the site.
    fn choose_neighbours(&self, chance: &mut Chance) -> BTreeSet<NodeId> {
        if self.is_small() {
            return self.members.keys().copied().collect();
        }
        let mut chosen: BTreeSet<NodeId> =
            [false, true].into_iter().filter_map(|site| self.next(site)).collect();
        for (site, most) in [(true, KEPT - 1), (false, KEPT)] {
            let fits = |id: &&NodeId| self.members.get(*id).is_some_and(|same| *same || !site);
            // By chance: of a fleet that was small, everybody is a neighbour, and all would choose the same ones.
            let mut stay: Vec<NodeId> = self.neighbours.iter().filter(fits).copied().collect();
            let stay = chance.choose(&mut stay, KEPT);
            let mut others: Vec<NodeId> = self.members.keys().filter(fits).copied().collect();
            let others = chance.choose(&mut others, KEPT);
            for id in stay.iter().chain(others) {
                if chosen.len() < most {
                    chosen.insert(*id);
                }
            }
        }
        chosen
    }

    /// The member that follows this one by number, of the site or of all.
    fn next(&self, site: bool) -> Option<NodeId> {
        let after = self.members.range(self.me..).chain(self.members.range(..self.me));
        after.filter(|(_, same)| **same || !site).map(|(id, _)| *id).next()
    }

    /// Whether everybody keeps a stream to everybody.
    pub(super) fn is_small(&self) -> bool {
        self.members.len() < FULL_MESH
    }

    pub(super) fn of_our_site(&self, id: &NodeId) -> bool {
        self.members.get(id) == Some(&true)
    }

    pub(super) fn is_member(&self, id: &NodeId) -> bool {
        self.members.contains_key(id)
    }

    pub(super) fn members(&self) -> usize {
        self.members.len()
    }

    /// Whether a member may see a log: its site's, or the cluster's.
    pub(super) fn sees(&self, member: &NodeId, log: &LogId) -> bool {
        log.site.is_none() || self.members.get(member).copied().unwrap_or(false)
    }

    /// A stream is open. Whether it is one that is kept.
    pub(super) fn connected(&mut self, now: Time, member: NodeId) -> bool {
        if self.links.len() < LINKS || self.links.contains_key(&member) {
            let link = Link {
                pushed: 0,
                kept: Time::ZERO,
                differed: (0, 0),
                looked: Time::ZERO,
                settled: now,
                vain: 0,
            };
            self.links.insert(member, link);
        }
        self.neighbours.contains(&member)
    }

    pub(super) fn disconnected(&mut self, member: &NodeId) {
        self.links.remove(member);
    }

    pub(super) fn link(&mut self, member: &NodeId) -> Option<&mut Link> {
        self.links.get_mut(member)
    }

    /// Something was heard: what was pushed before has arrived.
    pub(super) fn hear(&mut self, member: &NodeId) {
        if let Some(link) = self.links.get_mut(member) {
            link.pushed = 0;
        }
    }

    /// A digest was heard: the member keeps a stream to us.
    pub(super) fn keeps(&mut self, now: Time, member: &NodeId) {
        if let Some(link) = self.links.get_mut(member) {
            link.kept = now;
        }
    }

    /// The members to push to: everybody from the origin of a small audience; else the kept streams and a few others.
    pub(super) fn audience(&self, now: Time, chance: &mut Chance, site: bool, own: bool) -> Vec<NodeId> {
        let within = self.members.iter().filter(|(_, same)| !site || **same).map(|(id, _)| *id);
        let mut all: Vec<NodeId> = within.collect();
        if all.len() < FULL_MESH {
            return if own { all } else { Vec::new() };
        }
        let kept: BTreeSet<NodeId> = self.kept(now).collect();
        let (mut told, mut others): (Vec<_>, Vec<_>) = all.drain(..).partition(|id| kept.contains(id));
        told.extend(chance.choose(&mut others, STRANGERS));
        told
    }

    /// Whether so much more may be pushed to a member.
    pub(super) fn may_push(&mut self, member: &NodeId, bytes: usize) -> bool {
        let Some(link) = self.links.get_mut(member) else { return true };
        let fits = link.pushed == 0 || link.pushed.saturating_add(bytes) <= FLIGHT;
        if fits {
            link.pushed = link.pushed.saturating_add(bytes);
        }
        fits
    }

    /// Streams that are kept, by us or by the other side.
    pub(super) fn kept(&self, now: Time) -> impl Iterator<Item = NodeId> + '_ {
        let keeps = move |link: &Link| link.kept > Time::ZERO && now.since(link.kept) < KEEPING;
        let kept = self.links.iter().filter(move |(id, link)| self.neighbours.contains(*id) || keeps(link));
        kept.map(|(id, _)| *id)
    }

    /// Whose turn it is to get a digest.
    pub(super) fn turns(&mut self, now: Time) -> Vec<NodeId> {
        let kept: Vec<NodeId> = self.kept(now).collect();
        let start = self.turn.map_or(0, |last| kept.partition_point(|id| *id <= last));
        let turns: Vec<NodeId> = kept[start..].iter().chain(&kept[..start]).take(DIGESTS).copied().collect();
        self.turn = turns.last().copied().or(self.turn);
        turns
    }
}
