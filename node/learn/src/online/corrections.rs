//! What people corrected: windows that were called an attack and were none.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smartfw_core::{BlockId, Class, Features};

use super::{samples::finite, seen::WIDTH, trial::Corrected};

/// Corrections kept: the agent keeps as many.
pub const CORRECTIONS: usize = 1000;

/// A window of which a person said that it was benign.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// The block or decision that was wrong.
    pub id: BlockId,
    /// What the window was taken for.
    pub class: Class,
    /// Its features.
    pub values: [f32; WIDTH],
}

/// The last corrections, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Corrections(VecDeque<Correction>);

impl Corrections {
    /// Adds a correction that is not yet known; the oldest goes when there are too many.
    pub(super) fn insert(&mut self, id: BlockId, class: Class, features: &Features) {
        let values = features.to_array();
        if !finite(&values) || self.0.iter().any(|known| known.id == id) {
            return;
        }
        if self.0.len() >= CORRECTIONS {
            self.0.pop_front();
        }
        self.0.push_back(Correction { id, class, values });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Correction> {
        self.0.iter()
    }

    pub(super) fn fits(&self) -> bool {
        self.0.len() <= CORRECTIONS && self.0.iter().all(|correction| finite(&correction.values))
    }
}

/// How many there are of each class.
pub(super) fn by_class(corrections: &[Correction]) -> Corrected {
    let mut by_class = Corrected::new();
    corrections.iter().for_each(|correction| *by_class.entry(correction.class).or_default() += 1);
    by_class
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(corrections: &mut Corrections, id: u64, value: f32) {
        corrections.insert(BlockId(id), Class::PortScan, &Features::from_array([value; WIDTH]));
    }

    #[test]
    fn the_oldest_correction_goes_when_there_are_too_many() {
        let mut corrections = Corrections::default();
        (0..=CORRECTIONS as u64).for_each(|id| insert(&mut corrections, id, 1.0));
        assert_eq!(corrections.0.len(), CORRECTIONS);
        assert_eq!(corrections.0[0].id, BlockId(1));
        assert!(corrections.fits());
    }

    #[test]
    fn a_correction_counts_once_and_only_in_numbers() {
        let mut corrections = Corrections::default();
        insert(&mut corrections, 1, 1.0);
        insert(&mut corrections, 1, 2.0);
        insert(&mut corrections, 2, f32::NAN);
        assert_eq!(corrections.0.len(), 1);
        assert_eq!(by_class(corrections.0.make_contiguous()), [(Class::PortScan, 1)].into());
    }
}
