//! How old a run is, when clocks do not agree.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{Time, fleet::NodeId};

/// Now, by the two clocks that a driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// A clock that never steps: what deadlines and ages are measured by. Its zero is anywhere.
    pub steady: Time,
    /// The wall clock, which may be wrong and may step.
    pub wall: Time,
}

/// How far honest clocks may be apart: what is younger than this by the clock is as old as its holders say.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// As many direct members make a majority that one liar cannot sway.
const ENOUGH: usize = 3;

/// Members whose clocks are remembered: all of a full mesh, or the kept neighbours and more.
const CLOCKS: usize = 64;

/// A clock that was not heard for so long says nothing any more.
const STALE: Duration = Duration::from_secs(60);

/// A point on the steady clock, in nanoseconds; what began before the clock did is negative. `i64::MAX` is never.
pub(super) type Point = i64;

/// `time` on the steady clock.
pub(super) fn point(time: Time) -> Point {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// `point` plus `lasts`; for ever where there is none.
pub(super) fn end(point: Point, lasts: Option<Duration>) -> Point {
    let nanos = lasts.map_or(i64::MAX, nanos);
    if nanos == i64::MAX { i64::MAX } else { point.saturating_add(nanos) }
}

/// What is left until `end`; `None` for ever.
pub(super) fn left(end: Point, now: Now) -> Option<Duration> {
    let left = end.saturating_sub(point(now.steady)).max(0);
    (end != i64::MAX).then(|| Duration::from_nanos(left.unsigned_abs()))
}

/// When what is `age` old was born.
pub(super) fn ago(age: Duration, now: Now) -> Point {
    point(now.steady).saturating_sub(nanos(age))
}

/// How old what was born then is.
pub(super) fn age(born: Point, now: Now) -> Duration {
    Duration::from_nanos(point(now.steady).saturating_sub(born).max(0).unsigned_abs())
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The clocks of direct members, against our steady one: our own wall clock may jump as it likes.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    /// Their wall clock less our steady one, and when it was heard.
    heard: BTreeMap<NodeId, (i64, Time)>,
    median: Option<i64>,
}

impl Clocks {
    /// A member says what its wall clock shows.
    pub(super) fn hear(&mut self, now: Now, member: NodeId, wall: Time) {
        if self.heard.len() >= CLOCKS && !self.heard.contains_key(&member) {
            return;
        }
        self.heard.insert(member, (point(wall).saturating_sub(point(now.steady)), now.steady));
        self.judge();
    }

    /// Forgets the clocks that were not heard for a while.
    pub(super) fn expire(&mut self, now: Now) {
        self.heard.retain(|_, (_, at)| now.steady.since(*at) < STALE);
        self.judge();
    }

    fn judge(&mut self) {
        let mut offsets: Vec<i64> = self.heard.values().map(|(offset, _)| *offset).collect();
        offsets.sort_unstable();
        self.median = (offsets.len() >= ENOUGH).then(|| offsets[(offsets.len() - 1) / 2]);
    }

    /// The cluster's time, nanoseconds since the epoch; `None` with fewer than three direct members.
    fn cluster(&self, now: Now) -> Option<i64> {
        self.median.map(|offset| point(now.steady).saturating_add(offset))
    }

    /// What to sign as the time of issue: the cluster's time, or our own while there is none.
    pub(super) fn issue(&self, now: Now) -> Time {
        let cluster = self.cluster(now).and_then(|nanos| u64::try_from(nanos).ok());
        cluster.map_or(now.wall, Time::from_nanos)
    }

    /// When a run was born on our steady clock, its carrier saying that it is `age` old.
    ///
    /// It is as old as the carrier says, and at least as old as the cluster's time makes it, less the tolerance. Where
    /// the time of issue is believable, a carrier can exaggerate by no more than the tolerance: else it could end
    /// what others said. Before others tell the time our own clock has to do for that: the first who speaks to one that
    /// starts may be the liar. It makes nothing older: if it is wrong, a block lasts too long rather than not at all.
    pub(super) fn born(&self, now: Now, issued: Time, age: Duration) -> Point {
        let (mut age, tolerance) = (nanos(age), nanos(TOLERANCE));
        let cluster = self.cluster(now);
        let elapsed = cluster.unwrap_or(point(now.wall)).saturating_sub(point(issued));
        if elapsed >= -tolerance {
            age = age.min(elapsed.saturating_add(tolerance));
        }
        if cluster.is_some() {
            age = age.max(elapsed.saturating_sub(tolerance));
        }
        point(now.steady).saturating_sub(age.max(0))
    }

    /// How old an order is that its operator signed at `issued`, its carrier saying that it is `carried` old. Whoever
    /// wraps it in a run of today makes it no younger: without the cluster's time our own clock tells, less the tolerance.
    pub(super) fn signed(&self, now: Now, issued: Time, carried: Duration) -> Duration {
        if self.median.is_none() {
            return carried.max(now.wall.since(issued).saturating_sub(TOLERANCE));
        }
        age(self.born(now, issued, carried), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(steady: u64, wall: u64) -> Now {
        Now { steady: Time::from_secs(steady), wall: Time::from_secs(wall) }
    }

    const fn member(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn clocks(now: Now, walls: &[u64]) -> Clocks {
        let mut clocks = Clocks::default();
        for (n, wall) in walls.iter().enumerate() {
            clocks.hear(now, member(n as u8), Time::from_secs(*wall));
        }
        clocks
    }

    fn age_of(clocks: &Clocks, now: Now, issued: u64, says: u64) -> u64 {
        age(clocks.born(now, Time::from_secs(issued), Duration::from_secs(says)), now).as_secs()
    }

    #[test]
    fn two_clocks_are_too_few_to_tell_the_time() {
        let now = at(1000, 50_000);
        assert_eq!(age_of(&clocks(now, &[90_000, 90_000]), now, 80_000, 7), 7);
    }

    #[test]
    fn an_old_run_is_old_whatever_its_carrier_says() {
        let now = at(100_000, 0);
        let clocks = clocks(now, &[90_000, 90_001, 90_002]);
        assert_eq!(age_of(&clocks, now, 80_001, 0), 10_000 - 300);
    }

    #[test]
    fn a_carrier_cannot_age_a_run_beyond_the_tolerance() {
        let now = at(100_000, 0);
        let clocks = clocks(now, &[90_000, 90_001, 90_002]);
        assert_eq!(age_of(&clocks, now, 90_001, 50_000), 300);
    }

    #[test]
    fn before_others_tell_the_time_our_own_clock_bounds_what_a_carrier_exaggerates_and_makes_nothing_older() {
        let now = at(1000, 90_000);
        for clocks in [Clocks::default(), clocks(now, &[90_000, 90_000])] {
            assert_eq!(age_of(&clocks, now, 89_990, 40_000), 10 + 300);
            assert_eq!(age_of(&clocks, now, 80_000, 7), 7, "our clock may be ahead");
            assert_eq!(age_of(&clocks, now, 90_301, 40_000), 40_000, "our clock is behind");
        }
    }

    #[test]
    fn an_origin_whose_clock_is_ahead_is_as_old_as_its_carriers_say() {
        let now = at(100_000, 0);
        let clocks = clocks(now, &[90_000, 90_001, 90_002]);
        assert_eq!(age_of(&clocks, now, 97_200, 50), 50);
        assert_eq!(age_of(&clocks, now, u64::MAX, 50), 50);
    }

    #[test]
    fn one_liar_does_not_move_the_cluster_s_time() {
        let now = at(5, 17);
        for lie in [0, u64::MAX / 1_000_000_000] {
            let clocks = clocks(now, &[90_000, lie, 90_001]);
            assert_eq!(clocks.issue(now).as_secs().clamp(90_000, 90_001), clocks.issue(now).as_secs());
        }
    }

    #[test]
    fn an_order_is_as_old_as_our_own_clock_makes_it_where_nobody_tells_the_time() {
        let now = at(1000, 90_000);
        let age = |clocks: &Clocks, issued, says| {
            clocks.signed(now, Time::from_secs(issued), Duration::from_secs(says)).as_secs()
        };
        let few = clocks(now, &[90_000, 90_000]);
        assert_eq!((age(&few, 80_000, 7), age(&few, 89_900, 7)), (10_000 - 300, 7));
        assert_eq!(age(&few, 97_200, 50), 50, "signed by a clock that is ahead");
        let many = clocks(now, &[82_800, 82_800, 82_800]);
        assert_eq!((age(&many, 82_000, 7), age(&many, 82_000, 50_000)), (800 - 300, 800 + 300));
    }

    #[test]
    fn our_own_clock_may_jump() {
        let clocks = clocks(at(1000, 90_000), &[90_000, 90_000, 90_000]);
        assert_eq!(clocks.issue(at(1001, 97_200)), Time::from_secs(90_001));
    }

    #[test]
    fn silent_clocks_are_forgotten_and_a_crowd_is_bounded() {
        let mut clocks = clocks(at(1000, 0), &[90_000; 200]);
        assert_eq!(clocks.heard.len(), CLOCKS);
        clocks.expire(at(1061, 0));
        assert_eq!(clocks.issue(at(1061, 4)), Time::from_secs(4));
    }
}
