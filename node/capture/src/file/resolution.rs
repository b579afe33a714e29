//! What a pcapng time stamp counts.

use smartfw_core::Time;

const NANOS: u128 = 1_000_000_000;

/// How an interface's ticks become nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolution {
    scale: Scale,
    offset_nanos: i128,
}

#[derive(Clone, Copy, Debug)]
enum Scale {
    /// Microseconds, nanoseconds and all between: the usual ones, without a division.
    Nanos(u64),
    /// So many ticks are a second.
    PerSecond(u128),
}

impl Resolution {
    /// From the options `if_tsresol` (a power of ten, or of two with the highest bit set) and `if_tsoffset` (seconds).
    pub(super) fn new(tsresol: u8, tsoffset: i64) -> Self {
        let exponent = u32::from(tsresol & 0x7f);
        let per_second =
            if tsresol & 0x80 == 0 { 10_u128.checked_pow(exponent) } else { 1_u128.checked_shl(exponent) };
        let per_second = per_second.unwrap_or(u128::MAX);
        let scale = match NANOS % per_second {
            0 => Scale::Nanos((NANOS / per_second) as u64),
            _ => Scale::PerSecond(per_second),
        };
        Self { scale, offset_nanos: i128::from(tsoffset) * NANOS as i128 }
    }

    /// When `ticks` is; what lies beyond [`Time`]'s ends is at them.
    #[inline]
    pub(super) fn time(self, ticks: u64) -> Time {
        match (self.scale, self.offset_nanos) {
            (Scale::Nanos(nanos), 0) => Time::from_nanos(ticks.saturating_mul(nanos)),
            _ => self.slow(ticks),
        }
    }

    fn slow(self, ticks: u64) -> Time {
        let nanos = match self.scale {
            Scale::Nanos(nanos) => u128::from(ticks) * u128::from(nanos),
            Scale::PerSecond(per_second) => u128::from(ticks) * NANOS / per_second,
        };
        let nanos = (nanos as i128 + self.offset_nanos).clamp(0, i128::from(u64::MAX));
        Time::from_nanos(nanos as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_gives_the_same_second() {
        for (tsresol, ticks) in
            [(0, 7), (3, 7_000), (6, 7_000_000), (9, 7_000_000_000), (12, 7_000_000_000_000)]
        {
            assert_eq!(Resolution::new(tsresol, 0).time(ticks), Time::from_secs(7), "10^-{tsresol}");
        }
        assert_eq!(Resolution::new(0x80 | 20, 0).time(7 << 20), Time::from_secs(7));
        assert_eq!(Resolution::new(0x80 | 10, 0).time((7 << 10) + 512), Time::from_nanos(7_500_000_000));
    }

    #[test]
    fn an_offset_moves_the_time_and_never_wraps() {
        assert_eq!(Resolution::new(6, 100).time(7_000_000), Time::from_secs(107));
        assert_eq!(Resolution::new(6, -5).time(7_000_000), Time::from_secs(2));
        assert_eq!(Resolution::new(6, i64::MIN).time(7_000_000), Time::ZERO);
        assert_eq!(Resolution::new(6, i64::MAX).time(u64::MAX), Time::NEVER);
    }

    #[test]
    fn units_nobody_can_count_are_harmless() {
        for tsresol in 0..=255 {
            for ticks in [0, 1, u64::MAX] {
                Resolution::new(tsresol, i64::MIN).time(ticks);
                Resolution::new(tsresol, i64::MAX).time(ticks);
            }
        }
    }
}
