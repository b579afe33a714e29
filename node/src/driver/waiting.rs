//! People who wait for an answer: they get it once what they ordered is in the kernel and on disk.

use smartfw_core::{IpNet, Sequence, order::Done};

use crate::{
    enforcement::Ticket,
    inbox::{Refused, Reply},
};

/// Orders that may wait, together with the targets that they touch: six imports at once, or more notes of a rescue than
/// are ever kept, and some ten megabytes. When a disk refuses for so long that there are more, those who wait longest
/// have given up.
const MOST: usize = 100_000;

/// Orders carried out by the agent and not yet by kernel and disk.
#[derive(Default)]
pub(super) struct Waiting {
    orders: Vec<Order>,
    /// Orders and the targets that they touch.
    size: usize,
    persisted: Sequence,
    enforced: Ticket,
}

/// An order that waits for kernel and disk.
pub(super) struct Order {
    /// The last of its records.
    pub(super) sequence: Sequence,
    /// Behind the first and up to the second are its changes of the kernel.
    pub(super) tickets: (Ticket, Ticket),
    /// The targets of those changes.
    pub(super) touched: Vec<IpNet>,
    /// What it did.
    pub(super) done: Done,
    /// Who waits.
    pub(super) reply: Reply,
    /// What the kernel said when it refused some of it.
    pub(super) refused: Option<String>,
}

impl Order {
    const fn size(&self) -> usize {
        1 + self.touched.len()
    }

    fn is_done(&self, persisted: Sequence, enforced: Ticket) -> bool {
        self.sequence <= persisted && self.tickets.1 <= enforced
    }

    fn answer(self) {
        (self.reply)(self.refused.map_or(Ok(self.done), |why| Err(Refused::Kernel(why))));
    }
}

impl Waiting {
    /// Answers once disk and kernel have come so far, which may be now.
    pub(super) fn push(&mut self, order: Order) {
        if order.is_done(self.persisted, self.enforced) {
            return order.answer();
        }
        self.size += order.size();
        self.orders.push(order);
        if self.size > MOST {
            let older = self.orders.len().div_ceil(2);
            for order in self.orders.drain(..older) {
                self.size -= order.size();
                (order.reply)(Err(Refused::Unstored));
            }
        }
    }

    /// The disk has everything up to here.
    pub(super) fn persisted(&mut self, upto: Sequence) {
        self.persisted = self.persisted.max(upto);
        self.answer();
    }

    /// The kernel was given everything up to here, and did this with it.
    pub(super) fn enforced(
        &mut self,
        upto: Ticket,
        results: &[(IpNet, Result<(), String>)],
        trouble: Option<&str>,
    ) {
        let refused = || results.iter().filter_map(|(target, result)| Some((target, result.as_ref().err()?)));
        if trouble.is_some() || refused().next().is_some() {
            for order in &mut self.orders {
                let (behind, last) = order.tickets;
                if behind < upto && last > self.enforced && behind < last {
                    let of_its_own = refused()
                        .find(|(target, _)| order.touched.contains(target))
                        .map(|(_, why)| why.as_str());
                    order.refused = order.refused.take().or(of_its_own.or(trouble).map(str::to_owned));
                }
            }
        }
        self.enforced = self.enforced.max(upto);
        self.answer();
    }

    fn answer(&mut self) {
        let (persisted, enforced) = (self.persisted, self.enforced);
        for order in self.orders.extract_if(.., |order| order.is_done(persisted, enforced)) {
            self.size -= order.size();
            order.answer();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    fn order(sequence: u64, tickets: (u64, u64)) -> (Order, Receiver<Result<Done, Refused>>) {
        let (answer, answers) = channel();
        let order = Order {
            sequence: Sequence(sequence),
            tickets: (Ticket(tickets.0), Ticket(tickets.1)),
            touched: vec!["192.0.2.1/32".parse().unwrap()],
            done: Done::Confirmed,
            reply: Box::new(move |result| drop(answer.send(result))),
            refused: None,
        };
        (order, answers)
    }

    #[test]
    fn an_order_is_answered_when_both_disk_and_kernel_have_it() {
        let mut waiting = Waiting::default();
        let (order, answers) = order(2, (4, 5));
        waiting.push(order);
        waiting.persisted(Sequence(2));
        waiting.enforced(Ticket(4), &[], None);
        assert!(answers.try_recv().is_err());
        waiting.enforced(Ticket(5), &[], None);
        assert_eq!(answers.try_recv().unwrap(), Ok(Done::Confirmed));
    }

    #[test]
    fn an_order_that_changed_nothing_is_answered_at_once() {
        let (order, answers) = order(0, (0, 0));
        Waiting::default().push(order);
        assert_eq!(answers.try_recv().unwrap(), Ok(Done::Confirmed));
    }

    #[test]
    fn of_more_than_may_wait_the_oldest_are_told_that_nothing_is_stored() {
        let mut waiting = Waiting::default();
        let (oldest, answers) = order(1, (0, 0));
        waiting.push(oldest);
        let mut last = None;
        for n in 0..MOST as u64 {
            let (order, answers) = order(2 + n, (0, 0));
            waiting.push(order);
            assert!(waiting.size <= MOST);
            last = Some(answers);
        }
        assert_eq!(answers.try_recv().unwrap(), Err(Refused::Unstored));
        waiting.persisted(Sequence(u64::MAX));
        assert_eq!(last.unwrap().try_recv().unwrap(), Ok(Done::Confirmed));
        assert_eq!(waiting.size, 0);
    }

    #[test]
    fn who_waits_for_what_the_kernel_refused_is_told_and_nobody_else() {
        let mut waiting = Waiting::default();
        let refused = |target: &str| (target.parse().unwrap(), Err("full".to_owned()));
        let (before, answered_before) = order(1, (0, 1));
        let (ours, answers) = order(1, (1, 3));
        let (idle, answered_idle) = order(1, (3, 3));
        [before, ours, idle].into_iter().for_each(|order| waiting.push(order));
        waiting.enforced(Ticket(1), &[refused("192.0.2.2/32")], None);
        waiting.enforced(Ticket(3), &[refused("192.0.2.1/32")], None);
        waiting.persisted(Sequence(1));
        assert_eq!(answered_before.try_recv().unwrap(), Ok(Done::Confirmed));
        assert_eq!(answers.try_recv().unwrap(), Err(Refused::Kernel("full".to_owned())));
        assert_eq!(answered_idle.try_recv().unwrap(), Ok(Done::Confirmed));
    }
}
