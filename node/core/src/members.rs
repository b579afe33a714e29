//! Membership: who is in the fleet, and who is alive. SWIM by `foca`, without its input and output.
//!
//! ```text
//! datagram | timeout | contact | card | leave -> Members -> Send | Up | Suspect | Down | Changed | Remember | Forget
//! ```
//! - Every datagram carries its sender's counter and signature; none is taken twice, by another, or by a later life of
//!   the one it was sent to.
//! - A member is its key. What it says of itself (address, labels, life) is a record that it signed, whoever passes it
//!   on; foca never hears of somebody whose certificate is unknown: such a one is first asked to introduce itself.
//! - A node that comes late to its own timers holds that against nobody: the time in which it did not live counts for
//!   no deadline, and its suspicions last longer.

mod bytes;
mod codec;
mod datagram;
mod face;
mod pace;
mod peer;
mod reach;
mod receive;
mod record;
mod send;
mod stats;
mod timers;
mod window;

use alloc::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    vec::Vec,
};
use core::{fmt, net::SocketAddr, time::Duration};

use foca::{AccumulatingRuntime, Foca, Header, NoCustomBroadcast};

use crate::chance::Chance;
use crate::{Time, fleet::NodeId};
use codec::Codec;
pub use datagram::{MAX_CHAIN, MAX_DATAGRAM, is_for};
pub use face::{Keys, MembersConfig, MembersEffect, Path, Remembered};
use pace::{Budget, Health, Settings};
use peer::Peer;
pub use peer::{Member, MemberState};
use reach::{Rumour, Seed};
pub use record::{Card, MAX_LABEL, MAX_VERSION};
use record::{Identity, Record};
pub use stats::MembersStats;
use timers::Timers;

/// What is signed before a datagram: a signature made for anything else is none here.
pub const DATAGRAM_DOMAIN: &[u8] = b"smartfw/datagram/1\0";
/// What is signed before what a member says of itself.
pub const RECORD_DOMAIN: &[u8] = b"smartfw/member/1\0";

/// Members known at once, the dead of the last three days among them: four times the largest fleet simulated. Each
/// takes about 500 bytes.
pub const MAX_MEMBERS: usize = 4096;
/// The dead are forgotten after three days: a long weekend.
pub const FORGET_AFTER: Duration = Duration::from_secs(3 * 24 * 3600);

/// Later than this a timer is late: a fifth of a second is no hiccup of the scheduler any more, and less than half of
/// what a probe may take.
const LATE: Duration = Duration::from_millis(200);
/// How often the machine looks around by itself.
const TICK: Duration = Duration::from_secs(1);

/// A probe without an answer yet.
#[derive(Clone, Debug)]
struct Probe {
    node: NodeId,
    number: u8,
    sent: Time,
    /// What was sent, to be sent again.
    header: Header<Identity>,
}

/// The membership's state machine. Call [`poll_effect`](Self::poll_effect) until it is empty after every other call.
pub struct Members<K> {
    keys: K,
    boot: u64,
    sequence: u64,
    card: Card,
    me: Identity,
    foca: Foca<Identity, Codec, Chance, NoCustomBroadcast>,
    runtime: AccumulatingRuntime<Identity>,
    timers: Timers,
    tick_at: Time,
    now: Time,
    peers: BTreeMap<NodeId, Peer>,
    rumours: BTreeMap<NodeId, Rumour>,
    seeds: Vec<Seed>,
    reach_at: Time,
    /// How many members were active at the last tick.
    size: usize,
    health: Health,
    /// What foca's settings were made for.
    settings: Settings,
    /// The probe that is under way, unless it was answered.
    probe: Option<Probe>,
    /// When a genuine datagram was last heard.
    heard_at: Time,
    /// The same by UDP.
    udp_at: Time,
    /// Whoever speaks to us through its stream just now: answers go back the way on which the question came.
    asker: Option<NodeId>,
    budget: Budget,
    chance: Chance,
    /// When this node was last given up for dead and began a new life.
    revived_at: Option<Time>,
    /// Whether it has to.
    defunct: bool,
    left: bool,
    effects: VecDeque<MembersEffect>,
    stats: MembersStats,
}

impl<K: Keys> Members<K> {
    /// A node that knows nobody but its seeds. `seed` is for chance.
    pub fn new(config: MembersConfig, keys: K, seed: u64, now: Time) -> Self {
        let MembersConfig { id, card, boot, seeds } = config;
        let me = Identity(Record::signed(&keys, id, boot, false, &card));
        let settings = Settings { size: 1, ..Settings::default() };
        let config = pace::config(settings);
        let mut chance = Chance::new(seed);
        Self {
            foca: Foca::new(me.clone(), config, Chance::new(chance.next()), Codec),
            keys,
            boot,
            sequence: 0,
            card,
            me,
            runtime: AccumulatingRuntime::new(),
            timers: Timers::default(),
            tick_at: now,
            now,
            peers: BTreeMap::new(),
            rumours: BTreeMap::new(),
            seeds: seeds.into_iter().map(|address| Seed::new(address, now)).collect(),
            reach_at: now,
            size: 0,
            health: settings.health,
            settings,
            probe: None,
            heard_at: now,
            udp_at: Time::ZERO,
            asker: None,
            budget: Budget::default(),
            chance,
            revived_at: None,
            defunct: false,
            left: false,
            effects: VecDeque::new(),
            stats: MembersStats::default(),
        }
    }

    /// A member from before the restart; before anything else.
    pub fn restore(&mut self, now: Time, remembered: &Remembered) {
        if let Some(peer) = Peer::restored(now, remembered)
            && remembered.node != self.me.0.id
            && self.peers.len() < MAX_MEMBERS
        {
            self.peers.insert(remembered.node, peer);
        }
    }

    /// A datagram has arrived; whatever is wrong with it is counted and changes nothing else.
    pub fn handle_datagram(&mut self, now: Time, from: Path, bytes: &[u8]) {
        self.wake(now);
        self.asker = from.stream();
        if let Err(refused) = self.receive(now, from, bytes) {
            self.stats.count(refused);
        }
        self.settle(now);
        self.asker = None;
        if self.settings.busy != pace::is_busy(self.foca.updates_backlog()) {
            self.adapt();
        }
    }

    /// What is due by `now`.
    pub fn handle_timeout(&mut self, now: Time) {
        self.wake(now);
        while let Some(timer) = self.timers.pop(now) {
            self.judge_probe(&timer);
            self.probe_again(&timer);
            self.with_foca(|foca, runtime| foca.handle_timer(timer, runtime));
            self.settle(now);
        }
        if self.tick_at <= now {
            self.tick_at = now.after(TICK);
            self.tick(now);
            self.settle(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Time {
        self.timers.next_due().min(self.tick_at)
    }

    /// What to do next.
    pub fn poll_effect(&mut self) -> Option<MembersEffect> {
        self.effects.pop_front()
    }

    /// An authenticated stream with `node` is open: it is there, whatever its datagrams said.
    pub fn handle_contact(&mut self, now: Time, node: NodeId) {
        self.wake(now);
        self.asker = Some(node);
        if !self.left && node != self.me.0.id && !self.is_active(&node) {
            self.contact(now, node);
        }
        self.settle(now);
        self.asker = None;
    }

    /// One more address to ask for members, while there are none.
    pub fn handle_seed(&mut self, now: Time, address: SocketAddr) {
        self.wake(now);
        if self.seeds.iter().all(|seed| seed.address != address) && self.seeds.len() < reach::MAX_SEEDS {
            self.seeds.push(Seed::new(address, now));
            self.tick_at = now;
        }
    }

    /// This node's own address, labels or certificate changed.
    pub fn handle_card(&mut self, now: Time, card: Card) {
        self.wake(now);
        if card != self.card && !self.left {
            let renewed = card.expires != self.card.expires;
            self.card = card;
            if renewed {
                self.peers.values_mut().for_each(|peer| peer.knows = 0);
            }
            self.begin_life(self.me.0.generation + 1, false);
        }
        self.settle(now);
    }

    /// The certificate of `node` is void: it is a member no more, and what it sends is not heard.
    pub fn handle_expelled(&mut self, now: Time, node: &NodeId) {
        self.wake(now);
        self.rumours.remove(node);
        if let Some(peer) = self.peers.get(node) {
            let down = foca::Member::down(Identity(peer.record.clone()));
            self.with_foca(|foca, runtime| foca.apply_many(core::iter::once(down), true, runtime));
            self.settle(now);
            self.forget(node);
        }
    }

    /// Says good-bye: this node is gone on purpose. To be called again makes it louder. Nothing else happens afterwards.
    pub fn leave(&mut self, now: Time) {
        self.wake(now);
        if !self.left {
            self.begin_life(self.me.0.generation + 1, true);
            self.left = true;
        }
        for _ in 0..3 {
            self.with_foca(|foca, runtime| foca.leave_cluster(runtime));
            self.settle(now);
        }
        self.timers = Timers::default();
        self.tick_at = Time::NEVER;
    }

    /// Everybody who is known, the dead and those who left among them, but not this node.
    pub fn members(&self) -> impl Iterator<Item = Member> + '_ {
        self.peers.values().map(Peer::member)
    }

    /// The same for one of them.
    pub fn member(&self, node: &NodeId) -> Option<Member> {
        self.peers.get(node).map(Peer::member)
    }

    /// What a store has to hold of everybody: for one that lost what it had.
    pub fn remembered(&self) -> impl Iterator<Item = Remembered> + '_ {
        self.peers.values().map(Peer::remembered)
    }

    /// Those who are alive, suspects among them, without this node; in the order of their ids.
    pub fn alive(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.iter().filter(|(_, peer)| peer.is_active()).map(|(id, _)| *id)
    }

    /// Which life of this node this is: keep it, the next start has to have a greater `boot`.
    pub fn generation(&self) -> u64 {
        self.me.0.generation
    }

    /// What was refused and sent so far.
    pub const fn stats(&self) -> MembersStats {
        self.stats
    }

    /// By how much this node's suspicions last longer because it does not keep time itself; 1 is healthy.
    pub const fn slowness(&self) -> u32 {
        self.health.factor()
    }

    /// Keys and certificates.
    pub const fn keys(&mut self) -> &mut K {
        &mut self.keys
    }

    /// The same, to be looked at.
    pub const fn known_keys(&self) -> &K {
        &self.keys
    }

    /// Time that passed without this node, or was taken back, counts for no deadline.
    fn wake(&mut self, now: Time) {
        let due = self.poll_timeout();
        let late = now.since(due);
        if now < self.now {
            let back = self.now.since(now);
            self.shift(|time| timers::earlier(time, back));
        } else if due != Time::NEVER && late > LATE {
            self.health.late();
            self.shift(|time| time.after(late));
        }
        self.now = now;
    }

    fn shift(&mut self, shift: impl Fn(Time) -> Time) {
        let moved = |time: Time| if time == Time::NEVER { time } else { shift(time) };
        self.timers.shift(moved);
        self.tick_at = moved(self.tick_at);
        self.reach_at = moved(self.reach_at);
    }

    fn with_foca(
        &mut self,
        work: impl FnOnce(
            &mut Foca<Identity, Codec, Chance, NoCustomBroadcast>,
            &mut AccumulatingRuntime<Identity>,
        ) -> Result<(), foca::Error>,
    ) {
        if work(&mut self.foca, &mut self.runtime).is_err() {
            self.stats.refused += 1;
        }
    }

    /// Begins a new life under a greater generation; the old one is down.
    fn begin_life(&mut self, generation: u64, left: bool) {
        let me = Identity(Record::signed(&self.keys, self.me.0.id, generation, left, &self.card));
        self.me = me.clone();
        self.probe = None;
        self.with_foca(|foca, runtime| foca.change_identity(me, runtime));
        // Probing begins again with the members that are known.
        self.with_foca(|foca, runtime| foca.apply_many(core::iter::empty(), true, runtime));
    }

    fn record(&self) -> Arc<Record> {
        self.me.0.clone()
    }
}

impl<K> fmt::Debug for Members<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members")
            .field("me", &self.me.0)
            .field("peers", &self.peers)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
