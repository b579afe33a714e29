//! How good a model is on rows that no training sees, and whether another is not worse.

use std::collections::BTreeMap;

use smartfw_core::{
    Class,
    model::{BENIGN, Model},
};

use super::seen::WIDTH;

/// What a candidate may lose of macro F1, against the model that ships and not against the last candidate, so
/// that losses never add up.
pub const TOLERANCE: f32 = 0.01;
/// What it may lose of a class's recall, beside the standard error of what is measured on so few rows: other trees on
/// the same rows differ by as much.
pub const RECALL_TOLERANCE: f32 = 0.02;
/// The same of the share of attacks that are strange. It only matters to what is reported, and differs more.
const STRANGE_TOLERANCE: f32 = 0.05;
/// How far a candidate's anomaly threshold may be from that of the model that ships.
pub const THRESHOLD_TOLERANCE: f32 = 0.05;

/// A window whose class is known; `None` is benign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Labelled {
    /// Its features.
    pub values: [f32; WIDTH],
    /// Its class.
    pub class: Option<Class>,
}

/// A model's figures on a reference set.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The mean of the classes' F1, 0 to 1.
    pub macro_f1: f32,
    /// Each class's recall, 0 to 1; `None` is benign.
    pub recall: BTreeMap<Option<Class>, Share>,
    /// From which score on the isolation forest calls a window strange.
    pub threshold: f32,
    /// The share of the attacks' windows that it calls strange.
    pub strange_attacks: Share,
    /// The share of the benign windows that it calls strange.
    pub strange_benign: Share,
}

/// A part of some rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// How large it is, 0 to 1.
    pub share: f32,
    /// Of how many rows.
    pub rows: u32,
}

impl Share {
    /// The standard error of a share of so many rows.
    fn error(self) -> f32 {
        (self.share * (1.0 - self.share) / self.rows.max(1) as f32).sqrt()
    }
}

/// Hits, rows of the class, and rows that were called so.
#[derive(Clone, Copy, Default)]
struct Count {
    right: u32,
    real: u32,
    called: u32,
}

#[derive(Default)]
struct Tally {
    counts: BTreeMap<Option<Class>, Count>,
    /// Those called strange: of the benign windows, and of the attacks'.
    strange: [Count; 2],
}

impl Scores {
    /// Asks each model about every row that stands with it; the figures are those of all together.
    pub fn of<'a>(asked: impl IntoIterator<Item = (&'a Model, &'a [Labelled])>) -> Self {
        let mut tally = Tally::default();
        let (mut thresholds, mut models) = (0.0, 0.0_f32);
        for (model, rows) in asked {
            rows.iter().for_each(|row| tally.ask(model, row));
            thresholds += model.isolation().threshold();
            models += 1.0;
        }
        let Tally { counts, strange } = &tally;
        let real = counts.iter().filter(|(_, count)| count.real > 0);
        let f1 = |count: &Count| 2.0 * count.right as f32 / (count.real + count.called) as f32;
        let (sum, classes) = real.clone().fold((0.0, 0.0_f32), |(sum, n), (_, of)| (sum + f1(of), n + 1.0));
        Self {
            macro_f1: sum / classes.max(1.0),
            recall: real.map(|(class, count)| (*class, share(count))).collect(),
            threshold: thresholds / models.max(1.0),
            strange_attacks: share(&strange[1]),
            strange_benign: share(&strange[0]),
        }
    }

    /// What `candidate` is worse at than this, by more than may be.
    pub fn shortfall(&self, candidate: &Self) -> Option<String> {
        let recall = |(class, before): (&Option<Class>, &Share)| {
            let now = candidate.recall.get(class).copied().unwrap_or_default();
            let what = format!("its recall of {} is", class.map_or(BENIGN, Class::as_str));
            lost(&what, before.share, now.share, RECALL_TOLERANCE + before.error())
        };
        let moved = (candidate.threshold - self.threshold).abs();
        let moved = (moved > THRESHOLD_TOLERANCE).then(|| {
            format!("its anomaly threshold is {:.3} and not {:.3}", candidate.threshold, self.threshold)
        });
        lost("its macro F1 is", self.macro_f1, candidate.macro_f1, TOLERANCE)
            .or_else(|| self.recall.iter().find_map(recall))
            .or_else(|| {
                let (before, now) = (self.strange_attacks, candidate.strange_attacks);
                let tolerance = STRANGE_TOLERANCE + before.error();
                lost("it finds strange of attacks", before.share, now.share, tolerance)
            })
            .or_else(|| {
                let (before, now) = (1.0 - self.strange_benign.share, 1.0 - candidate.strange_benign.share);
                lost("it finds ordinary of what is benign", before, now, TOLERANCE)
            })
            .or(moved)
    }
}

impl Tally {
    fn ask(&mut self, model: &Model, row: &Labelled) {
        let called = opinion(model, &row.values).0;
        self.counts.entry(called).or_default().called += 1;
        let real = self.counts.entry(row.class).or_default();
        real.real += 1;
        real.right += u32::from(called == row.class);
        let strange = &mut self.strange[usize::from(row.class.is_some())];
        strange.real += 1;
        let isolation = model.isolation();
        strange.right += u32::from(isolation.score(&row.values) >= isolation.threshold());
    }
}

/// What a model's forest says of a window: the likeliest class, and how likely it is to be benign.
pub(super) fn opinion(model: &Model, values: &[f32; WIDTH]) -> (Option<Class>, f32) {
    let mut probabilities = vec![0.0; model.classes().len()];
    model.forest().probabilities(values, &mut probabilities);
    let named = model.classes().iter().copied().zip(probabilities);
    let (mut likeliest, mut benign) = ((None, 0.0), 0.0);
    for (class, probability) in named {
        if probability > likeliest.1 {
            likeliest = (class, probability);
        }
        if class.is_none() {
            benign = probability;
        }
    }
    (likeliest.0, benign)
}

fn share(count: &Count) -> Share {
    Share { share: count.right as f32 / count.real.max(1) as f32, rows: count.real }
}

/// What is said where more is lost than may be.
fn lost(what: &str, before: f32, now: f32, tolerance: f32) -> Option<String> {
    // What is no number is never good enough.
    let kept = now >= before - tolerance;
    (!kept).then(|| format!("{what} {:.1} % and not {:.1} %", now * 100.0, before * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::testing;

    fn row(packets_per_second: f32, class: Option<Class>) -> Labelled {
        let mut values = [0.0; WIDTH];
        values[0] = packets_per_second;
        Labelled { values, class }
    }

    #[test]
    fn scores_are_counted_by_class() {
        // The model calls a flood what sends a hundred packets a second.
        let model = testing::model(100.0);
        let flood = Some(Class::NetFlood);
        let rows =
            [row(10.0, None), row(200.0, None), row(300.0, flood), row(300.0, flood), row(90.0, flood)];
        let scores = Scores::of([(&*model, rows.as_slice())]);
        assert_eq!(scores.recall[&None], Share { share: 0.5, rows: 2 });
        assert_eq!(scores.recall[&flood], Share { share: 2.0 / 3.0, rows: 3 });
        assert!((scores.macro_f1 - (0.5 + 2.0 / 3.0) / 2.0).abs() < 1e-6, "{}", scores.macro_f1);
    }

    #[test]
    fn few_rows_allow_for_their_own_error() {
        let of = |share: f32, rows: u32| Scores {
            recall: [(None, Share { share, rows })].into(),
            ..testing::scores()
        };
        // Of a hundred rows at 96 %, four more may be chance; of ten thousand they are none.
        assert_eq!(of(0.96, 100).shortfall(&of(0.925, 100)), None);
        assert!(of(0.96, 10_000).shortfall(&of(0.925, 10_000)).is_some());
        assert!(of(1.0, 100).shortfall(&of(0.97, 100)).is_some());
    }

    #[test]
    fn every_figure_that_falls_is_named() {
        let before = testing::scores();
        let worse = |change: &dyn Fn(&mut Scores)| {
            let mut candidate = testing::scores();
            change(&mut candidate);
            before.shortfall(&candidate).unwrap_or_default()
        };
        assert_eq!(worse(&|_| ()), "");
        assert!(worse(&|scores| scores.macro_f1 -= 0.02).contains("macro F1"));
        assert!(worse(&|scores| scores.macro_f1 = f32::NAN).contains("macro F1"));
        assert!(worse(&|scores| scores.recall.clear()).contains("recall of benign"));
        assert_eq!(worse(&|scores| scores.strange_attacks.share -= 0.04), "");
        assert!(worse(&|scores| scores.threshold += 0.06).contains("threshold"));
        assert!(worse(&|scores| scores.strange_attacks.share -= 0.07).contains("strange"));
        assert!(worse(&|scores| scores.strange_benign.share += 0.02).contains("ordinary"));
    }
}
