//! What this node makes of what the fleet says.
//!
//! The logs (`gossip`) say who speaks, under which version and how long it is still to last; here it is decided what
//! of that is enforced. A member's key speaks for that member alone: its blocks arrive under the log of its own
//! signature ([`Agent::handle_fleet_block`]), and there is no way for it to end another's, or to allow; operators'
//! orders arrive verified ([`Agent::handle_fleet_order`]).
//!
//! What is held and not enforced has its reason beside it ([`Withheld`](crate::Withheld)). Every reason but the quota is
//! a function of what is known now, so that the order in which it became known makes no difference; it is judged
//! anew whenever something that it rests on changes.

mod accept;
mod blocks;
mod book;
mod canaries;
mod expelled;
mod foreign;
mod orders;
mod own;
mod panic;
mod people;
mod queries;
mod quota;
mod trust;
mod words;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use crate::{
    Time,
    blocklist::Said,
    fleet::{NodeId, VerifiedOrder, Version},
    nets::{ExpiringMap, Nets},
    prefix,
    protect::{Protected, Why},
    record::{Overruled, Speaker},
};

use super::{Agent, TEXT, clip, effects::Key};

pub use accept::{is_all_private, is_private, names_private};
pub(super) use foreign::is_foreigner;
pub use foreign::{ABROAD, Foreigner, LAST_WORDS};
pub use orders::Heard;
pub use queries::{OrderListed, OriginListed};
pub use words::{FleetStamp, FleetWord};

/// Members whose names and addresses are known: as many as membership knows.
const MEMBERS: usize = crate::members::MAX_MEMBERS;
/// Origins that have blocks here: those of the living members and as many that left.
const ORIGINS: usize = 2 * MEMBERS;
/// Regular guests that are known at once: more would be a service for the whole Internet, whose guests the quorum guards.
pub const REGULARS: usize = 4096;
/// Before what was not said yet is said: the logs need a moment to tell what was.
const UNSAID: Duration = Duration::from_secs(10);
/// What the logs still tell of a block that was taken back, for as long as a disk may take.
const WITHDRAWN: Duration = Duration::from_secs(600);

/// A member of the fleet, as membership knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetMember {
    /// Who.
    pub id: NodeId,
    /// Its name: a label, which others may have too.
    pub name: String,
    /// Its site.
    pub site: String,
    /// Where it is: nobody blocks it there.
    pub address: IpAddr,
    /// Since when it has been there without a break; `None` while it is away.
    pub there_since: Option<Time>,
}

/// The fleet, as this node's control plane knows it.
#[derive(Clone, Debug)]
pub(super) struct Fleet {
    /// Who this is; `None` outside of a fleet, where all else is empty.
    me: Option<NodeId>,
    name: String,
    site: String,
    members: BTreeMap<NodeId, Label>,
    origins: BTreeMap<NodeId, Source>,
    /// When those who wait for their quota are looked at.
    retry_at: Time,
    pub(super) trust: trust::Ledger,
    regulars: Nets<()>,
    /// Targets upon which others agree than before.
    doubtful: BTreeSet<IpNet>,
    /// Targets within which orders to unblock end what they name, and whether it was wrong.
    unblocked: BTreeMap<IpNet, bool>,
    /// Blocks for which there was no room.
    left_out: ExpiringMap<(IpNet, Speaker), ()>,
    /// Orders for which there was no room, with when they were signed.
    refused: ExpiringMap<u128, Box<(VerifiedOrder, Heard, Time)>>,
    orders: book::Book,
    canaries: canaries::Canaries,
    /// What people on this node ended of what is said.
    overruled: ExpiringMap<(IpNet, Speaker), Overruled>,
    /// Under which versions the fleet knows this node's blocks.
    own: BTreeMap<IpNet, Known>,
    /// Targets that this node has just taken back.
    withdrawn: ExpiringMap<IpNet, ()>,
    /// What the logs had no room for, with the end of what was said.
    unsaid: ExpiringMap<IpNet, Time>,
    /// When what was not said yet is said.
    unsaid_at: Time,
    foreign: foreign::Foreign,
    counters: Counters,
}

/// What the fleet knows of a block of this node.
#[derive(Clone, Copy, Debug)]
struct Known {
    version: Version,
    /// Whether this node has it from the fleet, because its store is new, and has said nothing of it since.
    returned: bool,
}

/// What was not taken.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    /// Members for whom there was no room.
    members: usize,
    /// Words to the fleet that the disk did not keep in time, and that were not said since.
    says: u64,
}

/// What a member is called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    shown: String,
    site: String,
    there_since: Option<Time>,
}

/// A member that has blocks here.
#[derive(Clone, Debug, Default)]
struct Source {
    blocks: usize,
    quota: quota::Quota,
    /// Targets that wait for the quota.
    waiting: BTreeSet<IpNet>,
    /// The shared name of its words.
    said: Option<Arc<Said>>,
}

impl Fleet {
    pub(super) const fn new() -> Self {
        Self {
            me: None,
            name: String::new(),
            site: String::new(),
            members: BTreeMap::new(),
            origins: BTreeMap::new(),
            retry_at: Time::NEVER,
            trust: trust::Ledger::new(),
            regulars: Nets::new(),
            doubtful: BTreeSet::new(),
            unblocked: BTreeMap::new(),
            left_out: ExpiringMap::new(),
            refused: ExpiringMap::new(),
            orders: book::Book::new(),
            canaries: canaries::Canaries::new(),
            overruled: ExpiringMap::new(),
            own: BTreeMap::new(),
            withdrawn: ExpiringMap::new(),
            unsaid: ExpiringMap::new(),
            unsaid_at: Time::NEVER,
            foreign: foreign::Foreign::new(),
            counters: Counters { members: 0, says: 0 },
        }
    }

    /// The clock was set back: who waits for a quota is looked at.
    pub(super) const fn begin_counting_anew(&mut self) {
        self.retry_at = Time::ZERO;
    }

    pub(super) fn next_due(&self) -> Time {
        let due = [
            self.retry_at,
            self.unsaid_at,
            self.orders.next_due(),
            self.overruled.next_due(),
            self.withdrawn.next_due(),
            self.unsaid.next_due(),
            self.left_out.next_due(),
            self.refused.next_due(),
            self.foreign.next_due(),
        ];
        due.into_iter().min().unwrap_or(Time::NEVER)
    }

    /// The records that a store has to have of it.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let overruled = self.overruled.iter().map(|((target, speaker), _)| Key::Overruled(*target, *speaker));
        self.trust.nodes().map(Key::Trust).chain(overruled)
    }

    /// How many words to the fleet found no room in the logs.
    #[cfg(test)]
    pub(super) fn unsaid(&self) -> usize {
        self.unsaid.len()
    }

    /// How many targets are to be judged anew.
    #[cfg(test)]
    pub(super) fn doubts(&self) -> usize {
        self.doubtful.len()
    }

    /// How many regular guests, origins and overruled words there are.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.regulars.len(), self.origins.len(), self.overruled.len())
    }

    /// How many orders wait for room.
    #[cfg(test)]
    pub(super) fn refused_orders(&self) -> usize {
        self.refused.len()
    }

    /// What a member is called: its name, or the beginning of its key where that is all there is.
    fn label(&self, node: &NodeId) -> String {
        match self.members.get(node) {
            _ if self.me == Some(*node) => self.name.clone(),
            Some(label) => label.shown.clone(),
            None => self.foreign.name(node).map_or_else(|| node.to_string(), String::from),
        }
    }
}

impl Agent {
    /// This node is a member of a fleet from now on, as `me`, named `name`, at `site`. Its own blocks that the fleet
    /// does not know are said in ten seconds, when the logs have told what it does know.
    pub fn join_fleet(&mut self, now: Time, me: NodeId, name: String, site: String) {
        self.handle_timeout(now);
        (self.fleet.me, self.fleet.name, self.fleet.site) = (Some(me), clip(name, TEXT), clip(site, TEXT));
        self.fleet.unsaid_at = now.after(UNSAID);
    }

    /// This node is in no fleet any more. What operators allowed, watched and ended there holds no longer, and what was
    /// only held is let go; what is dropped on the fleet's word stays dropped until it ends.
    pub fn leave_fleet(&mut self, now: Time) {
        self.handle_members(now, Vec::new());
        self.end_words(now, |held| held.withheld.is_some());
        let trust = core::mem::replace(&mut self.fleet.trust, trust::Ledger::new());
        let regulars = core::mem::replace(&mut self.fleet.regulars, Nets::new());
        // Whom a person here believes is this node's own affair, whatever fleet it is in.
        let foreign = core::mem::replace(&mut self.fleet.foreign, foreign::Foreign::new());
        let mut origins = core::mem::take(&mut self.fleet.origins);
        origins.retain(|id, _| foreign.name(id).is_some());
        let kept = Fleet { trust, regulars, foreign, origins, ..Fleet::new() };
        let left = core::mem::replace(&mut self.fleet, kept);
        left.orders.allowed_targets().for_each(|target| self.refresh_allowed(target));
        for ((target, speaker), overruled) in left.overruled.iter() {
            match speaker {
                // So is what a person here ended of another cluster's word: that is heard again in the next fleet.
                Speaker::Foreign { .. } => {
                    self.fleet.overruled.insert((*target, *speaker), overruled.clone(), overruled.until);
                }
                _ => self.outbox.persist(now, Key::Overruled(*target, *speaker)),
            }
        }
        self.outbox.forget_says();
    }

    /// Takes who is in the fleet, without this node: their addresses are protected, and what they say is shown under
    /// their names. Beyond 4096 they are counted and shown.
    pub fn handle_members(&mut self, now: Time, mut members: Vec<FleetMember>) {
        self.handle_timeout(now);
        members.retain(|member| self.fleet.me != Some(member.id));
        self.fleet.counters.members = members.len().saturating_sub(MEMBERS);
        members.truncate(MEMBERS);
        self.fleet.members = labels(&self.fleet.name, &members);
        let protected = |member: &FleetMember| Protected {
            net: prefix::host(member.address),
            why: Why::Member,
            detail: self.fleet.label(&member.id),
        };
        let protected: Vec<Protected> = members.iter().map(protected).collect();
        let changed = self.shield.difference_of(&protected);
        self.reshield(&changed, |shield| shield.admit(protected));
    }

    /// Takes the sources with long handshake traffic here that nobody suspects; told every ten seconds. At most
    /// [`REGULARS`], the most faithful first.
    pub fn handle_regulars(&mut self, now: Time, regulars: Vec<IpAddr>) {
        self.handle_timeout(now);
        let nets = |regulars: &Nets<()>| regulars.iter().map(|(net, ())| *net).collect::<BTreeSet<_>>();
        let mut new = Nets::new();
        for address in regulars.into_iter().take(REGULARS) {
            new.insert(prefix::host(address), ());
        }
        let changed: Vec<IpNet> =
            nets(&self.fleet.regulars).symmetric_difference(&nets(&new)).copied().collect();
        self.fleet.regulars = new;
        changed.iter().for_each(|net| self.rejudge_around(now, net));
    }

    /// Lets time pass.
    pub(super) fn fleet_due(&mut self, now: Time) {
        if self.fleet.next_due() > now {
            return;
        }
        self.orders_due(now);
        while let Some(((target, speaker), _)) = self.fleet.overruled.pop_due(now) {
            self.outbox.persist(now, Key::Overruled(target, speaker));
            self.rejudge_exactly(now, target);
        }
        while self.fleet.withdrawn.pop_due(now).is_some() {}
        while self.fleet.left_out.pop_due(now).is_some() {}
        self.forget_foreign(now);
        self.retry(now);
        self.say_again(now);
        if self.fleet.unsaid_at <= now {
            self.fleet.unsaid_at = Time::NEVER;
            self.fleet.counters.says = 0;
            self.say_unsaid();
        }
    }
}

/// A name for each member that no other has.
fn labels(own: &str, members: &[FleetMember]) -> BTreeMap<NodeId, Label> {
    let mut named: BTreeMap<&str, usize> = BTreeMap::from([(own, 1)]);
    members.iter().for_each(|member| *named.entry(member.name.as_str()).or_default() += 1);
    let mut taken: BTreeSet<String> = BTreeSet::from([String::from(own)]);
    let mut labels = BTreeMap::new();
    let label = |member: &FleetMember, shown| {
        let (site, there_since) = (clip(member.site.clone(), TEXT), member.there_since);
        (member.id, Label { shown, site, there_since })
    };
    let alone = |member: &&FleetMember| named.get(member.name.as_str()) == Some(&1);
    for member in members.iter().filter(alone) {
        let shown = clip(member.name.clone(), TEXT);
        taken.insert(shown.clone());
        labels.extend([label(member, shown)]);
    }
    for member in members.iter().filter(|member| !alone(member)) {
        let name = clip(member.name.clone(), TEXT);
        let short = format!("{name} ({})", member.id);
        let shown = if taken.contains(&short) { format!("{name} ({:#})", member.id) } else { short };
        taken.insert(shown.clone());
        labels.extend([label(member, shown)]);
    }
    labels
}
