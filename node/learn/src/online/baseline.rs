//! What is usual here: the mean of each feature, for the node and for each of its services. They follow what is seen, but
//! never by more than a step an hour, whatever is sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use smartfw_core::{IpNet, Time};

use super::seen::{LocalService, Row, WIDTH, neighbourhoods};

/// Services with a baseline of their own: a server has a handful, and sixty-four take 9 kB.
pub const SERVICES: usize = 64;
/// The most that a mean moves in an hour, on the scale ln(1 + x): two per cent of x.
pub const STEP: f32 = 0.02;
/// The most that a mean may be from where it began: a factor of four. Beyond, something changed that a person should
/// know of, even if it took weeks.
pub const LEASH: f32 = 1.386;
/// Rows that an hour must have to move a baseline.
const LEAST_ROWS: usize = 10;
/// Networks of one family (a /16, or of IPv6 a /32) that an hour must have rows of to move a baseline: nobody alone
/// decides what is usual where hardly anybody asks, and can stop learning by changing his ways. Of a line with both
/// families it is one. What a single network asks for has no baseline: its days are bound by the first week's profile.
const LEAST_NETWORKS: usize = 2;
/// A baseline that no hour moved for this long stops nothing, and that of a service makes room for another: perhaps it
/// is no more.
const UNUSED: Duration = Duration::from_secs(7 * 24 * 3600);

/// The baselines of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Baselines {
    host: Option<Baseline>,
    services: BTreeMap<LocalService, Baseline>,
}

/// Means of ln(1 + x), x being a feature's value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Baseline {
    first: [f32; WIDTH],
    mean: [f32; WIDTH],
    at: Time,
}

impl Baselines {
    /// Takes in an hour's sample. While learning stands still, means only go back to where they began: what has strayed
    /// may return, and nothing is led farther.
    pub(super) fn take_in(&mut self, now: Time, rows: &[Row], still: bool) {
        let mut services: BTreeMap<LocalService, Vec<Row>> = BTreeMap::new();
        rows.iter().for_each(|row| services.entry(row.service).or_default().push(*row));
        if let Some(hour) = Baseline::of(now, rows) {
            self.host = Baseline::moved(self.host.take(), hour, still);
        }
        for (service, rows) in services {
            let Some(hour) = Baseline::of(now, &rows) else { continue };
            let before = self.services.remove(&service);
            if before.is_some() || (!still && self.make_room(now)) {
                let moved = Baseline::moved(before, hour, still);
                self.services.extend(moved.map(|baseline| (service, baseline)));
            }
        }
    }

    /// What has gone farther from where it began than it may: the service (none: the node), and the feature. What has too
    /// few networks to come back stands in nobody's way for ever.
    pub(super) fn strayed(&self, now: Time) -> Option<(Option<LocalService>, usize)> {
        let host = self.host.iter().map(|baseline| (None, baseline));
        let services = self.services.iter().map(|(service, baseline)| (Some(*service), baseline));
        host.chain(services)
            .filter(|(_, baseline)| now.since(baseline.at) < UNUSED)
            .find_map(|(service, baseline)| baseline.strayed().map(|feature| (service, feature)))
    }

    /// Nothing was seen later than now.
    pub(super) fn set_back(&mut self, now: Time) {
        let all = self.host.iter_mut().chain(self.services.values_mut());
        all.for_each(|baseline| baseline.at = baseline.at.min(now));
    }

    pub(super) fn fits(&self) -> bool {
        self.services.len() <= SERVICES
            && self.host.iter().chain(self.services.values()).all(Baseline::is_finite)
    }

    fn make_room(&mut self, now: Time) -> bool {
        if self.services.len() < SERVICES {
            return true;
        }
        let oldest = self.services.iter().min_by_key(|(_, baseline)| baseline.at);
        let unused = oldest.filter(|(_, baseline)| now.since(baseline.at) >= UNUSED);
        let unused = unused.map(|(service, _)| *service);
        unused.is_some_and(|service| self.services.remove(&service).is_some())
    }
}

impl Baseline {
    fn of(at: Time, rows: &[Row]) -> Option<Self> {
        if rows.len() < LEAST_ROWS || networks(rows) < LEAST_NETWORKS {
            return None;
        }
        let mut sums = [0.0_f32; WIDTH];
        for row in rows {
            sums.iter_mut().zip(row.values).for_each(|(sum, value)| *sum += value.max(0.0).ln_1p());
        }
        let mean = sums.map(|sum| sum / rows.len() as f32);
        Some(Self { first: mean, mean, at })
    }

    /// `before`, a step nearer to `hour`; none where there was none and learning stands still.
    fn moved(before: Option<Self>, hour: Self, still: bool) -> Option<Self> {
        let Some(before) = before else { return (!still).then_some(hour) };
        let mean = |i: usize| {
            let (first, from) = (before.first[i], before.mean[i]);
            let to = from + (hour.mean[i] - from).clamp(-STEP, STEP);
            if still && (to - first).abs() > (from - first).abs() { from } else { to }
        };
        Some(Self { first: before.first, mean: std::array::from_fn(mean), at: hour.at })
    }

    fn strayed(&self) -> Option<usize> {
        (0..WIDTH).find(|i| (self.mean[*i] - self.first[*i]).abs() > LEASH)
    }

    fn is_finite(&self) -> bool {
        [self.first, self.mean].iter().flatten().all(|value| value.is_finite())
    }
}

/// The networks that the rows are of, in the family that has more.
fn networks(rows: &[Row]) -> usize {
    let all: BTreeSet<IpNet> = rows.iter().map(|row| neighbourhoods(row.source)[1]).collect();
    let of_ipv4 = all.iter().filter(|network| network.addr().is_ipv4()).count();
    of_ipv4.max(all.len() - of_ipv4)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use smartfw_core::verdict::Protocol;

    use super::*;

    fn rows(service: LocalService, value: f32) -> Vec<Row> {
        let row = |n: usize| Row { source: [192, n as u8, 2, 1].into(), service, values: [value; WIDTH] };
        (0..LEAST_ROWS).map(row).collect()
    }

    const HTTP: LocalService = (Protocol::Tcp, 80);

    #[test]
    fn an_hour_moves_a_baseline_by_one_step_whatever_it_saw() {
        let mut baselines = Baselines::default();
        baselines.take_in(Time::ZERO, &rows(HTTP, 10.0), false);
        baselines.take_in(Time::from_secs(3600), &rows(HTTP, 1e9), false);
        let mean = baselines.host.as_ref().unwrap().mean[0];
        assert!((mean - (11.0_f32.ln() + STEP)).abs() < 1e-5, "{mean}");
    }

    #[test]
    fn a_slow_ramp_ends_at_the_leash() {
        let mut baselines = Baselines::default();
        let hours = (LEASH / STEP) as u64 + 1;
        for hour in 0..=hours {
            assert_eq!(baselines.strayed(Time::from_secs(3600 * hour)), None, "after {hour} hours");
            let value = 10.0 * (1.0 + STEP * 1.5).powi(hour as i32);
            baselines.take_in(Time::from_secs(3600 * hour), &rows(HTTP, value * 2.0), false);
        }
        assert!(baselines.strayed(Time::from_secs(3600 * hours)).is_some());
    }

    /// Baselines of which that of HTTP alone has strayed, and when that was.
    fn strayed() -> (Baselines, Time) {
        let mut baselines = Baselines::default();
        let mut now = Time::ZERO;
        while baselines.strayed(now).is_none() {
            now = now.after(Duration::from_secs(3600));
            let value = if baselines.services.is_empty() { 1.0 } else { 100.0 };
            baselines.take_in(now, &rows(HTTP, value), false);
            baselines.host = None;
        }
        assert_eq!(baselines.strayed(now), Some((Some(HTTP), 0)));
        (baselines, now)
    }

    #[test]
    fn a_service_that_nobody_asks_any_more_stops_nothing() {
        let (baselines, now) = strayed();
        let almost = now.after(UNUSED - Duration::from_secs(1));
        assert_eq!(baselines.strayed(almost), Some((Some(HTTP), 0)));
        assert_eq!(baselines.strayed(now.after(UNUSED)), None);
    }

    #[test]
    fn one_network_alone_moves_no_baseline_also_where_it_has_both_families() {
        let mut baselines = Baselines::default();
        let of = |value: f32, source: fn(u16) -> IpAddr| {
            let mut rows = rows(HTTP, value);
            rows.iter_mut().zip(0..).for_each(|(row, n)| row.source = source(n));
            rows
        };
        let office = |n: u16| [192, 0, n as u8, 1].into();
        let provider = |n: u16| [0x2001, 0xdb8, n, 0, 0, 0, 0, 1].into();
        let dual: fn(u16) -> IpAddr =
            |n| if n % 2 == 0 { [192, 0, 2, 1].into() } else { [0x2001, 0xdb8, n, 0, 0, 0, 0, 1].into() };
        for source in [office, provider, dual] {
            baselines.take_in(Time::ZERO, &of(1.0, source), false);
            assert_eq!(baselines, Baselines::default());
        }
        baselines.take_in(Time::ZERO, &rows(HTTP, 1.0), false);
        let before = baselines.clone();
        for source in [office, provider, dual] {
            baselines.take_in(Time::from_secs(3600), &of(100.0, source), false);
            assert_eq!(baselines, before);
        }
        baselines.take_in(Time::from_secs(3600), &of(100.0, |n| [0x2001, n, 0, 0, 0, 0, 0, 1].into()), false);
        assert!(baselines.host != before.host && baselines.services != before.services);
    }

    #[test]
    fn a_node_that_too_few_ask_to_come_back_stands_still_for_a_week() {
        let (mut baselines, now) = strayed();
        baselines.host = baselines.services.remove(&HTTP);
        let almost = now.after(UNUSED - Duration::from_secs(1));
        assert_eq!(baselines.strayed(almost), Some((None, 0)));
        assert_eq!(baselines.strayed(now.after(UNUSED)), None);
    }

    #[test]
    fn while_learning_stands_still_a_baseline_only_goes_back() {
        let mut baselines = Baselines::default();
        let mean = |baselines: &Baselines| baselines.host.as_ref().unwrap().mean[0];
        baselines.take_in(Time::ZERO, &rows(HTTP, 10.0), true);
        assert_eq!(baselines, Baselines::default());
        baselines.take_in(Time::ZERO, &rows(HTTP, 10.0), false);
        baselines.take_in(Time::ZERO, &rows(HTTP, 20.0), false);
        let led = mean(&baselines);
        baselines.take_in(Time::ZERO, &rows(HTTP, 20.0), true);
        assert_eq!(mean(&baselines), led);
        baselines.take_in(Time::ZERO, &rows(HTTP, 1.0), true);
        assert!((mean(&baselines) - (led - STEP)).abs() < 1e-6);
        baselines.take_in(Time::ZERO, &rows(HTTP, 1.0), true);
        assert!((mean(&baselines) - 11.0_f32.ln()).abs() < STEP);
    }

    #[test]
    fn services_are_bounded_and_only_an_unused_one_makes_room() {
        let mut baselines = Baselines::default();
        for port in 0..=SERVICES as u16 {
            baselines.take_in(Time::ZERO, &rows((Protocol::Tcp, port), 1.0), false);
        }
        let newcomer = (Protocol::Tcp, SERVICES as u16);
        assert_eq!(baselines.services.len(), SERVICES);
        assert!(!baselines.services.contains_key(&newcomer));
        baselines.take_in(Time::ZERO.after(UNUSED), &rows(newcomer, 1.0), false);
        assert!(baselines.services.contains_key(&newcomer));
        assert!(baselines.fits());
    }
}
