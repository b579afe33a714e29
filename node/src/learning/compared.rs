//! What two models said since the last look at the sensor's counts.

use std::collections::BTreeMap;

use smartfw_core::{Class, sensor};
use smartfw_learn::online::{Alarms, Comparison};

/// The difference of two looks. A count that fell was begun anew, with another model in use or in the shadow.
pub(super) fn since(before: &sensor::Comparison, now: &sensor::Comparison) -> Comparison {
    let anew = sensor::Comparison::default();
    let before = if now.looks < before.looks { &anew } else { before };
    let (then, counts) = (by_class(before), by_class(now));
    let difference = |(class, counted): (Class, Alarms)| {
        let then = then.get(&class).copied().unwrap_or_default();
        let used = counted.used.saturating_sub(then.used);
        let shadow = counted.shadow.saturating_sub(then.shadow);
        (class, Alarms { used, shadow })
    };
    let alarms = counts.into_iter().map(difference).filter(|(_, alarms)| *alarms != Alarms::default());
    Comparison { looks: now.looks - before.looks, alarms: alarms.collect() }
}

fn by_class(comparison: &sensor::Comparison) -> BTreeMap<Class, Alarms> {
    let mut alarms: BTreeMap<Class, Alarms> = BTreeMap::new();
    comparison.used_only().for_each(|(class, count)| alarms.entry(class).or_default().used = count);
    comparison.shadow_only().for_each(|(class, count)| alarms.entry(class).or_default().shadow = count);
    alarms
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many looks, of which nothing else is counted.
    fn looks(looks: u64) -> sensor::Comparison {
        let mut comparison = sensor::Comparison::default();
        comparison.looks += looks;
        comparison
    }

    #[test]
    fn counts_that_begin_anew_are_no_difference_below_zero() {
        assert_eq!(since(&looks(100), &looks(150)).looks, 50);
        assert_eq!(since(&looks(100), &looks(7)).looks, 7);
    }
}
