//! Candidates: trained on the reference set and on what the node has seen, and examined.
//!
//! The model that ships was trained on rows of the reference set, and so is a candidate: neither can be judged by them
//! fairly. So what is judged is the way it is made: two twins, each trained like the candidate but on one half of the
//! reference set, are asked about the other half, and measured by two twins that learned nothing from the node.

use smartfw_core::{
    Class,
    model::{BENIGN, Model},
};

use super::{
    Lot, Reference,
    scores::{Labelled, Scores},
    seen::WIDTH,
};
use crate::{
    chance::Chance,
    table::{Row, Table, TableError},
    train::{TrainError, TrainOptions, fit, fit_isolation, with_threads},
};

/// What the node has seen counts a quarter of the reference set's benign rows, so a fifth of all that is benign.
const SEEN_SHARE: f32 = 0.25;
/// What people corrected counts a fiftieth of them, and a correction no more than four rows.
const CORRECTED: (f32, f32) = (0.02, 4.0);

/// Into so many runs what was seen is parted: trees draw whole runs, and each is to see some of it.
const RUNS: usize = 64;

/// A model's figures: those of twins on rows that they were not trained on, and its own on the whole reference set.
#[derive(Clone, Debug, PartialEq)]
pub struct Exam {
    /// Of its twins, on the halves that they were not trained on.
    pub held_out: Scores,
    /// Its own, on all.
    pub all: Scores,
}

/// Why there is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum ExamError {
    /// Its training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// What it was to be trained on is no table.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Exam {
    /// What `candidate` is worse at than this, by more than may be.
    pub fn shortfall(&self, candidate: &Self) -> Option<String> {
        let own = self.all.shortfall(&candidate.all);
        own.or_else(|| self.held_out.shortfall(&candidate.held_out))
    }

    /// Examines a model that was not made here.
    ///
    /// # Errors
    /// [`ExamError`] when its twins cannot be trained.
    pub fn of(model: &Model, reference: &Reference, options: &TrainOptions) -> Result<Self, ExamError> {
        let held_out = with_threads(options.threads, || Ok(twins(reference, None, options)))??;
        Ok(Self { held_out, all: Scores::of([(model, labelled(reference.table()).as_slice())]) })
    }
}

/// Trains the candidate that a lot asks for, and examines it. The same lot, reference set and options give the same.
///
/// # Errors
/// [`ExamError`] when it cannot be trained.
pub fn candidate(
    lot: &Lot,
    reference: &Reference,
    options: &TrainOptions,
) -> Result<(Model, Exam), ExamError> {
    with_threads(options.threads, || {
        let make = || -> Result<_, ExamError> {
            let model = make(reference.table(), Some(lot), options)?;
            let held_out = twins(reference, Some(lot), options)?;
            let all = Scores::of([(&model, labelled(reference.table()).as_slice())]);
            Ok((model, Exam { held_out, all }))
        };
        Ok(make())
    })?
}

/// The figures of both twins together.
fn twins(reference: &Reference, lot: Option<&Lot>, options: &TrainOptions) -> Result<Scores, ExamError> {
    let mut asked = Vec::new();
    for (trained_on, held_out) in reference.halves() {
        let twin = make(&reference.table().select(trained_on), lot, options)?;
        asked.push((twin, labelled(&reference.table().select(held_out))));
    }
    Ok(Scores::of(asked.iter().map(|(twin, rows)| (twin, rows.as_slice()))))
}

fn make(reference: &Table, lot: Option<&Lot>, options: &TrainOptions) -> Result<Model, ExamError> {
    let (mut forest, mut isolation) = (reference.clone(), reference.clone());
    if let Some(lot) = lot {
        let benign = (0..reference.len()).filter(|row| reference.row(*row).class == BENIGN).count();
        let mut seen = lot.rows.clone();
        let seen = Chance::new(lot.seed).choose(&mut seen, benign);
        add(&mut forest, seen, SEEN_SHARE * benign as f32, 1.0)?;
        let corrected: Vec<_> = lot.corrections.iter().map(|correction| correction.values).collect();
        let (share, most) = CORRECTED;
        add(&mut forest, &corrected, share * benign as f32, most)?;
        add(&mut isolation, seen, f32::MAX, 1.0)?;
    }
    let forest = fit(&forest, options, options.seed, &mut |_| ())?;
    Ok(Model::new(forest, fit_isolation(&isolation, options)?).map_err(TrainError::from)?)
}

/// Adds benign rows that together count `share`, and none more than `most`.
fn add(table: &mut Table, rows: &[[f32; WIDTH]], share: f32, most: f32) -> Result<(), TableError> {
    let weight = (share / rows.len().max(1) as f32).clamp(f32::MIN_POSITIVE, most);
    let own = "here";
    rows.iter().enumerate().try_for_each(|(at, values)| {
        let capture = &format!("{own}-{}", at % RUNS);
        table.push(Row { values, class: BENIGN, capture, tool: own, family: own, weight })
    })
}

fn labelled(table: &Table) -> Vec<Labelled> {
    let row = |at: usize| {
        let row = table.row(at);
        let values = row.values.try_into().ok()?;
        Some(Labelled { values, class: row.class.parse::<Class>().ok() })
    };
    (0..table.len()).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        forest::ForestOptions,
        online::{Candidate, testing},
    };

    fn options() -> TrainOptions {
        TrainOptions {
            forest: ForestOptions { trees: 8, ..ForestOptions::default() },
            ..TrainOptions::default()
        }
    }

    fn lot(rows: Vec<[f32; WIDTH]>) -> Lot {
        Lot { candidate: Candidate(1), seed: 7, rows, corrections: Vec::new() }
    }

    #[test]
    fn the_same_lot_gives_the_same_candidate() {
        let reference = Reference::builtin().unwrap();
        let lot = lot(vec![[3.0; WIDTH]; 50]);
        let (one, exam) = candidate(&lot, reference, &options()).unwrap();
        let (other, again) = candidate(&lot, reference, &TrainOptions { threads: 1, ..options() }).unwrap();
        assert_eq!(one.encode(), other.encode());
        assert_eq!(exam, again);
    }

    #[test]
    fn who_learned_nothing_is_not_worse_than_the_chosen_and_a_stranger_is() {
        let reference = Reference::builtin().unwrap();
        let (model, exam) = candidate(&lot(Vec::new()), reference, &options()).unwrap();
        let chosen = Exam::of(&model, reference, &options()).unwrap();
        assert_eq!(chosen, exam);
        assert_eq!(chosen.shortfall(&exam), None);
        let stranger = Scores::of([(&*testing::model(100.0), labelled(reference.table()).as_slice())]);
        assert!(chosen.shortfall(&Exam { all: stranger.clone(), ..exam.clone() }).is_some());
        assert!(chosen.shortfall(&Exam { held_out: stranger, ..exam }).is_some());
    }

    #[test]
    fn what_was_seen_counts_a_fifth_of_the_benign_and_a_correction_four_rows() {
        let weight = |rows: usize, share: f32, most: f32| {
            let mut table = Table::windows();
            add(&mut table, &vec![[1.0; WIDTH]; rows], share, most).unwrap();
            table.weights().iter().sum::<f32>()
        };
        assert!((weight(4000, SEEN_SHARE * 1000.0, 1.0) - 250.0).abs() < 0.1);
        assert_eq!(weight(10, SEEN_SHARE * 1000.0, 1.0), 10.0);
        let (share, most) = CORRECTED;
        assert_eq!(weight(2, share * 1000.0, most), 8.0);
        assert!((weight(1000, share * 1000.0, most) - 20.0).abs() < 0.1);
        assert_eq!(weight(0, 1.0, 1.0), 0.0);
    }
}
