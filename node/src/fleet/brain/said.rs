//! Operators' orders that this node's own log says: whoever passes one on again makes the log no longer by it.

use std::collections::{BTreeMap, BTreeSet};

use smartfw_core::Time;

/// Orders known to be said: more than hold at once, in 4 MB. One beyond them is said once more when it comes again.
const ORDERS: usize = 32_768;

/// Orders that our own log says, or is about to, until they are over.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// When each is over, and whether it is in the log already.
    orders: BTreeMap<u128, (Time, bool)>,
    ends: BTreeSet<(Time, u128)>,
}

impl Said {
    /// An order waits to be signed.
    pub(super) fn wait(&mut self, now: Time, id: u128, until: Time) {
        self.insert(now, id, (until, false));
    }

    /// Our log says an order.
    pub(super) fn say(&mut self, now: Time, id: u128, until: Time) {
        self.insert(now, id, (until, true));
    }

    /// Whether an order is in the log already; `None` where it does not even wait to be.
    pub(super) fn get(&self, id: u128) -> Option<bool> {
        self.orders.get(&id).map(|(_, said)| *said)
    }

    fn insert(&mut self, now: Time, id: u128, known: (Time, bool)) {
        if let Some((until, _)) = self.orders.insert(id, known) {
            self.ends.remove(&(until, id));
        }
        self.ends.insert((known.0, id));
        while self.orders.len() > ORDERS || self.ends.first().is_some_and(|(until, _)| *until <= now) {
            let Some((_, id)) = self.ends.pop_first() else { break };
            self.orders.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_known_to_be_said_until_it_is_over() {
        let (mut said, at) = (Said::default(), Time::from_secs);
        said.wait(at(1), 7, at(10));
        assert_eq!((said.get(7), said.get(8)), (Some(false), None));
        said.say(at(2), 7, at(20));
        said.say(at(19), 8, Time::NEVER);
        assert_eq!(said.get(7), Some(true), "its end is the last that was told");
        said.wait(at(20), 9, at(30));
        assert_eq!([7, 8, 9].map(|id| said.get(id)), [None, Some(true), Some(false)]);
    }

    #[test]
    fn no_more_are_known_than_may_be_and_the_first_to_end_go_first() {
        let mut said = Said::default();
        for id in 0..=ORDERS as u64 {
            said.say(Time::ZERO, id.into(), Time::from_secs(10 + id));
        }
        assert_eq!((said.orders.len(), said.ends.len(), said.get(0)), (ORDERS, ORDERS, None));
        assert_eq!(said.get(ORDERS as u128), Some(true));
    }
}
