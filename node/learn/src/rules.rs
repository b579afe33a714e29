//! A tree as sentences.

use std::collections::BTreeMap;

use smartfw_core::model::{Forest, ForestParts, Split};

/// From where to where a feature's value must be.
#[derive(Clone, Copy, Default)]
struct Range {
    from: Option<f32>,
    below: Option<f32>,
}

/// The first tree of a forest, a sentence for each leaf: what must hold, and the class that most rows there have.
pub fn sentences(forest: &Forest) -> Vec<String> {
    let parts = forest.parts();
    let mut sentences = Vec::new();
    let mut tasks = vec![(parts.roots[0] as usize, BTreeMap::new())];
    while let Some((at, ranges)) = tasks.pop() {
        let Some(split) = parts.nodes[at].as_split() else {
            sentences.push(sentence(parts, at, &ranges));
            continue;
        };
        let left = split.left as usize;
        tasks.push((left + 1, with(&ranges, split, false)));
        tasks.push((left, with(&ranges, split, true)));
    }
    sentences
}

fn with(ranges: &BTreeMap<u8, Range>, split: Split, below: bool) -> BTreeMap<u8, Range> {
    let mut ranges = ranges.clone();
    let range = ranges.entry(split.feature).or_default();
    // Deeper splits are narrower, but for one that only asks what is missing.
    if below {
        range.below = Some(split.threshold);
    } else {
        range.from = Some(range.from.map_or(split.threshold, |from| from.max(split.threshold)));
    }
    ranges
}

fn sentence(parts: &ForestParts, leaf: usize, ranges: &BTreeMap<u8, Range>) -> String {
    let conditions: Vec<String> = ranges
        .iter()
        .map(|(feature, range)| {
            let name = &parts.features[usize::from(*feature)];
            match (range.from, range.below) {
                // No number is below the least: it parts what is missing from what is known.
                (_, Some(f32::MIN)) => format!("{name} is missing"),
                (Some(f32::MIN), None) => format!("{name} is known"),
                (Some(f32::MIN), Some(below)) => format!("{name} < {below}"),
                (Some(from), Some(below)) => format!("{from} <= {name} < {below}"),
                (Some(from), None) => format!("{name} >= {from}"),
                (None, Some(below)) => format!("{name} < {below}"),
                (None, None) => name.clone(),
            }
        })
        .collect();
    let classes = parts.classes.len();
    let shares = &parts.shares[leaf * classes..(leaf + 1) * classes];
    // Of equals the first, as a forest's word is.
    let most = (0..classes).rev().max_by_key(|class| shares[*class]).unwrap_or_default();
    let share = 100.0 * f64::from(shares[most]) / f64::from(u16::MAX);
    let conditions = if conditions.is_empty() { "always".to_owned() } else { conditions.join(" and ") };
    format!("{conditions}: {} ({share:.0} %)", parts.classes[most])
}

#[cfg(test)]
mod tests {
    use smartfw_core::model::{Calibration, Node};

    use super::*;
    use crate::{
        forest::{ForestOptions, grow},
        samples,
    };

    #[test]
    fn what_is_missing_is_said_and_of_equals_the_first() {
        let forest = |nodes: Vec<Node>, shares: &[u16]| {
            Forest::new(ForestParts {
                features: vec!["x0".into()],
                classes: vec!["benign".into(), "odd".into()],
                roots: vec![0],
                nodes,
                shares: shares.to_vec(),
                calibration: Calibration::default(),
            })
            .unwrap()
        };
        let known = Split { feature: 0, threshold: f32::MIN, missing_right: false, left: 1 };
        let leaf = Node::leaf(0.0);
        let half = [32_768, 32_767];
        let parted = forest(vec![Node::split(known), leaf, leaf], &[half, [0, 65_535], [65_535, 0]].concat());
        assert_eq!(sentences(&parted), ["x0 is missing: odd (100 %)", "x0 is known: benign (100 %)"]);
        let equal = forest(vec![leaf], &[32_767, 32_767]);
        assert_eq!(sentences(&equal), ["always: benign (50 %)"]);
    }

    #[test]
    fn every_leaf_is_a_sentence_and_bounds_are_joined() {
        let row = |n: usize| (vec![n as f32], if (10..20).contains(&n) { "middle" } else { "outside" });
        let table = samples::rows(1, (0..30).map(row));
        let options = ForestOptions { trees: 1, ..ForestOptions::default() };
        let forest = Forest::new(grow(&table, &options, 3, &mut |_| ()).parts).unwrap();
        let [first, second, third] = &sentences(&forest)[..] else { panic!("not three leaves") };
        assert!(first.starts_with("x0 < ") && first.ends_with(": outside (100 %)"), "{first}");
        assert!(second.contains(" <= x0 < ") && second.ends_with(": middle (100 %)"), "{second}");
        assert!(third.starts_with("x0 >= ") && third.ends_with(": outside (100 %)"), "{third}");
    }
}
