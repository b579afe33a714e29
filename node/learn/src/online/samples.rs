//! The reservoir: a week of days, a day of hours, each with so many rows and no more, and none with more of one
//! network than its share.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smartfw_core::IpNet;

use crate::chance::Chance;

use super::seen::{Row, WIDTH, holder, neighbourhoods};

/// Days that the reservoir holds.
pub const DAYS: usize = 7;
/// Hours of a day. Each gives as many rows at most, so that the night, when few are awake, does not belong to
/// whoever is loud then, and the day does not drown the night.
pub(super) const HOURS: usize = 24;
/// Rows of an hour.
pub const ROWS_PER_HOUR: usize = 119;
/// Rows of the reservoir: 19,992, two megabytes.
pub const ROWS: usize = DAYS * HOURS * ROWS_PER_HOUR;
/// Rows of an hour that one network may give: a tenth for a /24 (IPv6: /64), a fifth for the /16 (/48) around it.
pub const SHARES: [usize; 2] = [ROWS_PER_HOUR / 10, ROWS_PER_HOUR / 5];

/// An even sample of an hour, by reservoir sampling (Vitter 1985, algorithm R).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hour {
    pub(super) rows: Vec<Row>,
    offered: u64,
}

impl Hour {
    /// Offers a row. Where its network has its share, it takes the place of one of its neighbours.
    pub(super) fn offer(&mut self, row: Row, chance: &mut Chance) {
        self.offered += 1;
        let place = match self.neighbours(&row) {
            Some(neighbours) => neighbours[chance.below(neighbours.len())],
            None if self.rows.len() < ROWS_PER_HOUR => {
                self.rows.push(row);
                return;
            }
            None => chance.below(usize::try_from(self.offered).unwrap_or(usize::MAX)),
        };
        if let Some(place) = self.rows.get_mut(place) {
            *place = row;
        }
    }

    /// The rows of the row's network, where it has its share.
    fn neighbours(&self, row: &Row) -> Option<Vec<usize>> {
        let of = |net: &IpNet| -> Vec<usize> {
            let own = self.rows.iter().enumerate().filter(|(_, other)| net.contains(&other.source));
            own.map(|(index, _)| index).collect()
        };
        let nets = neighbourhoods(row.source);
        let full = nets.iter().zip(SHARES).map(|(net, share)| (of(net), share));
        full.into_iter().find(|(rows, share)| rows.len() >= *share).map(|(rows, _)| rows)
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
        let Hour { mut rows, .. } = std::mem::take(&mut self.hour);
        rows.truncate((HOURS * ROWS_PER_HOUR).saturating_sub(self.today.len()));
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

    /// Drops all that a source ever gave.
    pub(super) fn drop_source(&mut self, gone: &IpNet) {
        let keep = |row: &Row| holder(row.source) != *gone;
        self.hour.rows.retain(keep);
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
        let sized = self.hour.rows.len() <= ROWS_PER_HOUR
            && self.today.len() <= day
            && self.days.len() <= DAYS
            && self.days.iter().all(|rows| rows.len() <= day);
        let mut all = self.hour.rows.iter().chain(&self.today).chain(self.rows());
        sized && all.all(|row| finite(&row.values))
    }
}

/// Whether all values are numbers.
pub(super) fn finite(values: &[f32; WIDTH]) -> bool {
    values.iter().all(|value| value.is_finite())
}
