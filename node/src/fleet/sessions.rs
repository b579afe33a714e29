//! Who is logged in anywhere in the fleet: nobody is locked out of one member by another's decision.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use smartfw_core::{
    Time,
    fleet::NodeId,
    members::MAX_MEMBERS,
    prefix,
    protect::{Protected, ProtectedSet, Why},
};
use smartfw_proto::limits::SESSIONS;

/// Who was logged in stays protected for so long after that was last heard.
const AFTERWARDS: Duration = Duration::from_secs(3600);
/// How often a member tells of its sessions although nothing has changed.
const AGAIN: Duration = Duration::from_secs(600);

/// The sessions of all members.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    own: BTreeSet<IpAddr>,
    told: Option<Time>,
    /// Until when who is protected, by the member that says so: at most [`SESSIONS`] of each, so that no member can make
    /// the fleet blind.
    others: BTreeMap<NodeId, BTreeMap<IpAddr, Time>>,
    changed: bool,
}

impl Sessions {
    /// What our own host protects: its sessions are told to others when they change.
    pub(super) fn see(&mut self, protected: &ProtectedSet) {
        let sessions = protected.iter().filter(|entry| entry.why == Why::SshSession);
        let sessions: BTreeSet<IpAddr> = sessions.map(|entry| entry.net.addr()).take(SESSIONS).collect();
        if sessions != self.own {
            (self.own, self.told) = (sessions, None);
        }
    }

    /// What is to be told to everybody now.
    pub(super) fn news(&mut self, now: Time) -> Option<Vec<IpAddr>> {
        let due = self.told.is_none_or(|told| now.since(told) >= AGAIN || now < told);
        let first = self.told.is_none();
        if !due || (self.own.is_empty() && !first) {
            return None;
        }
        self.told = Some(now);
        Some(self.own())
    }

    /// What a member that is new is told.
    pub(super) fn own(&self) -> Vec<IpAddr> {
        self.own.iter().copied().collect()
    }

    /// A member tells all of its sessions: those that it tells no more are protected for a while.
    pub(super) fn hear(&mut self, now: Time, member: NodeId, sessions: Vec<IpAddr>) {
        if self.others.len() >= MAX_MEMBERS && !self.others.contains_key(&member) {
            return;
        }
        let known = self.others.entry(member).or_default();
        for address in sessions.into_iter().map(prefix::canonical) {
            self.changed |= known.insert(address, now.after(AFTERWARDS)).is_none();
        }
        while known.len() > SESSIONS {
            let oldest = known.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address);
            oldest.map(|address| known.remove(&address));
            self.changed = true;
        }
    }

    /// A member was expelled: its word protects nobody.
    pub(super) fn forget(&mut self, member: &NodeId) {
        self.changed |= self.others.remove(member).is_some();
    }

    /// Who is protected besides, where that has changed.
    pub(super) fn protected(
        &mut self,
        now: Time,
        name: impl Fn(&NodeId) -> String,
    ) -> Option<Vec<Protected>> {
        for known in self.others.values_mut() {
            let before = known.len();
            known.retain(|_, until| *until > now);
            self.changed |= known.len() != before;
        }
        self.others.retain(|_, known| !known.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn nets(sessions: &mut Sessions, now: u64) -> Option<usize> {
        sessions.protected(Time::from_secs(now), |_| "web-2".into()).map(|all| all.len())
    }

    #[test]
    fn whoever_is_logged_in_elsewhere_is_protected_here_for_an_hour_more() {
        let (mut sessions, member) = (Sessions::default(), NodeId([2; 32]));
        sessions.hear(Time::from_secs(0), member, vec![address(1), address(2)]);
        assert_eq!(nets(&mut sessions, 1), Some(2));
        sessions.hear(Time::from_secs(600), member, vec![address(2)]);
        assert_eq!(nets(&mut sessions, 3599), None);
        assert_eq!(nets(&mut sessions, 3601), Some(1));
        sessions.forget(&member);
        assert_eq!(nets(&mut sessions, 3602), Some(0));
    }

    #[test]
    fn one_member_protects_only_so_many() {
        let mut sessions = Sessions::default();
        for n in 0..200 {
            sessions.hear(Time::from_secs(n), NodeId([2; 32]), vec![address(n as u8)]);
        }
        assert_eq!(nets(&mut sessions, 200), Some(SESSIONS));
    }

    #[test]
    fn our_own_are_told_when_they_change_and_now_and_then() {
        let mut sessions = Sessions::default();
        let set = |n| {
            let (net, detail) = (prefix::host(address(n)), String::new());
            ProtectedSet::new(vec![Protected { net, why: Why::SshSession, detail }])
        };
        sessions.see(&set(1));
        assert_eq!(sessions.news(Time::from_secs(1)), Some(vec![address(1)]));
        sessions.see(&set(1));
        assert_eq!(sessions.news(Time::from_secs(2)), None);
        assert_eq!(sessions.news(Time::from_secs(602)), Some(vec![address(1)]));
        sessions.see(&set(2));
        assert_eq!(sessions.news(Time::from_secs(603)), Some(vec![address(2)]));
    }
}
