//! How long to wait before the next attempt.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// Never longer, whatever failed and whoever asked for it: after an outage the mirror is back within five minutes.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Doubles with every failure. The jitter takes up to half of it away, so that a thousand senders that failed together
/// do not come back together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure. `asked` is what the other side wants at least.
    pub(crate) fn failed(&mut self, chance: u64, asked: Option<Duration>) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        let jitter = half.mul_f64(chance as f64 / u64::MAX as f64);
        // Who asks for a wait gets it, and the jitter on top: all who asked were told the same.
        let asked = asked.map_or(half, |asked| asked.min(LONGEST).max(half));
        (asked + jitter).min(LONGEST)
    }

    /// It went well.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_limit_and_starts_anew_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..12).map(|_| backoff.failed(u64::MAX, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        backoff.succeeded();
        assert_eq!(backoff.failed(u64::MAX, None), FIRST);
    }

    #[test]
    fn chance_takes_up_to_half_of_it_away() {
        let after = |chance| Backoff { failures: 3 }.failed(chance, None);
        assert_eq!((after(0).as_secs(), after(u64::MAX).as_secs()), (4, 8));
        assert!(after(u64::MAX / 2) > after(u64::MAX / 4));
    }

    #[test]
    fn who_asks_for_a_wait_gets_it_within_the_limit() {
        let asked = |secs| Backoff::default().failed(0, Some(Duration::from_secs(secs)));
        assert_eq!((asked(60).as_secs(), asked(86_400)), (60, LONGEST));
        let absurd = Duration::from_secs(u64::MAX);
        assert_eq!(Backoff { failures: 3 }.failed(u64::MAX, Some(absurd)), LONGEST);
    }
}
