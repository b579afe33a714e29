//! The reservoir: a week of days, a day of hours, each with so many rows and no more, and none with more of one
//! network than its share.

use std::{collections::VecDeque, net::IpAddr};

use serde::{Deserialize, Serialize};
use smartfw_core::IpNet;

use crate::chance::Chance;

use super::seen::{Row, WIDTH, neighbourhoods};

/// Days that the reservoir holds.
pub const DAYS: usize = 7;
/// Hours of a day. Each gives as many rows at most, so that the night, when few are awake, does not belong to
/// whoever is loud then, and the day does not drown the night.
pub(super) const HOURS: usize = 24;
/// Rows of an hour.
pub const ROWS_PER_HOUR: usize = 119;
/// Rows of the reservoir: 19,992, two megabytes.
pub const ROWS: usize = DAYS * HOURS * ROWS_PER_HOUR;
/// Rows of an hour that one network may give: a tenth for a /24 (IPv6: /48), a fifth for the /16 (/32) around it.
pub const SHARES: [usize; 2] = [ROWS_PER_HOUR / 10, ROWS_PER_HOUR / 5];

/// An even sample of an hour in which no network has more than its share: each row draws a lot, and the lowest stay, as
/// in a reservoir with keys (Efraimidis and Spirakis 2006, all weights being equal). Networks lie within each other, so
/// that the same rows stay in whatever order they come: neither the first nor the last, nor the loud, are favoured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hour(Vec<(u64, Row)>);

impl Hour {
    /// Offers a row. The one with the highest lot goes where its network, or else the hour, then has more than its share.
    pub(super) fn offer(&mut self, row: Row, chance: &mut Chance) {
        self.0.push((chance.next(), row));
        let crowded = self.crowded(row.source);
        if let Some(highest) = crowded.into_iter().flatten().max_by_key(|place| self.0[*place].0) {
            self.0.swap_remove(highest);
        }
    }

    /// The rows of the narrowest network around a source that has more than its share; the hour is the widest.
    fn crowded(&self, source: IpAddr) -> Option<Vec<usize>> {
        let networks = neighbourhoods(source).into_iter().map(Some).chain([None]);
        networks.zip(SHARES.into_iter().chain([ROWS_PER_HOUR])).find_map(|(network, share)| {
            let own =
                |place: &usize| network.is_none_or(|network| network.contains(&self.0[*place].1.source));
            let own: Vec<usize> = (0..self.0.len()).filter(own).collect();
            (own.len() > share).then_some(own)
        })
    }
}

/// The hours of the day that is running, and the days that were taken in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Samples {
    pub(super) hour: Hour,
    /// The rows of the day's hours that are over.
    pub(super) today: Vec<Row>,
    pub(super) days: VecDeque<Vec<Row>>,
}

impl Samples {
    /// Ends the hour: its rows are the day's. Gives them.
    pub(super) fn end_hour(&mut self) -> Vec<Row> {
        let Hour(drawn) = std::mem::take(&mut self.hour);
        let room = (HOURS * ROWS_PER_HOUR).saturating_sub(self.today.len());
        let rows: Vec<Row> = drawn.into_iter().map(|(_, row)| row).take(room).collect();
        self.today.extend_from_slice(&rows);
        rows
    }

    /// Takes a day in; the oldest goes when there are [`DAYS`] already.
    pub(super) fn take_in(&mut self, day: Vec<Row>) {
        if self.days.len() >= DAYS {
            self.days.pop_front();
        }
        self.days.push_back(day);
    }

    /// Drops all that the sources of a network ever gave.
    pub(super) fn drop_within(&mut self, gone: &IpNet) {
        let keep = |row: &Row| !gone.contains(&row.source);
        self.hour.0.retain(|(_, row)| keep(row));
        self.today.retain(keep);
        self.days.iter_mut().for_each(|day| day.retain(keep));
    }

    /// The rows of the reservoir.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.days.iter().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.days.iter().map(Vec::len).sum()
    }

    /// Whether everything is within its limits, and every number one: what was read from a file need not be.
    pub(super) fn fits(&self) -> bool {
        let day = HOURS * ROWS_PER_HOUR;
        let sized = self.hour.0.len() <= ROWS_PER_HOUR
            && self.today.len() <= day
            && self.days.len() <= DAYS
            && self.days.iter().all(|rows| rows.len() <= day);
        let mut all = self.hour.0.iter().map(|(_, row)| row).chain(&self.today).chain(self.rows());
        sized && all.all(|row| finite(&row.values))
    }
}

/// Whether all values are numbers.
pub(super) fn finite(values: &[f32; WIDTH]) -> bool {
    values.iter().all(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use smartfw_core::verdict::Protocol;

    use super::*;

    /// The row that comes as the number `turn`.
    fn row(source: impl Into<IpAddr>, turn: u16) -> Row {
        Row { source: source.into(), service: (Protocol::Tcp, turn), values: [1.0; WIDTH] }
    }

    #[test]
    fn who_comes_late_has_the_same_chance_as_who_comes_first_and_the_loud_take_it_from_nobody() {
        const TURNS: u16 = 300;
        // Rows in the sample of the first half of an hour and of the second: of a loud /24, and of all others.
        let (mut loud, mut others) = ([0_usize; 2], [0_usize; 2]);
        for seed in 0..100 {
            let (mut hour, mut chance) = (Hour::default(), Chance::new(seed));
            for turn in 0..TURNS {
                hour.offer(row([11, (turn / 2) as u8, (turn % 2) as u8, 1], turn), &mut chance);
                (0..5).for_each(|host| hour.offer(row([203, 0, 113, host], turn), &mut chance));
            }
            assert_eq!(hour.0.len(), ROWS_PER_HOUR);
            for (_, row) in hour.0 {
                let half = usize::from(row.service.1 >= TURNS / 2);
                let is_loud = neighbourhoods(row.source) == neighbourhoods([203, 0, 113, 0].into());
                if is_loud { loud[half] += 1 } else { others[half] += 1 }
            }
        }
        assert!(loud[0].abs_diff(loud[1]) < 160, "{loud:?}");
        assert!(others[0].abs_diff(others[1]) < 400, "{others:?}");
    }

    #[test]
    fn of_ipv6_a_site_gives_a_tenth_and_a_provider_a_fifth() {
        let (mut hour, mut chance) = (Hour::default(), Chance::new(7));
        let address = |provider, site, subnet| Ipv6Addr::new(0x2001, provider, site, subnet, 0, 0, 0, 1);
        for turn in 0..100 {
            for site in [0, 0, 0, 0, 0, 1, 2] {
                hour.offer(row(address(0xdb8, site, turn), turn), &mut chance);
            }
            hour.offer(row(address(turn, 0, 0), turn), &mut chance);
        }
        let of = |net: &str| {
            let net: IpNet = net.parse().unwrap();
            hour.0.iter().filter(|(_, row)| net.contains(&row.source)).count()
        };
        assert_eq!([of("2001:db8::/48"), of("2001:db8::/32")], SHARES);
        assert_eq!(of("::/0"), ROWS_PER_HOUR);
    }
}
