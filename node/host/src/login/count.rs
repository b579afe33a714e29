//! One attempt, one failure: sshd speaks of most attempts more than once.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use super::message::{Kind, Said};

/// Connections remembered. sshd admits a hundred unauthenticated ones at a time; the rest is for messages that come late.
const MAX_CONNECTIONS: usize = 4096;

/// What was already counted of the connections of late.
#[derive(Default)]
pub(super) struct Counter {
    connections: BTreeMap<(IpAddr, u16), Counted>,
    order: VecDeque<(IpAddr, u16)>,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    failures: u32,
    /// The user was reported as unknown, and counted: the first wrong password is the same attempt.
    unknown_user: bool,
}

impl Counter {
    /// How many logins this message adds.
    pub(super) fn count(&mut self, said: &Said) -> u32 {
        let key = (said.source, said.port);
        if said.kind == Kind::Accepted {
            self.connections.remove(&key);
            return said.times;
        }
        let counted = self.connection(key);
        let new = match said.kind {
            Kind::WrongPassword if counted.unknown_user => said.times - 1,
            Kind::WrongPassword => said.times,
            Kind::Accepted | Kind::WrongKey | Kind::NoSuchUser | Kind::GaveUp => {
                u32::from(counted.failures == 0)
            }
        };
        counted.unknown_user = said.kind == Kind::NoSuchUser;
        counted.failures = counted.failures.saturating_add(new.max(1));
        new
    }

    fn connection(&mut self, key: (IpAddr, u16)) -> &mut Counted {
        if !self.connections.contains_key(&key) {
            self.order.push_back(key);
            while self.order.len() > MAX_CONNECTIONS {
                self.order.pop_front().and_then(|oldest| self.connections.remove(&oldest));
            }
        }
        self.connections.entry(key).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(kinds: &[Kind]) -> Vec<u32> {
        let mut counter = Counter::default();
        kinds.iter().map(|kind| counter.count(&said(*kind, 1))).collect()
    }

    fn said(kind: Kind, port: u16) -> Said {
        Said { kind, source: "192.0.2.1".parse().unwrap(), port, user: String::new(), times: 1 }
    }

    #[test]
    fn each_wrong_password_counts_and_hanging_up_does_not_again() {
        use Kind::*;
        assert_eq!(count(&[WrongPassword, WrongPassword, GaveUp]), [1, 1, 0]);
    }

    #[test]
    fn an_unknown_user_and_its_wrong_password_are_one_attempt() {
        use Kind::*;
        assert_eq!(count(&[NoSuchUser, WrongPassword, WrongPassword, GaveUp]), [1, 0, 1, 0]);
        assert_eq!(count(&[NoSuchUser, GaveUp]), [1, 0]);
    }

    #[test]
    fn a_client_that_offers_all_its_keys_fails_once() {
        use Kind::*;
        assert_eq!(count(&[WrongKey, WrongKey, WrongKey, Accepted]), [1, 0, 0, 1]);
    }

    #[test]
    fn hanging_up_without_a_word_counts_once() {
        assert_eq!(count(&[Kind::GaveUp, Kind::GaveUp]), [1, 0]);
    }

    #[test]
    fn connections_beyond_the_limit_are_forgotten() {
        let mut counter = Counter::default();
        (0..5000).for_each(|port| assert_eq!(counter.count(&said(Kind::GaveUp, port)), 1));
        assert_eq!((counter.connections.len(), counter.order.len()), (MAX_CONNECTIONS, MAX_CONNECTIONS));
    }
}
