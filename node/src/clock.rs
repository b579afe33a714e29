//! The clocks: the core reads none, so the shell reads them for it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use smartfw_core::Time;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Now, by the clock that the kernel stamps packets with.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Time since the machine started, sleep included: a clock that never steps.
pub fn steady() -> Time {
    // It is there on every kernel since 2.6.39.
    let since = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    let since = since.map(Duration::from).unwrap_or_default();
    Time::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Notices a clock that is set back.
#[derive(Debug, Default)]
pub struct Pace(Time);

impl Pace {
    /// By how much the clock was set back since the last call: more than a second, or it was not.
    pub fn set_back(&mut self, now: Time) -> Option<Duration> {
        let last = std::mem::replace(&mut self.0, now);
        Some(last.since(now)).filter(|by| *by > Duration::from_secs(1))
    }
}

/// `time` as users see it: RFC 3339, UTC, in milliseconds. Empty beyond the year 9999.
pub fn rfc3339(time: Time) -> String {
    let nanos = i128::from(time.as_nanos() / 1_000_000 * 1_000_000);
    let text =
        OffsetDateTime::from_unix_timestamp_nanos(nanos).ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_is_noticed_once() {
        let mut pace = Pace::default();
        let set_back: Vec<Option<u64>> = [1000, 1001, 1000, 400, 401]
            .map(|second| pace.set_back(Time::from_secs(second)).map(|by| by.as_secs()))
            .into();
        assert_eq!(set_back, [None, None, None, Some(600), None]);
    }

    #[test]
    fn times_are_shown_in_milliseconds() {
        assert_eq!(rfc3339(Time::from_nanos(1_500_000_000_123_999_999)), "2017-07-14T02:40:00.123Z");
    }
}
