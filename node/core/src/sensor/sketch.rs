//! How many different things were seen lately, in a few bytes: a bitmap whose bits remember when they were set.

/// `N` slots, each stamped with the tick at which it was last marked; a stamp lives for `WINDOW` ticks. Counting is
/// linear (Whang, Vander-Zanden, Taylor 1990): exact enough below `N`, saturating above.
#[derive(Clone, Debug)]
pub(super) struct Stamps<const N: usize, const WINDOW: u8> {
    slots: [u8; N],
    /// The tick of the last sweep: stamps wrap after 255 ticks, so what is older must be gone by then.
    swept: u64,
}

const EMPTY: u8 = 0;
/// Stamps are ticks modulo this, plus one.
const CYCLE: u64 = 255;

impl<const N: usize, const WINDOW: u8> Stamps<N, WINDOW> {
    pub(super) const fn new() -> Self {
        Self { slots: [EMPTY; N], swept: 0 }
    }

    /// Marks the thing whose hash is `hash`; whether it was not marked before.
    pub(super) fn mark(&mut self, hash: u64, tick: u64) -> bool {
        self.sweep(tick);
        let slot = &mut self.slots[hash as usize % N];
        let fresh = *slot == EMPTY || age(*slot, tick) > u64::from(WINDOW);
        *slot = stamp(tick);
        fresh
    }

    /// Marks the thing as of `tick`, unless it is marked already: then the first mark stands.
    pub(super) fn mark_first(&mut self, hash: u64, tick: u64) {
        self.sweep(tick);
        let slot = &mut self.slots[hash as usize % N];
        if *slot == EMPTY || age(*slot, tick) > u64::from(WINDOW) {
            *slot = stamp(tick);
        }
    }

    /// Forgets the thing (and what shares its slot).
    pub(super) fn clear(&mut self, hash: u64) {
        self.slots[hash as usize % N] = EMPTY;
    }

    /// How many different things are marked, estimated.
    pub(super) fn count(&mut self, tick: u64) -> u32 {
        self.count_older(tick, 0)
    }

    /// How many different things have been marked for at least `min_age` ticks, estimated.
    pub(super) fn count_older(&mut self, tick: u64, min_age: u8) -> u32 {
        self.sweep(tick);
        let ages = u64::from(min_age)..=u64::from(WINDOW);
        let live = self.slots.iter().filter(|slot| **slot != EMPTY && ages.contains(&age(**slot, tick)));
        estimate(live.count(), N)
    }

    fn sweep(&mut self, tick: u64) {
        let elapsed = tick.saturating_sub(self.swept);
        if elapsed < CYCLE / 4 {
            return;
        }
        let wrapped = elapsed + u64::from(WINDOW) >= CYCLE;
        for slot in &mut self.slots {
            if wrapped || age(*slot, tick) > u64::from(WINDOW) {
                *slot = EMPTY;
            }
        }
        self.swept = tick;
    }
}

fn stamp(tick: u64) -> u8 {
    (tick % CYCLE) as u8 + 1
}

fn age(stamp: u8, tick: u64) -> u64 {
    (tick % CYCLE + CYCLE - (u64::from(stamp).saturating_sub(1))) % CYCLE
}

/// n = −m·ln(empty / m); a full map says m·ln(m).
fn estimate(live: usize, slots: usize) -> u32 {
    let empty = slots.saturating_sub(live).max(1) as f64;
    let estimated = -(slots as f64) * libm::log(empty / slots as f64);
    libm::round(estimated) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_things_are_counted_once_each() {
        let mut stamps = Stamps::<256, 10>::new();
        for hash in (0..40).chain(0..40) {
            stamps.mark(hash * 6 + 1, 100);
        }
        assert!((38..=46).contains(&stamps.count(100)), "{}", stamps.count(100));
    }

    #[test]
    fn marks_end_with_the_window_and_never_come_back() {
        let mut stamps = Stamps::<64, 10>::new();
        stamps.mark(7, 1000);
        assert_eq!(stamps.count(1010), 1);
        for tick in 1011..3000 {
            assert_eq!(stamps.count(tick), 0, "at {tick}");
        }
    }

    #[test]
    fn a_mark_long_ago_is_not_taken_for_a_new_one() {
        let mut stamps = Stamps::<64, 10>::new();
        stamps.mark(7, 1000);
        assert!(stamps.mark(7, 1000 + CYCLE), "fresh again after a whole cycle");
    }

    #[test]
    fn what_was_marked_within_the_last_second_is_counted_when_it_is_over() {
        let mut stamps = Stamps::<1024, 1>::new();
        assert!((0..20).all(|hash| stamps.mark(hash * 3, 100)));
        stamps.mark(999, 101);
        assert!((19..=21).contains(&stamps.count_older(101, 1)));
        assert_eq!(stamps.count_older(102, 1), 1);
    }

    #[test]
    fn only_the_first_mark_counts_for_age() {
        let mut stamps = Stamps::<64, 120>::new();
        stamps.mark_first(3, 50);
        stamps.mark_first(3, 54);
        assert_eq!(stamps.count_older(55, 5), 1);
        stamps.clear(3);
        assert_eq!(stamps.count_older(55, 5), 0);
    }
}
