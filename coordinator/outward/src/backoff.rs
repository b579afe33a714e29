//! How long to wait before the next attempt.

use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

/// The shortest and the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waits {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

/// Doubles with every failure. Up to half of it is left to chance, so that those that failed together do not come back
/// together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    waits: Waits,
    failures: u32,
}

impl Backoff {
    pub(crate) const fn new(waits: Waits) -> Self {
        Self { waits, failures: 0 }
    }

    /// The wait after one more failure. `asked` is what the other side wants at least; it cannot ask for more than the
    /// longest.
    pub(crate) fn failed(&mut self, chance: u64, asked: Option<Duration>) -> Duration {
        let Waits { first, longest } = self.waits;
        let whole = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let half = whole / 2;
        let jitter = half.mul_f64(chance as f64 / u64::MAX as f64);
        (asked.unwrap_or(half).min(longest).max(half) + jitter).min(longest)
    }

    /// It went well.
    pub(crate) const fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A number that nobody foresees; where the system has none, jitter is not worth failing for.
pub(crate) fn chance() -> u64 {
    let mut bytes = [0; 8];
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { first: Duration::from_secs(1), longest: Duration::from_secs(60) };

    #[test]
    fn the_wait_doubles_up_to_a_limit_and_starts_anew_after_success() {
        let mut backoff = Backoff::new(WAITS);
        let waits: Vec<u64> = (0..9).map(|_| backoff.failed(u64::MAX, None).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.succeeded();
        assert_eq!(backoff.failed(u64::MAX, None), WAITS.first);
        assert_eq!(backoff.failed(0, None), WAITS.first, "half of the second wait is left to chance");
    }

    #[test]
    fn who_asks_for_a_wait_gets_it_within_the_limit() {
        let asked = |secs| Backoff::new(WAITS).failed(0, Some(Duration::from_secs(secs))).as_secs();
        assert_eq!((asked(30), asked(86_400), asked(u64::MAX)), (30, 60, 60));
    }
}
