//! Counts that fade: the slow memory, a few bytes each.

use core::time::Duration;

use crate::Time;

/// A sum in which what was added a half-life ago counts half.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decay {
    value: f32,
    at: Time,
}

impl Decay {
    /// Adds `amount` (which may be negative; the sum is never) and returns the sum.
    pub(super) fn add(&mut self, now: Time, half_life: Duration, amount: f32) -> f32 {
        self.value = (self.read(now, half_life) + amount).max(0.0);
        self.at = self.at.max(now);
        self.value
    }

    /// The sum at `now`.
    pub(super) fn read(&self, now: Time, half_life: Duration) -> f32 {
        let halves = now.since(self.at).as_secs_f32() / half_life.as_secs_f32();
        self.value * libm::exp2f(-halves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_forgotten_in_a_half_life() {
        let (mut sum, life) = (Decay::default(), Duration::from_secs(600));
        sum.add(Time::from_secs(1000), life, 8.0);
        assert!((sum.read(Time::from_secs(1600), life) - 4.0).abs() < 0.01);
        assert!((sum.add(Time::from_secs(1600), life, -9.0)).abs() < f32::EPSILON);
    }
}
