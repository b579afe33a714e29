//! How age is counted, so that a clock that is wrong for a while does no harm that lasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use smartfw_core::Time;

/// So far each call believes the clock to have gone on: twice the longest sensible pause between calls. One that is years
/// ahead for a few calls lets a few days' events go.
const AHEAD: Duration = Duration::from_secs(2 * 24 * 3600);

/// What is believed of the clock by which age is counted, and what was let go by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ages {
    /// The time of the last call; zero before the first.
    pub(crate) believed: Time,
    /// What is placed before this has been let go.
    pub(crate) floor: Time,
}

impl Ages {
    /// The same after a call. `newest` is where the newest event was placed, which is all that the first call can go by.
    /// The floor stays at that event, so that what comes later is above it; and it goes back when the clock does,
    /// because then the clock was wrong that it came from.
    pub(crate) fn after(self, now: Time, age: Duration, newest: Time) -> Self {
        let before = if self.believed == Time::ZERO { newest } else { self.believed };
        let believed = now.min(before.after(AHEAD));
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let floor = Time::from_nanos(believed.as_nanos().saturating_sub(age));
        let floor = floor.min(newest.after(Duration::from_nanos(1)));
        Self { believed, floor: if believed < self.believed { floor } else { floor.max(self.floor) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const NEWEST: Time = Time::from_secs(1_800_000_000);
    const YEARS_AHEAD: Time = NEWEST.after(Duration::from_secs(10 * 365 * 24 * 3600));

    #[test]
    fn age_is_counted_from_now_and_what_was_let_go_stays_so() {
        let ages = Ages::default().after(NEWEST.after(DAY / 2), DAY, NEWEST);
        assert_eq!(ages.floor.after(DAY / 2), NEWEST);
        assert_eq!(ages.after(NEWEST.after(DAY / 2), 9 * DAY, NEWEST), ages);
    }

    #[test]
    fn a_clock_years_ahead_lets_two_days_go_with_each_call_whatever_the_nodes_clocks_are() {
        let before = Ages::default().after(NEWEST, 30 * DAY, NEWEST);
        let once = before.after(YEARS_AHEAD, 30 * DAY, YEARS_AHEAD);
        let twice = once.after(YEARS_AHEAD, 30 * DAY, YEARS_AHEAD);
        assert_eq!([once.floor, twice.floor], [before.floor.after(2 * DAY), before.floor.after(4 * DAY)]);
        assert_eq!(twice.after(NEWEST, 30 * DAY, NEWEST), before, "it goes back with the clock");
    }

    #[test]
    fn in_a_quiet_fleet_everything_goes_at_last() {
        let (mut ages, mut calls) = (Ages::default(), 0);
        while ages.floor <= NEWEST && calls < 1_000 {
            ages = ages.after(NEWEST.after(365 * DAY), 90 * DAY, NEWEST);
            calls += 1;
        }
        assert_eq!(calls, 46);
    }

    #[test]
    fn the_floor_is_never_above_the_newest_event() {
        let ages = Ages::default().after(YEARS_AHEAD, Duration::ZERO, NEWEST);
        assert_eq!(ages.floor, NEWEST.after(Duration::from_nanos(1)));
    }
}
