//! Operators stop enforcement everywhere, for a while.

use crate::{
    Time,
    fleet::{OperatorOrder, OrderKind},
    gossip::TOLERANCE,
    order::EnforcementState,
    record::Enforcement,
};

use super::{
    super::{Agent, effects::Key},
    book::Row,
};

impl Agent {
    /// Which order that says the opposite of one to stop or to resume was signed after it, by the clocks of the machines
    /// that signed both: nobody follows the earlier then.
    pub fn fleet_outranks(&self, order: &OperatorOrder) -> Option<&OperatorOrder> {
        let opposite = |other: &OrderKind| match order.kind {
            OrderKind::Panic { .. } => matches!(other, OrderKind::Resume),
            OrderKind::Resume => matches!(other, OrderKind::Panic { .. }),
            _ => false,
        };
        let later = self.fleet.orders.rows().map(|row| &*row.order).filter(|other| opposite(&other.kind));
        let last = later.max_by_key(|other| (other.issued, other.id))?;
        ((last.issued, last.id) > (order.issued, order.id)).then_some(last)
    }

    /// Until when an operator's order, and nobody on this node, has stopped enforcement here.
    pub fn fleet_panic(&self) -> Option<Time> {
        let (_, at) = self.switches.enforcement.now.resume?;
        // After a restart an order's end is reckoned anew.
        let near = |until: Time| at.since(until).max(until.since(at)) <= TOLERANCE;
        let mut rows = self.fleet.orders.rows();
        let ordered = rows.any(|row| matches!(row.order.kind, OrderKind::Panic { .. }) && near(row.until));
        ordered.then_some(at)
    }

    /// Stops enforcing until `until`, unless an operator has ended the panic since, it is off anyway, or a panic lasts
    /// longer.
    pub(super) fn panic_ordered(&mut self, now: Time, word: (Time, u128), until: Time) {
        let ended = self.fleet.orders.rows().any(|row| {
            matches!(row.order.kind, OrderKind::Resume) && (row.order.issued, row.order.id) > word
        });
        let Enforcement { now: current, rollback } = self.switches.enforcement;
        let longer = current.resume.is_some_and(|(_, at)| at >= until);
        // What is off unless confirmed may be on again in a minute.
        let off = current.state == EnforcementState::Off && rollback.is_none();
        if ended || longer || off {
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

    /// Orders to stop are void, of which the longest was until `last`: enforcement stays off only as long as others say, or
    /// a person here.
    pub(super) fn panics_void(&mut self, now: Time, last: Time) {
        let Some((_, at)) = self.switches.enforcement.now.resume else { return };
        if at > last.after(TOLERANCE) {
            return;
        }
        let stands = |row: &&Row| {
            matches!(row.order.kind, OrderKind::Panic { .. }) && self.fleet_outranks(&row.order).is_none()
        };
        match self.fleet.orders.rows().filter(stands).map(|row| row.until).max() {
            Some(until) if until >= at => return,
            Some(until) if until > now => {
                self.switches.enforce(now, EnforcementState::Panic, None, Some(until.since(now)));
            }
            _ => self.switches.end_panic(),
        }
        self.enforcement_changed(now);
    }

    fn enforcement_changed(&mut self, now: Time) {
        self.outbox.enforcement.push_back(self.switches.enforcement.now.state);
        self.outbox.persist(now, Key::Enforcement);
    }
}
