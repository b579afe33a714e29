//! Whether a node numbers its events as it should, and how many never came.

use smartfw_core::{Event, fleet::Version};
use smartfw_history::Count;
use smartfw_proto::convert::Opening;
use tonic::Status;

/// The numbers of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    epoch: u64,
    /// The last one on this stream.
    last: u64,
    /// The lowest that was not kept; `None` for a node of which nothing was kept: what it told others is not missed here.
    next: Option<u64>,
    /// A later life of the node's buffer, of which events were kept.
    later: Option<u64>,
}

impl Numbers {
    /// Those of a node that opened its stream, of which this is kept.
    pub(super) fn new(opening: &Opening, kept: Option<Count>) -> Self {
        let next =
            kept.map(|kept| if kept.epoch == opening.epoch { kept.sequence.saturating_add(1) } else { 1 });
        let later = kept.map(|kept| kept.epoch).filter(|epoch| *epoch > opening.epoch);
        Self { epoch: opening.epoch, last: 0, next, later }
    }

    /// Takes in a batch; how many are missed before or within it.
    ///
    /// # Errors
    /// When they are out of order, or of a life that is over.
    pub(super) fn take(&mut self, events: &[Event]) -> Result<u64, Status> {
        if let Some(later) = self.later {
            return Err(Status::failed_precondition(format!(
                "events of the life {} of the buffer come after events of the life {later} were kept: begin a later one",
                self.epoch
            )));
        }
        let mut missed = 0_u64;
        for Event { sequence, .. } in events {
            if *sequence <= self.last {
                return Err(Status::invalid_argument(format!(
                    "event {sequence} comes after event {}: events come in the order of their numbers, from 1",
                    self.last
                )));
            }
            self.last = *sequence;
            let next = self.next.unwrap_or(*sequence);
            missed = missed.saturating_add(sequence.saturating_sub(next));
            self.next = Some(next.max(sequence.saturating_add(1)));
        }
        Ok(missed)
    }

    /// The last one that was taken in.
    pub(super) const fn last(&self) -> Version {
        Version { epoch: self.epoch, sequence: self.last }
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::{EventKind, Time};

    use super::*;

    fn numbers(epoch: u64, kept: Option<(u64, u64)>) -> Numbers {
        let opening = Opening { protocol: (1, 1), version: String::new(), epoch, oldest: 1, dropped: 0 };
        Numbers::new(&opening, kept.map(|(epoch, sequence)| Count { epoch, sequence }))
    }

    fn events(sequences: &[u64]) -> Vec<Event> {
        let event = |sequence: &u64| Event {
            sequence: *sequence,
            time: Time::ZERO,
            kind: EventKind::Alert,
            address: None,
            class: None,
            body: "{}".into(),
        };
        sequences.iter().map(event).collect()
    }

    #[test]
    fn what_is_missing_is_counted_once() {
        let mut numbers = numbers(1, Some((1, 4)));
        assert_eq!(numbers.take(&events(&[5, 6])).unwrap(), 0);
        assert_eq!(numbers.take(&events(&[9, 12])).unwrap(), 4);
        assert_eq!(numbers.take(&events(&[])).unwrap(), 0);
        assert_eq!(numbers.last(), Version { epoch: 1, sequence: 12 });
    }

    #[test]
    fn what_was_kept_already_may_come_again_and_is_not_missed() {
        let mut numbers = numbers(1, Some((1, 4)));
        assert_eq!(numbers.take(&events(&[2, 3, 4, 5])).unwrap(), 0);
        assert_eq!(numbers.take(&events(&[6])).unwrap(), 0);
    }

    #[test]
    fn of_a_new_life_the_beginning_is_missed_and_of_a_new_node_it_is_not() {
        assert_eq!(numbers(2, Some((1, 4))).take(&events(&[3])).unwrap(), 2);
        assert_eq!(numbers(2, None).take(&events(&[3, 5])).unwrap(), 1);
    }

    #[test]
    fn what_is_out_of_order_or_of_a_life_that_is_over_is_refused() {
        for wrong in [[2, 1], [2, 2], [0, 1]] {
            let status = numbers(1, None).take(&events(&wrong)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{wrong:?}");
        }
        let mut over = numbers(1, Some((2, 1)));
        assert_eq!(over.take(&events(&[7])).unwrap_err().code(), tonic::Code::FailedPrecondition);
        let mut end = numbers(1, Some((1, u64::MAX - 1)));
        assert_eq!(end.take(&events(&[u64::MAX])).unwrap(), 0);
        assert!(end.take(&events(&[u64::MAX])).is_err());
    }
}
