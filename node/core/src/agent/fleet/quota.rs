//! How many blocks of one origin are enforced in a while: the rest waits.

use core::time::Duration;

use crate::{Time, config::FleetPolicy};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What one origin has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    minute: Window,
    hour: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    since: Time,
    used: u32,
}

impl Quota {
    /// Takes one more block; says whether there was room. What is older than a minute may also use what is there for
    /// those who come back: whoever makes many blocks now gains nothing by calling them old but that.
    pub(super) fn take(&mut self, now: Time, old: bool, policy: &FleetPolicy) -> bool {
        (old && self.hour.take(now, HOUR, policy.backlog_per_hour))
            || self.minute.take(now, MINUTE, policy.blocks_per_minute)
    }

    /// When there is room again.
    pub(super) const fn again(&self) -> Time {
        self.minute.since.after(MINUTE)
    }
}

impl Window {
    fn take(&mut self, now: Time, length: Duration, limit: u32) -> bool {
        // A clock that was set back must not keep the window open.
        if now.since(self.since) >= length || now < self.since {
            *self = Self { since: now, used: 0 };
        }
        let room = self.used < limit;
        self.used += u32::from(room);
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: FleetPolicy =
        FleetPolicy { trust: 50, blocks_per_minute: 2, backlog_per_hour: 3, quorum: 1 };

    #[test]
    fn what_is_old_has_a_quota_of_its_own_and_the_minute_s_besides() {
        let mut quota = Quota::default();
        let now = Time::from_secs(10_000);
        assert_eq!((0..10).filter(|_| quota.take(now, true, &POLICY)).count(), 5);
        assert!(!quota.take(now, false, &POLICY));
        let later = Time::from_secs(10_060);
        assert_eq!((0..10).filter(|_| quota.take(later, true, &POLICY)).count(), 2);
        assert_eq!(quota.again(), Time::from_secs(10_120));
    }

    #[test]
    fn a_clock_that_is_set_back_opens_the_window_anew() {
        let mut quota = Quota::default();
        while quota.take(Time::from_secs(10_000), false, &POLICY) {}
        assert!(quota.take(Time::from_secs(5000), false, &POLICY));
    }
}
