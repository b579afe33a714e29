//! Two models beside each other on what runs now: how often each speaks, and where only one does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smartfw_core::Class;

/// Looks that a comparison needs: a quiet day says nothing.
pub const LEAST_LOOKS: u64 = 1000;
/// Alarms by which a candidate may exceed the model in use: one odd second makes up to three looks.
const LOUDER: u64 = 3;
/// Windows of a class of which a candidate may be silent where the model in use speaks: these, or one look in so many.
const SILENT: (u64, u64) = (3, 1000);
/// The same, by which a model that has just replaced another may differ from it before it has to go.
const FAR: (u64, u64) = (20, 200);

/// Windows more of a class of which a candidate may be silent for each correction of that class that it learned: as many
/// as the rows that a correction counts.
const EXCUSED: u64 = 4;

/// How many corrections of each class a candidate learned.
pub(super) type Corrected = BTreeMap<Class, u64>;

/// What two models said of the same windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Windows that both judged.
    pub looks: u64,
    /// Where only one of them named a class.
    pub alarms: BTreeMap<Class, Alarms>,
}

/// How often only one of two models named a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarms {
    /// Only the model in use did.
    pub used: u64,
    /// Only the one in the shadow did.
    pub shadow: u64,
}

impl Comparison {
    /// Adds what was counted since.
    pub(super) fn add(&mut self, more: &Self) {
        self.looks = self.looks.saturating_add(more.looks);
        for (class, Alarms { used, shadow }) in &more.alarms {
            let sum = self.alarms.entry(*class).or_default();
            sum.used = sum.used.saturating_add(*used);
            sum.shadow = sum.shadow.saturating_add(*shadow);
        }
    }

    pub(super) const fn says_enough(&self) -> bool {
        self.looks >= LEAST_LOOKS
    }

    /// Why the candidate in the shadow may not replace the model in use. `corrected` is what people
    /// found wrong and it learned: there it may be silent a little more often.
    pub(super) fn against_shadow(&self, corrected: &Corrected) -> Option<String> {
        let (used, shadow) = self.totals();
        if shadow > used.saturating_add(LOUDER) {
            return Some(format!("it alone raised {shadow} alarms, and the model in use alone {used}"));
        }
        self.silence(corrected, SILENT, |alarms| alarms.used)
    }

    /// Why the model in use, which has just replaced the one in the shadow, has to go again.
    pub(super) fn against_used(&self, corrected: &Corrected) -> Option<String> {
        let (used, shadow) = self.totals();
        if used > shadow.saturating_add(self.of(FAR)) {
            return Some(format!("it alone raised {used} alarms, and the one before alone {shadow}"));
        }
        self.silence(corrected, FAR, |alarms| alarms.shadow)
    }

    /// The class about which one was too often silent, `spoke` being how often only the other named it.
    fn silence(
        &self,
        corrected: &Corrected,
        limit: (u64, u64),
        spoke: impl Fn(&Alarms) -> u64,
    ) -> Option<String> {
        let excused = |class| EXCUSED * corrected.get(class).copied().unwrap_or_default();
        let allowed = |class| self.of(limit).saturating_add(excused(class));
        let (class, alarms) = self.alarms.iter().find(|(class, alarms)| spoke(alarms) > allowed(class))?;
        Some(format!("it was silent about {} windows of {class}", spoke(alarms)))
    }

    fn of(&self, (least, one_in): (u64, u64)) -> u64 {
        least.max(self.looks / one_in)
    }

    fn totals(&self) -> (u64, u64) {
        let sum = |own: fn(&Alarms) -> u64| self.alarms.values().map(own).fold(0, u64::saturating_add);
        (sum(|alarms| alarms.used), sum(|alarms| alarms.shadow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(used: u64, shadow: u64) -> Comparison {
        let alarms = [(Class::BruteForce, Alarms { used, shadow })].into();
        Comparison { looks: LEAST_LOOKS, alarms }
    }

    /// So many corrections of the class.
    fn corrected(times: u64) -> Corrected {
        [(Class::BruteForce, times)].into()
    }

    #[test]
    fn a_candidate_that_speaks_more_often_is_refused() {
        assert_eq!(comparison(0, LOUDER).against_shadow(&Corrected::new()), None);
        assert!(comparison(0, LOUDER + 1).against_shadow(&Corrected::new()).is_some());
    }

    #[test]
    fn a_candidate_that_is_silent_about_what_runs_is_refused() {
        assert_eq!(comparison(SILENT.0, 0).against_shadow(&Corrected::new()), None);
        assert!(comparison(SILENT.0 + 1, 0).against_shadow(&Corrected::new()).is_some());
        let long = Comparison { looks: 10_000, ..comparison(10, 0) };
        assert_eq!(long.against_shadow(&Corrected::new()), None);
    }

    #[test]
    fn a_correction_excuses_four_silences_about_its_class_and_no_more() {
        for times in [1, 10] {
            let most = SILENT.0 + times * EXCUSED;
            assert_eq!(comparison(most, 0).against_shadow(&corrected(times)), None);
            assert!(comparison(most + 1, 0).against_shadow(&corrected(times)).is_some());
            assert!(comparison(most, 0).against_shadow(&[(Class::PortScan, times)].into()).is_some());
        }
        assert_eq!(comparison(0, FAR.0 + EXCUSED).against_used(&corrected(1)), None);
        assert!(comparison(0, FAR.0 + EXCUSED + 1).against_used(&corrected(1)).is_some());
    }

    #[test]
    fn a_new_model_goes_when_it_alarms_far_more_often_or_is_silent() {
        assert_eq!(comparison(FAR.0, 0).against_used(&Corrected::new()), None);
        assert!(comparison(FAR.0 + 1, 0).against_used(&Corrected::new()).is_some());
        assert!(comparison(0, FAR.0 + 1).against_used(&Corrected::new()).is_some());
    }

    #[test]
    fn counts_add_up_and_never_overflow() {
        let mut sum = comparison(u64::MAX, 2);
        sum.add(&comparison(1, 1));
        assert_eq!(sum, Comparison { looks: 2 * LEAST_LOOKS, ..comparison(u64::MAX, 3) });
        assert!(sum.against_used(&Corrected::new()).is_some());
    }
}
