//! People who wait for an answer: they get it once what they ordered is in the kernel and on disk.

use smartfw_core::{Sequence, order::Done};

use crate::{enforcement::Ticket, inbox::Reply};

/// Orders carried out by the agent and not yet by kernel and disk. Bounded by the calls that the control service
/// admits.
#[derive(Default)]
pub(super) struct Waiting {
    orders: Vec<Order>,
    persisted: Sequence,
    enforced: Ticket,
}

struct Order {
    sequence: Sequence,
    ticket: Ticket,
    done: Done,
    reply: Reply,
}

impl Waiting {
    /// Answers once disk and kernel have come so far, which may be now.
    pub(super) fn push(&mut self, sequence: Sequence, ticket: Ticket, done: Done, reply: Reply) {
        self.orders.push(Order { sequence, ticket, done, reply });
        self.answer();
    }

    /// The disk has everything up to here.
    pub(super) fn persisted(&mut self, upto: Sequence) {
        self.persisted = self.persisted.max(upto);
        self.answer();
    }

    /// The kernel has everything up to here.
    pub(super) fn enforced(&mut self, upto: Ticket) {
        self.enforced = self.enforced.max(upto);
        self.answer();
    }

    fn answer(&mut self) {
        let ready = |order: &mut Order| order.sequence <= self.persisted && order.ticket <= self.enforced;
        for order in self.orders.extract_if(.., ready) {
            (order.reply)(Ok(order.done));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn an_order_is_answered_when_both_disk_and_kernel_have_it() {
        let (answer, answers) = channel();
        let mut waiting = Waiting::default();
        let reply = move |result| drop(answer.send(result));
        waiting.push(Sequence(2), Ticket(5), Done::Confirmed, Box::new(reply));
        waiting.persisted(Sequence(2));
        waiting.enforced(Ticket(4));
        assert!(answers.try_recv().is_err());
        waiting.enforced(Ticket(5));
        assert_eq!(answers.try_recv().unwrap(), Ok(Done::Confirmed));
    }

    #[test]
    fn an_order_that_changed_nothing_is_answered_at_once() {
        let (answer, answers) = channel();
        let reply = move |result| drop(answer.send(result));
        Waiting::default().push(Sequence(0), Ticket(0), Done::Disallowed, Box::new(reply));
        assert_eq!(answers.try_recv().unwrap(), Ok(Done::Disallowed));
    }
}
