//! Who was expelled: members, and operators whose orders end with them.

use alloc::{collections::BTreeSet, vec::Vec};

use ipnet::IpNet;

use crate::{
    Time,
    blocklist::Held,
    fleet::{NodeId, OrderKind},
    record::Speaker,
};

use super::super::{Agent, effects::Key};

impl Agent {
    /// A member was expelled: forgets it, and ends what it said. What operators signed and it only carried stands.
    pub fn handle_expelled(&mut self, now: Time, node: NodeId) {
        self.handle_timeout(now);
        self.expel(now, node);
    }

    pub(super) fn expel(&mut self, now: Time, node: NodeId) {
        if self.fleet.me == Some(node) {
            return;
        }
        self.end_words(now, |held| held.version().is_some_and(|(origin, _)| origin == node));
        self.fleet.origins.remove(&node);
        if self.fleet.trust.forget(&node) {
            self.outbox.persist(now, Key::Trust(node));
        }
    }

    /// Operators were expelled: those whose key, and the key of whoever made their certificate, `out` names. Their orders
    /// end, with what they blocked, allowed, declared, and said for or against members. What was unblocked stays so until
    /// somebody blocks it again.
    pub fn handle_operators_expelled(&mut self, now: Time, out: impl Fn(&NodeId, &NodeId) -> bool) {
        self.handle_timeout(now);
        self.drop_refused(&out);
        let orders = self.fleet.orders.signed_by(out);
        if orders.is_empty() {
            return;
        }
        self.end_words(
            now,
            |held| matches!(held.words.speaker(), Some(Speaker::Order(id)) if orders.contains(id)),
        );
        let ended: Vec<_> = orders.iter().filter_map(|id| self.fleet.orders.remove(*id)).collect();
        ended.iter().for_each(|row| self.order_ended(now, row));
        let panics = ended.iter().filter(|row| matches!(row.order.kind, OrderKind::Panic { .. }));
        if let Some(last) = panics.map(|row| row.until).max() {
            self.panics_void(now, last);
        }
        self.unsay(now, &orders);
        self.take_refused(now);
    }

    /// What waits for room comes from nobody who was expelled meanwhile.
    fn drop_refused(&mut self, out: impl Fn(&NodeId, &NodeId) -> bool) {
        let refused = self.fleet.refused.iter().filter(|(_, entry)| out(&entry.0.signer, &entry.0.issuer));
        for id in refused.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.fleet.refused.remove(&id);
        }
    }

    /// What expelled operators said for or against members is void; the last word of the others holds.
    fn unsay(&mut self, now: Time, orders: &BTreeSet<u128>) {
        for node in self.fleet.trust.nodes().collect::<Vec<_>>() {
            let words: Vec<_> = self.fleet.orders.trust_of(&node).collect();
            self.weigh_trust(now, node, |trust| {
                let unsaid = trust.unsay(node, orders);
                let mut again = |(at, id, believed)| trust.order(node, at, id, believed);
                words.into_iter().fold(unsaid, |changed, word| again(word) || changed)
            });
        }
    }

    pub(super) fn end_words(&mut self, now: Time, which: impl Fn(&Held) -> bool) {
        let some = self.blocks.iter().filter(|(_, entries)| entries.iter().any(&which));
        let targets: Vec<IpNet> = some.map(|(target, _)| *target).collect();
        for target in targets {
            self.end(now, target, |blocks| blocks.remove_where(&target, &which));
        }
    }
}
