//! Operators stop enforcement everywhere, for a while.

use crate::{Time, fleet::OrderKind, gossip::TOLERANCE, order::EnforcementState};

use super::super::{Agent, effects::Key};

impl Agent {
    /// Stops enforcing until `until`, unless an operator has ended the panic since, it is off anyway, or a panic lasts
    /// longer.
    pub(super) fn panic_ordered(&mut self, now: Time, word: (Time, u128), until: Time) {
        let ended = self.fleet.orders.rows().any(|row| {
            matches!(row.order.kind, OrderKind::Resume) && (row.order.issued, row.order.id) > word
        });
        let current = self.switches.enforcement.now;
        let longer = current.resume.is_some_and(|(_, at)| at >= until);
        if ended || longer || current.state == EnforcementState::Off {
            return;
        }
        self.switches.enforce(now, EnforcementState::Panic, None, Some(until.since(now)));
        self.enforcement_changed(now);
    }

    /// Ends the panic that an operator ordered before. One that a person began here, and that lasts longer, goes on.
    pub(super) fn resume_ordered(&mut self, now: Time, word: (Time, u128)) {
        let panics = self.fleet.orders.rows().filter(|row| matches!(row.order.kind, OrderKind::Panic { .. }));
        let (mut last, mut later) = (None, false);
        for row in panics {
            later |= (row.order.issued, row.order.id) > word;
            last = last.max(Some(row.until));
        }
        let Some((_, at)) = self.switches.enforcement.now.resume else { return };
        if later || last.is_none_or(|last| at > last.after(TOLERANCE)) {
            return;
        }
        self.switches.end_panic();
        self.enforcement_changed(now);
    }

    fn enforcement_changed(&mut self, now: Time) {
        self.outbox.enforcement.push_back(self.switches.enforcement.now.state);
        self.outbox.persist(now, Key::Enforcement);
    }
}
