//! Two models beside each other on what runs now: how often each speaks, and where only one does.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smartfw_core::Class;

/// Looks that a comparison needs: a quiet day says nothing.
pub const LEAST_LOOKS: u64 = 1000;
/// Alarms by which a candidate may exceed the model in use: one odd second makes up to three looks.
const LOUDER: u64 = 3;
/// Alarms by which a model that has just replaced another may exceed twice the other's before it has to go.
const FAR_LOUDER: u64 = 20;

/// What two models said of the same windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Windows that both judged.
    pub looks: u64,
    /// Where at least one spoke, by the class that was named.
    pub alarms: BTreeMap<Class, Alarms>,
}

/// How often one or both of two models named a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarms {
    /// Both did.
    pub both: u64,
    /// Only the model in use did.
    pub used: u64,
    /// Only the one in the shadow did.
    pub shadow: u64,
}

impl Comparison {
    /// Adds what was counted since.
    pub(super) fn add(&mut self, more: &Self) {
        self.looks = self.looks.saturating_add(more.looks);
        for (class, Alarms { both, used, shadow }) in &more.alarms {
            let sum = self.alarms.entry(*class).or_default();
            sum.both = sum.both.saturating_add(*both);
            sum.used = sum.used.saturating_add(*used);
            sum.shadow = sum.shadow.saturating_add(*shadow);
        }
    }

    pub(super) const fn says_enough(&self) -> bool {
        self.looks >= LEAST_LOOKS
    }

    /// Why the candidate in the shadow may not replace the model in use. `corrected` are the classes that people
    /// found wrong: there it may have learned to be silent.
    pub(super) fn against_shadow(&self, corrected: &BTreeSet<Class>) -> Option<String> {
        let (used, shadow) = (self.total(|alarms| alarms.used), self.total(|alarms| alarms.shadow));
        if shadow > used.saturating_add(LOUDER) {
            return Some(format!("it raised {shadow} alarms where the model in use raised {used}"));
        }
        let silent = |(class, alarms): (&Class, &Alarms)| {
            let allowed = LOUDER.max((alarms.both + alarms.used) / 10);
            (!corrected.contains(class) && alarms.used > allowed)
                .then(|| format!("it was silent about {} windows of {class}", alarms.used))
        };
        self.alarms.iter().find_map(silent)
    }

    /// Why the model in use, which has just replaced the one in the shadow, has to go again.
    pub(super) fn against_used(&self, corrected: &BTreeSet<Class>) -> Option<String> {
        let (used, shadow) = (self.total(|alarms| alarms.used), self.total(|alarms| alarms.shadow));
        if used > shadow.saturating_mul(2).saturating_add(FAR_LOUDER) {
            return Some(format!("it raised {used} alarms where the one before raises {shadow}"));
        }
        let silent = |(class, alarms): (&Class, &Alarms)| {
            let allowed = FAR_LOUDER.max((alarms.both + alarms.shadow) / 5);
            (!corrected.contains(class) && alarms.shadow > allowed)
                .then(|| format!("it was silent about {} windows of {class}", alarms.shadow))
        };
        self.alarms.iter().find_map(silent)
    }

    fn total(&self, own: impl Fn(&Alarms) -> u64) -> u64 {
        self.alarms
            .values()
            .map(|alarms| alarms.both.saturating_add(own(alarms)))
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(both: u64, used: u64, shadow: u64) -> Comparison {
        let alarms = [(Class::BruteForce, Alarms { both, used, shadow })].into();
        Comparison { looks: LEAST_LOOKS, alarms }
    }

    #[test]
    fn a_candidate_that_speaks_more_often_is_refused() {
        assert_eq!(comparison(5, 0, LOUDER).against_shadow(&BTreeSet::new()), None);
        assert!(comparison(5, 0, LOUDER + 1).against_shadow(&BTreeSet::new()).is_some());
    }

    #[test]
    fn a_candidate_that_is_silent_about_what_runs_is_refused_unless_people_said_so() {
        assert_eq!(comparison(90, 10, 0).against_shadow(&BTreeSet::new()), None);
        assert!(comparison(80, 20, 0).against_shadow(&BTreeSet::new()).is_some());
        assert_eq!(comparison(80, 20, 0).against_shadow(&[Class::BruteForce].into()), None);
    }

    #[test]
    fn a_new_model_goes_when_it_alarms_far_more_often_or_is_silent() {
        assert_eq!(comparison(0, FAR_LOUDER, 0).against_used(&BTreeSet::new()), None);
        assert!(comparison(0, FAR_LOUDER + 1, 0).against_used(&BTreeSet::new()).is_some());
        assert!(comparison(50, 0, 21).against_used(&BTreeSet::new()).is_some());
    }

    #[test]
    fn counts_add_up_and_never_overflow() {
        let mut sum = comparison(1, u64::MAX, 2);
        sum.add(&comparison(1, 1, 1));
        assert_eq!(sum, Comparison { looks: 2 * LEAST_LOOKS, ..comparison(2, u64::MAX, 3) });
        assert!(sum.against_used(&BTreeSet::new()).is_some());
    }
}
