//! How far members are believed. Everybody starts at the top; only operators lower it, and only they restore it.
//!
//! The score is a function of what operators have signed, whatever the order it came in: of the mistakes of any
//! twenty-four hours four count.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use crate::{Time, fleet::NodeId, record::Trust};

/// Members of which something is known for or against: all that a fleet may have, and as many that left.
pub(super) const TRUSTED: usize = 8192;
/// Full trust, per cent.
pub(super) const FULL: u8 = 100;
/// What one mistake costs, per cent.
const MISTAKE: u8 = 5;
/// Mistakes within [`DAY`] that count: without a proof nobody loses more than a fifth in it.
const A_DAY: usize = 4;
/// Mistakes that leave nothing: no more have to be remembered.
const MOST: usize = (FULL / MISTAKE) as usize;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Debug)]
pub(in super::super) struct Ledger(BTreeMap<NodeId, Account>);

/// What is known of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Account {
    /// When signed, and by which order.
    blames: BTreeSet<(Time, u128)>,
    proof: Option<Time>,
    word: Option<(Time, u128, bool)>,
}

impl Ledger {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// How far a member is believed, per cent.
    pub(super) fn score(&self, node: &NodeId) -> u8 {
        self.0.get(node).map_or(FULL, Account::score)
    }

    /// What an operator says of it outright.
    pub(super) fn word(&self, node: &NodeId) -> Option<bool> {
        self.0.get(node)?.word.map(|(.., believed)| believed)
    }

    /// Whether its blocks may be enforced.
    pub(super) fn believes(&self, node: &NodeId, limit: u8) -> bool {
        self.word(node) != Some(false) && self.score(node) >= limit
    }

    /// An order calls its block a mistake, or a block is one by itself. Says whether anything changed.
    pub(super) fn blame(&mut self, node: NodeId, at: Time, name: u128) -> bool {
        self.change(node, |account| {
            // The age of the same block is known to the millisecond, and not always the same.
            if account.blames.iter().all(|(_, known)| *known != name) {
                account.blames.insert((at, name));
            }
        })
    }

    /// It blocked at `at` what no honest member blocks. The first proof that is not forgiven is enough.
    pub(super) fn prove(&mut self, node: NodeId, at: Time) -> bool {
        self.change(node, |account| {
            if !account.counts(account.proof) {
                account.proof = account.proof.max(Some(at));
            }
        })
    }

    /// Forgets what these orders said of a member.
    pub(super) fn unsay(&mut self, node: NodeId, orders: &BTreeSet<u128>) -> bool {
        self.change(node, |account| {
            account.blames.retain(|(_, order)| !orders.contains(order));
            account.word = account.word.filter(|(_, order, _)| !orders.contains(order));
        })
    }

    /// An operator's order says whether to believe it; the last one signed holds. Belief forgives what was before.
    pub(super) fn order(&mut self, node: NodeId, issued: Time, order: u128, believed: bool) -> bool {
        self.change(node, |account| account.word = account.word.max(Some((issued, order, believed))))
    }

    pub(super) fn forget(&mut self, node: &NodeId) -> bool {
        self.0.remove(node).is_some()
    }

    pub(in super::super) fn restore(&mut self, trust: Trust) {
        let Trust { node, blames, proof, word } = trust;
        self.change(node, |account| {
            account.blames.extend(blames);
            (account.proof, account.word) = (account.proof.max(proof), account.word.max(word));
        });
    }

    pub(in super::super) fn record(&self, node: &NodeId) -> Option<Trust> {
        let Account { blames, proof, word } = self.0.get(node)?;
        let blames: Vec<_> = blames.iter().copied().collect();
        Some(Trust { node: *node, blames, proof: *proof, word: *word })
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.0.keys().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Account)) -> bool {
        if !self.0.contains_key(&node) && self.0.len() >= TRUSTED && !self.make_room() {
            return false;
        }
        let account = self.0.entry(node).or_default();
        let before = account.clone();
        change(account);
        account.tidy();
        *account != before
    }

    /// Forgets a member against whom least is held, unless that is much.
    fn make_room(&mut self) -> bool {
        let spare = self.0.iter().filter(|(_, account)| account.word.is_none());
        let spare = spare.max_by_key(|(_, account)| account.score()).map(|(node, _)| *node);
        spare.is_some_and(|node| self.0.remove(&node).is_some())
    }
}

impl Account {
    fn score(&self) -> u8 {
        if self.counts(self.proof) {
            return 0;
        }
        let mistakes = self.blames.iter().filter(|(at, _)| self.counts(Some(*at))).count();
        FULL - MISTAKE * mistakes.min(MOST) as u8
    }

    /// Whether it was later than the last order to believe.
    fn counts(&self, at: Option<Time>) -> bool {
        let forgiven = self.word.filter(|(.., believed)| *believed).map(|(issued, ..)| issued);
        at.is_some() && at > forgiven
    }

    /// Keeps what can make a difference: the last four of any day, the last twenty of all.
    fn tidy(&mut self) {
        let mut kept: Vec<(Time, u128)> = Vec::new();
        for blame in self.blames.iter().rev() {
            let within = kept.iter().rev().take_while(|(later, _)| later.since(blame.0) < DAY);
            if within.count() < A_DAY && kept.len() < MOST {
                kept.push(*blame);
            }
        }
        self.blames = kept.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    const fn day(n: u64) -> Time {
        Time::from_secs(n * DAY.as_secs())
    }

    #[test]
    fn a_day_s_mistakes_cost_a_fifth_at_most_and_an_order_counts_once() {
        let mut ledger = Ledger::new();
        assert!(ledger.blame(node(1), day(3), 7));
        assert!(!ledger.blame(node(1), day(3), 7));
        assert_eq!(ledger.score(&node(1)), 95);
        let blame = |ledger: &mut Ledger, n| {
            for order in 0..100 {
                ledger.blame(node(1), day(n), order);
            }
        };
        blame(&mut ledger, 3);
        assert_eq!(ledger.score(&node(1)), 80);
        (4..100).for_each(|n| blame(&mut ledger, n));
        assert_eq!(ledger.score(&node(1)), 0);
        assert_eq!(ledger.record(&node(1)).unwrap().blames.len(), MOST);
    }

    #[test]
    fn midnight_gives_no_more_mistakes_to_count() {
        let mut ledger = Ledger::new();
        for n in 0..20 {
            ledger.blame(node(1), Time::from_secs(day(3).as_secs() - 600 + 60 * n), n.into());
        }
        assert_eq!(ledger.score(&node(1)), 80);
        ledger.blame(node(1), day(5), 99);
        assert_eq!(ledger.score(&node(1)), 75);
    }

    #[test]
    fn one_proof_is_enough_until_it_is_forgiven() {
        let mut ledger = Ledger::new();
        assert!(ledger.prove(node(1), day(3)));
        assert!(!ledger.prove(node(1), day(4)), "nothing is written anew for every lie");
        ledger.order(node(1), day(5), 1, true);
        assert!(ledger.prove(node(1), day(6)));
        assert_eq!(ledger.score(&node(1)), 0);
    }

    #[test]
    fn an_order_to_believe_forgives_what_was_before_it() {
        let mut ledger = Ledger::new();
        ledger.prove(node(1), day(3));
        assert_eq!(ledger.score(&node(1)), 0);
        ledger.order(node(1), day(4), 1, true);
        assert_eq!(ledger.score(&node(1)), FULL);
        ledger.blame(node(1), day(3), 2);
        assert_eq!(ledger.score(&node(1)), FULL);
        ledger.blame(node(1), day(5), 3);
        assert_eq!(ledger.score(&node(1)), 95);
        ledger.order(node(1), day(2), 4, false);
        assert!(ledger.believes(&node(1), 50), "the last one signed holds");
        ledger.order(node(1), day(6), 5, false);
        assert!(!ledger.believes(&node(1), 50));
    }

    #[test]
    fn trust_is_bounded_and_who_is_held_to_be_a_liar_stays_one() {
        let mut ledger = Ledger::new();
        ledger.prove(NodeId([255; 32]), day(1));
        for n in 0..TRUSTED as u32 + 100 {
            let mut id = [0; 32];
            id[..4].copy_from_slice(&n.to_be_bytes());
            ledger.blame(NodeId(id), day(1), 1);
        }
        assert_eq!(ledger.len(), TRUSTED);
        assert_eq!(ledger.score(&NodeId([255; 32])), 0);
    }
}
