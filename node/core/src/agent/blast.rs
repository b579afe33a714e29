//! The bound of the blast: how many sources detection may block within a minute, and what it does when its own
//! blocks seem to cut off everybody.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use ipnet::IpNet;

use crate::{Class, Evidence, Time, Verdict, config::BlastLimits, policy::Veto};

/// The span that blocks are counted over, and the span of normal times that a collapse is measured against.
const MINUTE: Duration = Duration::from_secs(60);
/// A collapse this long after a block is blamed on it.
const BLAME: Duration = Duration::from_secs(10);
/// A second without clients is chance; so long after the block it is not.
const SETTLE: Duration = Duration::from_secs(3);
/// For how long a class falls back to reporting after a collapse, and for how long a reached bound is shown.
const FALLBACK: Duration = Duration::from_secs(600);
/// With fewer clients a second than this, silence proves nothing.
const FEWEST_CLIENTS: f32 = 5.0;
/// Below this share of the earlier clients it is a collapse.
const COLLAPSE: f32 = 0.1;

/// Counts automatic blocks, and watches what became of the clients.
#[derive(Clone, Debug, Default)]
pub(super) struct Blast {
    /// New automatic blocks of the last minute: at most the limit of each class.
    made: BTreeMap<Class, VecDeque<Made>>,
    /// Those of sources that had connections open.
    established: VecDeque<Time>,
    /// Clients that completed a handshake, second by second, over the last minute.
    clients: VecDeque<(Time, u32)>,
    /// Classes that only report, and until when.
    fallback: BTreeMap<Class, Time>,
    /// When each bound was last reached.
    reached: BTreeMap<Veto, Time>,
}

/// An automatic block.
#[derive(Clone, Copy, Debug)]
struct Made {
    at: Time,
    target: IpNet,
    /// Whether it completed handshakes, and so was one of the clients.
    client: bool,
}

impl Blast {
    /// Admits one more new automatic block.
    ///
    /// # Errors
    /// Which bound is reached.
    pub(super) fn admit(
        &mut self,
        now: Time,
        class: Class,
        established: bool,
        limits: &BlastLimits,
    ) -> Result<(), Veto> {
        self.forget(now);
        let made = self.made.get(&class).map_or(0, VecDeque::len);
        let full = |count: usize, limit: u32| count >= limit as usize;
        let veto = if self.fallback.contains_key(&class) {
            Veto::Collapse
        } else if full(made, limits.blocks_per_minute) {
            Veto::TooMany
        } else if established && full(self.established.len(), limits.established_per_minute) {
            Veto::TooManyEstablished
        } else {
            return Ok(());
        };
        self.reached.insert(veto, now);
        Err(veto)
    }

    /// Counts a block that was made on the word of `verdict`.
    pub(super) fn made(&mut self, now: Time, target: IpNet, verdict: &Verdict) {
        let client = verdict.evidence == Some(Evidence::Handshake);
        self.made.entry(verdict.class).or_default().push_back(Made { at: now, target, client });
        if verdict.standing.established {
            self.established.push_back(now);
        }
    }

    /// Counts a block that a feed brought: it is bound by nothing but what becomes of the clients.
    pub(super) fn listed(&mut self, now: Time, target: IpNet) {
        self.forget(now);
        self.made.entry(Class::Feed).or_default().push_back(Made { at: now, target, client: false });
    }

    /// Whether a class only reports now, since the clients vanished after its blocks.
    pub(super) fn fallen_back(&self, now: Time, class: Class) -> bool {
        self.fallback.get(&class).is_some_and(|until| *until > now)
    }

    /// Another limit made detection report instead of block.
    pub(super) fn reached(&mut self, now: Time, veto: Veto) {
        self.reached.insert(veto, now);
    }

    /// Takes how many clients completed a handshake within the last second. When they collapsed after automatic
    /// blocks, gives the blocks of the last minute of the classes to blame, which from now on only report.
    pub(super) fn clients(&mut self, now: Time, clients: u32) -> Vec<(Class, IpNet)> {
        self.forget(now);
        self.clients.push_back((now, clients));
        let blamed = self.blamed(now);
        let Some(since) = blamed.values().min().copied() else { return Vec::new() };
        if now.since(since) < SETTLE || !self.collapsed(since) {
            return Vec::new();
        }
        self.reached.insert(Veto::Collapse, now);
        let until = now.after(FALLBACK);
        let mut withdrawn = Vec::new();
        for class in blamed.into_keys() {
            self.fallback.insert(class, until);
            let made = self.made.remove(&class).unwrap_or_default();
            withdrawn.extend(made.into_iter().map(|made| (class, made.target)));
        }
        withdrawn
    }

    /// The bounds that were reached within the last ten minutes.
    pub(super) fn shown(&self, now: Time) -> impl Iterator<Item = Veto> {
        self.reached.iter().filter(move |(_, at)| now.since(**at) < FALLBACK).map(|(veto, _)| *veto)
    }

    /// The classes with blocks young enough to be blamed, and when the first of those was made.
    fn blamed(&self, now: Time) -> BTreeMap<Class, Time> {
        let young =
            |made: &VecDeque<Made>| made.iter().map(|made| made.at).find(|at| now.since(*at) <= BLAME);
        self.made.iter().filter_map(|(class, made)| Some((*class, young(made)?))).collect()
    }

    /// Whether far fewer clients came after `since` than before, beyond those that were blocked: an attacker who
    /// is gone is no collapse.
    fn collapsed(&self, since: Time) -> bool {
        let mean = |after: bool| {
            let seconds = self.clients.iter().filter(|(at, _)| (*at > since) == after).map(|(_, n)| *n);
            let (sum, count) = seconds.fold((0u64, 0u32), |(sum, count), n| (sum + u64::from(n), count + 1));
            (count > 0).then(|| sum as f32 / count as f32)
        };
        let (Some(before), Some(after)) = (mean(false), mean(true)) else { return false };
        let expected = before - self.blocked(since);
        expected >= FEWEST_CLIENTS && after < expected * COLLAPSE
    }

    /// How many of the mean clients before `since` were blocked ones: each for as long as it could still be one.
    fn blocked(&self, since: Time) -> f32 {
        let seconds = |until: Time| self.clients.iter().filter(|(at, _)| *at <= until).count() as f32;
        let all = seconds(since);
        let clients = self.made.values().flatten().filter(|made| made.client);
        clients.map(|made| seconds(made.at.min(since)) / all).sum()
    }

    fn forget(&mut self, now: Time) {
        let old = |at: &Time| now.since(*at) >= MINUTE;
        for made in self.made.values_mut() {
            while made.front().is_some_and(|made| old(&made.at)) {
                made.pop_front();
            }
        }
        while self.established.front().is_some_and(old) {
            self.established.pop_front();
        }
        // One entry a second: a driver that reports more often only shortens what is remembered.
        while self.clients.front().is_some_and(|(at, _)| old(at)) || self.clients.len() > 60 {
            self.clients.pop_front();
        }
        self.fallback.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(n: u8) -> IpNet {
        IpNet::from(core::net::IpAddr::from([192, 0, 2, n]))
    }

    fn flood() -> Verdict {
        crate::agent::tests::verdict("192.0.2.1", Class::HttpFlood, Some(Evidence::Handshake))
    }

    /// Twenty clients a second for a minute, then blocks, then `after` clients a second for five seconds.
    fn withdrawn(before: u32, blocks: u8, after: u32) -> Vec<(Class, IpNet)> {
        let mut blast = Blast::default();
        for second in 0..60 {
            assert!(blast.clients(Time::from_secs(second), before).is_empty());
        }
        for n in 0..blocks {
            blast.made(Time::from_secs(59), target(n), &flood());
        }
        (60..65).flat_map(|second| blast.clients(Time::from_secs(second), after)).collect()
    }

    #[test]
    fn a_collapse_of_clients_withdraws_the_blocks_that_caused_it() {
        assert_eq!(withdrawn(20, 2, 1).len(), 2);
        assert_eq!(withdrawn(20, 2, 10).len(), 0, "half of the clients are still there");
        assert_eq!(withdrawn(4, 1, 0).len(), 0, "too few to tell");
        assert_eq!(withdrawn(20, 18, 0).len(), 0, "the blocked ones were nearly all there were");
    }

    #[test]
    fn blocks_that_cost_no_client_explain_no_collapse() {
        let mut blast = Blast::default();
        (0..60).for_each(|second| drop(blast.clients(Time::from_secs(second), 20)));
        let forged = crate::agent::tests::verdict("192.0.2.1", Class::PortScan, Some(Evidence::Spoofable));
        (0..30).for_each(|n| blast.made(Time::from_secs(59), target(n), &forged));
        // These were gone for most of the time that counts as normal.
        (30..60).for_each(|n| blast.made(Time::from_secs(5), target(n), &flood()));
        blast.made(Time::from_secs(59), target(99), &flood());
        let gone: Vec<_> = (60..64).flat_map(|second| blast.clients(Time::from_secs(second), 0)).collect();
        assert!(gone.contains(&(Class::HttpFlood, target(99))));
    }

    #[test]
    fn attackers_that_were_blocked_one_after_the_other_are_no_collapse() {
        let mut blast = Blast::default();
        for second in 0..64 {
            let left = 58u32.saturating_sub(second);
            assert!(blast.clients(Time::from_secs(second.into()), left).is_empty());
            if left > 0 {
                blast.made(Time::from_secs(second.into()), target(second as u8), &flood());
            }
        }
    }

    #[test]
    fn a_class_that_cut_off_the_clients_only_reports_for_ten_minutes() {
        let mut blast = Blast::default();
        (0..60).for_each(|second| drop(blast.clients(Time::from_secs(second), 50)));
        blast.made(Time::from_secs(59), target(1), &flood());
        (60..65).for_each(|second| drop(blast.clients(Time::from_secs(second), 0)));
        let limits = BlastLimits::default();
        let admit = |blast: &mut Blast, at, class| blast.admit(Time::from_secs(at), class, false, &limits);
        assert_eq!(admit(&mut blast, 66, Class::HttpFlood), Err(Veto::Collapse));
        assert_eq!(admit(&mut blast, 66, Class::BruteForce), Ok(()));
        assert_eq!(admit(&mut blast, 663, Class::HttpFlood), Ok(()));
    }
}
