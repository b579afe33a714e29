//! What was sent to one coordinator and what it has kept, by the numbers alone.

use std::collections::VecDeque;

use smartfw_core::fleet::Version;

/// Batches that are sent and not answered, at most: with 2 MiB each, what a coordinator that does not answer costs.
pub(super) const UNANSWERED: usize = 4;

/// One stream's events.
#[derive(Debug)]
pub(super) struct Conversation {
    epoch: u64,
    kept: u64,
    /// The first event that was not sent.
    next: u64,
    /// The last event of each batch that is not answered.
    unanswered: VecDeque<u64>,
}

/// What a coordinator says that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nonsense {
    /// It knows more of this node than the node itself.
    #[error("it has events of this node that were never made ({}-{})", .0.epoch, .0.sequence)]
    Ahead(Version),
    /// It takes back what it had, or has what was not sent.
    #[error("it said that it has kept up to {}-{}, which cannot be", .0.epoch, .0.sequence)]
    Kept(Version),
}

impl Conversation {
    /// Begins with what it has kept, of a buffer of this life whose next event has this number.
    pub(super) fn begin(epoch: u64, next: u64, kept: Option<Version>) -> Result<Self, Nonsense> {
        let kept = match kept {
            // There is no buffer, and nothing is sent.
            _ if epoch == 0 => 0,
            Some(kept) if kept.epoch > epoch || (kept.epoch == epoch && kept.sequence >= next) => {
                return Err(Nonsense::Ahead(kept));
            }
            Some(kept) if kept.epoch == epoch => kept.sequence,
            _ => 0,
        };
        Ok(Self { epoch, kept, next: kept + 1, unanswered: VecDeque::new() })
    }

    /// The life of the buffer whose events it is about.
    pub(super) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What it has.
    pub(super) const fn kept(&self) -> Version {
        Version { epoch: self.epoch, sequence: self.kept }
    }

    /// From where on events are to be sent; `None` while too many are not answered.
    pub(super) fn next(&self) -> Option<u64> {
        (self.unanswered.len() < UNANSWERED).then_some(self.next)
    }

    /// Whether it has to answer.
    pub(super) fn waits(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Events up to before `next` were read, and sent where there were any.
    pub(super) fn sent(&mut self, any: bool, next: u64) {
        self.next = next;
        if any {
            self.unanswered.push_back(next - 1);
        }
    }

    /// It has kept everything up to there; whether that is more than before.
    pub(super) fn answered(&mut self, upto: Version) -> Result<bool, Nonsense> {
        if upto.epoch != self.epoch || upto.sequence < self.kept || upto.sequence >= self.next {
            return Err(Nonsense::Kept(upto));
        }
        let before = std::mem::replace(&mut self.kept, upto.sequence);
        while self.unanswered.front().is_some_and(|last| *last <= upto.sequence) {
            self.unanswered.pop_front();
        }
        Ok(self.kept > before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn upto(sequence: u64) -> Version {
        Version { epoch: 7, sequence }
    }

    #[test]
    fn it_goes_on_behind_what_is_kept_of_the_same_life_and_from_the_beginning_of_another() {
        let next = |kept| Conversation::begin(7, 10, kept).map(|it| it.next());
        assert_eq!(next(None), Ok(Some(1)));
        assert_eq!(next(Some(upto(4))), Ok(Some(5)));
        assert_eq!(next(Some(Version { epoch: 6, sequence: 90 })), Ok(Some(1)));
        assert_eq!(next(Some(upto(9))), Ok(Some(10)));
        assert_eq!(next(Some(upto(10))), Err(Nonsense::Ahead(upto(10))));
        let later = Version { epoch: 8, sequence: 0 };
        assert_eq!(next(Some(later)), Err(Nonsense::Ahead(later)));
        let without = Conversation::begin(0, 0, Some(later)).unwrap();
        assert_eq!(without.kept(), Version { epoch: 0, sequence: 0 }, "no buffer, no events");
    }

    #[test]
    fn no_more_is_sent_than_may_be_unanswered() {
        let mut it = Conversation::begin(7, 1, None).unwrap();
        for batch in 1..=UNANSWERED as u64 {
            it.sent(true, batch * 10 + 1);
        }
        assert!(it.next().is_none() && it.waits());
        it.answered(upto(9)).unwrap();
        assert_eq!(it.next(), None, "half a batch is none");
        it.answered(upto(10)).unwrap();
        assert_eq!(it.next(), Some(41));
        it.answered(upto(40)).unwrap();
        assert_eq!((it.waits(), it.kept()), (false, upto(40)));
        it.sent(false, 51);
        assert_eq!((it.waits(), it.next()), (false, Some(51)), "what was lost is nobody's to answer");
    }

    #[test]
    fn what_cannot_be_kept_is_not_believed() {
        let mut it = Conversation::begin(7, 20, Some(upto(5))).unwrap();
        it.sent(true, 11);
        for wrong in [upto(4), upto(11), upto(u64::MAX), Version { epoch: 8, sequence: 6 }] {
            assert_eq!(it.answered(wrong), Err(Nonsense::Kept(wrong)));
        }
        assert_eq!((it.kept(), it.waits()), (upto(5), true));
        assert_eq!((it.answered(upto(5)), it.answered(upto(6))), (Ok(false), Ok(true)));
    }
}
