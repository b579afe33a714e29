//! foca's timers, which it knows by how long to wait.

use alloc::collections::BTreeMap;
use core::time::Duration;

use foca::Timer;

use super::record::Identity;
use crate::Time;

/// What is due when. Of what is due at once, an indirect probe comes before the next one, as foca asks for.
#[derive(Debug, Default)]
pub(super) struct Timers {
    waiting: BTreeMap<(Time, bool, u64), Timer<Identity>>,
    added: u64,
}

impl Timers {
    pub(super) fn add(&mut self, due: Time, timer: Timer<Identity>) {
        self.added += 1;
        let last = !matches!(timer, Timer::SendIndirectProbe { .. });
        self.waiting.insert((due, last, self.added), timer);
    }

    pub(super) fn next_due(&self) -> Time {
        self.waiting.first_key_value().map_or(Time::NEVER, |((due, ..), _)| *due)
    }

    pub(super) fn pop(&mut self, now: Time) -> Option<Timer<Identity>> {
        let entry = self.waiting.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Time stood still for us, or was set back: everything waits as long as it had to before.
    pub(super) fn shift(&mut self, shift: impl Fn(Time) -> Time) {
        let waiting = core::mem::take(&mut self.waiting);
        self.waiting =
            waiting.into_iter().map(|((due, last, nth), timer)| ((shift(due), last, nth), timer)).collect();
    }
}

/// `time`, earlier by `duration`, at least zero.
pub(super) const fn earlier(time: Time, duration: Duration) -> Time {
    Time::from_nanos(time.as_nanos().saturating_sub(duration.as_nanos() as u64))
}
