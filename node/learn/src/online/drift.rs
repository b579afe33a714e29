//! How far what is seen now is from what the node saw first: the population stability index, feature by feature.

use serde::{Deserialize, Serialize};

use super::seen::WIDTH;

/// Where a profile's bins end: the tails are narrow, so that a few rows where hardly any belong show at once.
const QUANTILES: [f64; 11] = [0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99];
/// What every bin has besides its rows, so that an empty one has a logarithm.
const SMOOTHING: f64 = 0.5;

/// How each feature was distributed in the node's first week. It never changes: a profile that followed would follow
/// whoever leads slowly. Since the index is convex, a reservoir of days that are each within its limit is so, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile(Vec<Histogram>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Histogram {
    /// Where bins end, rising; the last bin has no end.
    ends: Vec<f32>,
    counts: Vec<u32>,
}

/// How far the most displaced feature is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// The feature's index.
    pub feature: usize,
    /// Σ (q − p) · ln(q / p) over the bins, p being a bin's share in the profile and q the share now (Siddiqi 2006),
    /// less (bins − 1) · (1/n + 1/m), which n and m rows of the same distribution have on average (Yurdakul 2018).
    pub index: f64,
}

impl Profile {
    pub(super) fn new(rows: &[[f32; WIDTH]]) -> Self {
        Self((0..WIDTH).map(|feature| Histogram::new(&column(rows, feature))).collect())
    }

    /// How far `rows` are from the profile.
    pub(super) fn drift(&self, rows: &[[f32; WIDTH]]) -> Drift {
        let drifts = self.0.iter().enumerate();
        let drifts = drifts
            .map(|(feature, profile)| Drift { feature, index: profile.stability(&column(rows, feature)) });
        drifts.max_by(|a, b| a.index.total_cmp(&b.index)).unwrap_or(Drift { feature: 0, index: 0.0 })
    }

    /// Whether it can be asked: what was read from a file need not be.
    pub(super) fn fits(&self) -> bool {
        let whole = |of: &Histogram| of.counts.len() == of.ends.len() + 1 && of.ends.len() <= QUANTILES.len();
        self.0.len() == WIDTH && self.0.iter().all(whole)
    }
}

impl Histogram {
    fn new(sorted: &[f32]) -> Self {
        let at = |quantile: &f64| sorted.get((quantile * sorted.len() as f64) as usize).copied();
        let mut ends: Vec<f32> = QUANTILES.iter().filter_map(at).collect();
        ends.dedup();
        let counts = count(&ends, sorted);
        Self { ends, counts }
    }

    fn stability(&self, now: &[f32]) -> f64 {
        let (then, now) = (&self.counts, count(&self.ends, now));
        let total = |counts: &[u32]| counts.iter().map(|count| f64::from(*count)).sum::<f64>();
        let (n, m) = (total(then), total(&now));
        let bins = then.len() as f64;
        let share = |count: u32, of: f64| (f64::from(count) + SMOOTHING) / (of + SMOOTHING * bins);
        let terms = then.iter().zip(&now).map(|(then, now)| (share(*then, n), share(*now, m)));
        let index: f64 = terms.map(|(p, q)| (q - p) * (q / p).ln()).sum();
        index - (bins - 1.0) * (1.0 / n.max(1.0) + 1.0 / m.max(1.0))
    }
}

fn count(ends: &[f32], values: &[f32]) -> Vec<u32> {
    let mut counts = vec![0; ends.len() + 1];
    values.iter().for_each(|value| counts[ends.partition_point(|end| end < value)] += 1);
    counts
}

fn column(rows: &[[f32; WIDTH]], feature: usize) -> Vec<f32> {
    let mut column: Vec<f32> = rows.iter().map(|row| row[feature]).collect();
    column.sort_by(f32::total_cmp);
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: f32, to: f32, count: u16) -> Vec<[f32; WIDTH]> {
        let step = (to - from) / f32::from(count);
        (0..count).map(|i| [from + step * f32::from(i); WIDTH]).collect()
    }

    #[test]
    fn what_is_alike_has_no_drift() {
        let profile = Profile::new(&ramp(0.0, 100.0, 1000));
        assert!(profile.drift(&ramp(0.0, 100.0, 300)).index < 0.02);
    }

    #[test]
    fn a_tenth_beyond_all_that_was_seen_is_a_drift() {
        let profile = Profile::new(&ramp(0.0, 100.0, 1000));
        let mut rows = ramp(0.0, 100.0, 900);
        rows.extend(ramp(500.0, 600.0, 100));
        let drift = profile.drift(&rows).index;
        assert!((0.15..0.4).contains(&drift), "{drift}");
    }

    #[test]
    fn the_formula_is_the_one_of_the_books() {
        // A profile of one bin's end at 0: half below or at it, half above. Now a quarter and three quarters.
        let rows = |low: usize, high: usize| {
            let mut rows = vec![[0.0; WIDTH]; low];
            rows.extend(vec![[1.0; WIDTH]; high]);
            rows
        };
        let histogram = Histogram { ends: vec![0.0], counts: vec![50_000, 50_000] };
        let index = histogram.stability(&column(&rows(25_000, 75_000), 0));
        let book = (0.25_f64 - 0.5) * 0.5_f64.ln() + (0.75 - 0.5) * 1.5_f64.ln();
        assert!((index - book).abs() < 1e-3, "{index} {book}");
    }

    #[test]
    fn a_feature_that_was_always_the_same_shows_the_first_change() {
        let profile = Profile::new(&vec![[0.0; WIDTH]; 2000]);
        let mut rows = vec![[0.0; WIDTH]; 950];
        rows.extend(vec![[3.0; WIDTH]; 50]);
        assert!(profile.drift(&rows).index > 0.25);
    }

    #[test]
    fn nothing_is_no_drift_and_no_panic() {
        let profile = Profile::new(&[]);
        assert!(profile.drift(&[]).index.is_finite());
        assert!(profile.fits());
    }
}
