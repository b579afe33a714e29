//! Who is logged in anywhere in the fleet: nobody is locked out of one member by another's decision.
//!
//! Members say it in their logs, so that it reaches all who are there, and those who come later, whoever has a stream
//! to whom. A private address is another host at another site: of those only the own site is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use smartfw_core::{
    Time,
    agent::is_all_private,
    fleet::{Entry, NodeId, SESSIONS},
    gossip::Audience,
    members::MAX_MEMBERS,
    prefix,
    protect::{Protected, ProtectedSet, Why},
};

/// Who was logged in stays protected for so long after that was last heard, at least.
const AFTERWARDS: Duration = Duration::from_secs(3600);
/// How often a member says again who is logged in: a run of a kilobyte, and as much longer than needed who has gone
/// stays protected.
const AGAIN: Duration = Duration::from_secs(30 * 60);
/// Newcomers are told of together, so often: whoever logs in all the time must not fill the logs.
const NEWCOMERS: Duration = Duration::from_secs(5);
/// What others say is put together so often: however fast they say it, the node has better things to do.
const PUT_TOGETHER: Duration = Duration::from_secs(1);

/// The sessions of all members.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    own: BTreeSet<IpAddr>,
    /// What was said last, and when.
    said: BTreeSet<IpAddr>,
    said_at: Option<Time>,
    /// Until when who is protected, by the member that says so: at most [`SESSIONS`] of each, so that no member can make
    /// the fleet blind.
    others: BTreeMap<NodeId, BTreeMap<IpAddr, Time>>,
    changed: bool,
    /// When the first of them ends.
    ends: Option<Time>,
    put_together: Option<Time>,
}

impl Sessions {
    /// What our own host protects.
    pub(super) fn see(&mut self, protected: &ProtectedSet) {
        let sessions = protected.iter().filter(|entry| entry.why == Why::SshSession);
        self.own = sessions.map(|entry| entry.net.addr()).take(SESSIONS).collect();
    }

    /// What is to be said now, and to whom. Who is gone need not be told of: what is said ends by itself.
    pub(super) fn news(&mut self, now: Time) -> Vec<(Audience, Entry)> {
        if self.say_at().is_none_or(|at| now < at) {
            return Vec::new();
        }
        (self.said, self.said_at) = (self.own.clone(), Some(now));
        let lasts = Some(AFTERWARDS + AGAIN);
        let (private, public): (Vec<_>, Vec<_>) = self.own.iter().partition(|address| private(**address));
        let all = [(Audience::Cluster, public), (Audience::Site, private)].into_iter();
        let said = all.filter(|(_, addresses)| !addresses.is_empty());
        said.map(|(audience, addresses)| (audience, Entry::Sessions { addresses, lasts })).collect()
    }

    /// There was no room for it: it is said a little later.
    pub(super) fn unsaid(&mut self) {
        self.said.clear();
    }

    fn say_at(&self) -> Option<Time> {
        let newcomers = !self.own.is_subset(&self.said);
        let at = |pause| self.said_at.map_or(Time::ZERO, |said| said.after(pause));
        (!self.own.is_empty()).then(|| at(if newcomers { NEWCOMERS } else { AGAIN }))
    }

    /// A member said, to its site or to all, who was logged in at it; they are protected for so long yet.
    pub(super) fn hear(
        &mut self,
        now: Time,
        (member, site): (NodeId, bool),
        sessions: Vec<IpAddr>,
        remaining: Duration,
    ) {
        if self.others.len() >= MAX_MEMBERS && !self.others.contains_key(&member) {
            return;
        }
        let until = now.after(remaining.min(AFTERWARDS + AGAIN));
        let known = self.others.entry(member).or_default();
        let sessions = sessions.into_iter().take(SESSIONS).map(prefix::canonical);
        for address in sessions.filter(|address| site || !private(*address)) {
            let end = known.entry(address).or_insert_with(|| {
                self.changed = true;
                until
            });
            *end = until.max(*end);
        }
        if known.len() > SESSIONS {
            let mut all: Vec<_> = std::mem::take(known).into_iter().collect();
            all.sort_by_key(|(_, until)| std::cmp::Reverse(*until));
            all.truncate(SESSIONS);
            *known = all.into_iter().collect();
        }
        self.ends = Some(self.ends.map_or(until, |ends| ends.min(until)));
    }

    /// A member was expelled: its word protects nobody.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.changed |= self.others.remove(member).is_some();
    }

    /// When [`news`](Self::news) or [`protected`](Self::protected) has something to give.
    pub(super) fn due(&self) -> Time {
        let due = self.due_at().unwrap_or(Time::NEVER);
        due.min(self.say_at().unwrap_or(Time::NEVER))
    }

    fn due_at(&self) -> Option<Time> {
        let from = self.put_together.map_or(Time::ZERO, |at| at.after(PUT_TOGETHER));
        let at = if self.changed { Some(Time::ZERO) } else { self.ends };
        at.map(|at| at.max(from))
    }

    /// Who is protected besides, where that has changed.
    pub(super) fn protected(
        &mut self,
        now: Time,
        name: impl Fn(&NodeId) -> String,
    ) -> Option<Vec<Protected>> {
        if self.due_at().is_none_or(|at| now < at) {
            return None;
        }
        self.put_together = Some(now);
        for known in self.others.values_mut() {
            let before = known.len();
            known.retain(|_, until| *until > now);
            self.changed |= known.len() != before;
        }
        self.others.retain(|_, known| !known.is_empty());
        self.ends = self.others.values().flat_map(BTreeMap::values).min().copied();
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let entry = |(member, known): (&NodeId, &BTreeMap<IpAddr, Time>)| {
            let detail = name(member);
            let of = move |address: &IpAddr| Protected {
                net: prefix::host(*address),
                why: Why::SshSession,
                detail: format!("on {detail}"),
            };
            known.keys().map(of).collect::<Vec<_>>()
        };
        Some(self.others.iter().flat_map(entry).collect())
    }
}

fn private(address: IpAddr) -> bool {
    is_all_private(&prefix::host(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: (NodeId, bool) = (NodeId([2; 32]), false);
    const LONG: Duration = Duration::from_secs(5400);

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn nets(sessions: &mut Sessions, now: u64) -> Option<usize> {
        sessions.protected(Time::from_secs(now), |_| "web-2".into()).map(|all| all.len())
    }

    #[test]
    fn whoever_is_logged_in_elsewhere_is_protected_here_for_as_long_as_it_was_said() {
        let mut sessions = Sessions::default();
        sessions.hear(Time::from_secs(10), MEMBER, vec![address(1), address(2)], LONG);
        assert_eq!(nets(&mut sessions, 11), Some(2));
        sessions.hear(Time::from_secs(1800), MEMBER, vec![address(2)], LONG);
        // What comes late, and is older, takes nothing back.
        sessions.hear(Time::from_secs(1801), MEMBER, vec![address(2)], Duration::from_secs(60));
        assert_eq!((nets(&mut sessions, 5409), sessions.due()), (None, Time::from_secs(5410)));
        assert_eq!(nets(&mut sessions, 5411), Some(1));
        sessions.forget(&MEMBER.0);
        assert_eq!(nets(&mut sessions, 5413), Some(0));
        assert_eq!(sessions.due(), Time::NEVER);
    }

    #[test]
    fn one_member_protects_only_so_many_and_nobody_for_longer_than_any() {
        let mut sessions = Sessions::default();
        for n in 0..200 {
            let forever = Duration::from_secs(1 << 30);
            sessions.hear(Time::from_secs(n), MEMBER, vec![address(n as u8)], forever);
        }
        assert_eq!(nets(&mut sessions, 200), Some(SESSIONS));
        assert_eq!(nets(&mut sessions, 200 + 5400), Some(0));
    }

    #[test]
    fn however_fast_a_member_changes_its_mind_it_is_put_together_once_a_second() {
        let mut sessions = Sessions::default();
        let mut times = 0;
        for n in 0..300_u64 {
            let now = Time::from_nanos(n * 10_000_000);
            sessions.hear(now, MEMBER, vec![address(n as u8)], LONG);
            times += usize::from(sessions.protected(now, |_| "web-2".into()).is_some());
        }
        assert_eq!(times, 3, "in three seconds");
        assert_eq!(sessions.due(), Time::from_secs(3), "the last word is not lost");
        assert_eq!(nets(&mut sessions, 3), Some(SESSIONS));
    }

    #[test]
    fn our_own_are_said_when_somebody_comes_and_now_and_then() {
        let mut sessions = Sessions::default();
        let set = |all: &[u8]| {
            let protected = |n: &u8| {
                let (net, detail) = (prefix::host(address(*n)), String::new());
                Protected { net, why: Why::SshSession, detail }
            };
            ProtectedSet::new(all.iter().map(protected).collect())
        };
        let said = |sessions: &mut Sessions, now| match sessions.news(Time::from_secs(now)).pop() {
            Some((Audience::Cluster, Entry::Sessions { addresses, lasts })) => {
                assert_eq!(lasts, Some(LONG));
                Some(addresses)
            }
            _ => None,
        };
        assert_eq!((said(&mut sessions, 1), sessions.due()), (None, Time::NEVER));
        sessions.see(&set(&[1]));
        assert_eq!(said(&mut sessions, 1), Some(vec![address(1)]));
        sessions.see(&set(&[1, 2]));
        assert_eq!((said(&mut sessions, 2), sessions.due()), (None, Time::from_secs(6)));
        assert_eq!(said(&mut sessions, 6), Some(vec![address(1), address(2)]));
        sessions.see(&set(&[2]));
        assert_eq!((said(&mut sessions, 20), sessions.due()), (None, Time::from_secs(1806)));
        assert_eq!(said(&mut sessions, 1806), Some(vec![address(2)]));
        sessions.unsaid();
        assert_eq!(said(&mut sessions, 1811), Some(vec![address(2)]));
        sessions.see(&set(&[]));
        assert_eq!(said(&mut sessions, 9999), None);
    }

    #[test]
    fn a_private_address_is_said_to_the_own_site_alone_and_heard_of_it_alone() {
        let (private, public) = (IpAddr::from([10, 0, 0, 7]), address(1));
        let mut sessions = Sessions { own: [private, public].into(), ..Sessions::default() };
        let said = sessions.news(Time::from_secs(1));
        let entry = |address| Entry::Sessions { addresses: vec![address], lasts: Some(LONG) };
        assert_eq!(said, [(Audience::Cluster, entry(public)), (Audience::Site, entry(private))]);
        let mapped: IpAddr = "::ffff:10.0.0.7".parse().unwrap();
        sessions.hear(Time::from_secs(1), MEMBER, vec![private, mapped, public], LONG);
        assert_eq!(nets(&mut sessions, 2), Some(1));
        sessions.hear(Time::from_secs(2), (MEMBER.0, true), vec![private], LONG);
        assert_eq!(nets(&mut sessions, 4), Some(2));
    }
}
