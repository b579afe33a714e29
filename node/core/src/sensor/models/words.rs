//! Why a model says what it says, for a human being.

use alloc::{format, string::String, vec::Vec};

use crate::{
    Class, Features,
    features::{NAMES, UNITS},
    model::{Model, Opinion},
};

/// So many features are named: the next ones move little.
const NAMED: usize = 3;
/// What moves less than this would read as nothing.
const LEAST: f32 = 0.005;

/// `brute_force at 97 %: attempts_per_service 14 (+0.41), packets_per_second 31.2 (+0.22)`: by how much of one each
/// moved the trees' mean probability.
pub(super) fn attack(model: &Model, features: &Features, class: Class, opinion: &Opinion) -> String {
    let row = features.to_array();
    let place = model.classes().iter().position(|known| *known == Some(class)).unwrap_or_default();
    let moved = model.forest().contributions(&row, place);
    let reason = |index: usize| format!("{} ({:+.2})", measured(index, row[index]), moved[index]);
    let reasons = most(&moved).map(reason).collect::<Vec<_>>().join(", ");
    let reasons = if reasons.is_empty() { "many features, each a little" } else { &reasons };
    format!("{class} at {:.0} %: {reasons}", opinion.probability * 100.0)
}

/// `unlike anything usual: distinct_hosts 9 (typical 1, +0.21), bytes_per_second 812000 (typical 1520, +0.08)`: by how much
/// more the window is strange than it would be with the typical value.
pub(super) fn strange(model: &Model, features: &Features) -> String {
    let row = features.to_array();
    let typical = &model.isolation().parts().typical;
    let falls = model.isolation().contributions(&row);
    let reason = |index: usize| {
        let (measured, typical) = (measured(index, row[index]), short(typical[index]));
        format!("{measured} (typical {typical}, {:+.2})", falls[index])
    };
    let reasons = most(&falls).map(reason).collect::<Vec<_>>().join(", ");
    if reasons.is_empty() {
        return String::from("unlike anything usual in several ways at once");
    }
    format!("unlike anything usual: {reasons}")
}

/// The features that move most in this direction, the most first.
fn most(moved: &[f32]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..moved.len()).filter(|index| moved[*index] > LEAST).collect();
    order.sort_by(|one, other| moved[*other].total_cmp(&moved[*one]));
    order.into_iter().take(NAMED)
}

fn measured(index: usize, value: f32) -> String {
    let blank = if UNITS[index].is_empty() { "" } else { " " };
    format!("{} {}{blank}{}", NAMES[index], short(value), UNITS[index])
}

/// Three digits that matter, or the whole part, unless nobody would count its digits: `31.2`, `0.0312`, `812000`, `3.4e38`.
fn short(value: f32) -> String {
    let size = libm::fabsf(value);
    let decimals = match size {
        _ if size >= 1e9 => return format!("{value:.1e}"),
        _ if size >= 100.0 || size == 0.0 => return format!("{value:.0}"),
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.1 => 3,
        _ if size >= 0.01 => 4,
        _ => 6,
    };
    let text = format!("{value:.decimals$}");
    String::from(text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use super::*;
    use crate::model::{
        BENIGN, Calibration, Forest, ForestParts, IsolationForest, IsolationParts, Node, Split,
    };

    /// Surer of an attack, and finding it stranger, with each of three features that is not at its lowest.
    fn model() -> Model {
        let split =
            |feature, left| Node::split(Split { feature, threshold: 0.0, missing_right: false, left });
        let (long, short) = (Node::leaf(10.0), Node::leaf(1.0));
        let nodes = vec![split(2, 1), long, split(3, 3), long, split(11, 5), long, short];
        let features: Vec<_> = NAMES.iter().map(ToString::to_string).collect();
        let (percents, share) = ([0, 0, 20, 0, 50, 0, 90], |percent: u32| (percent * 65_535 / 100) as u16);
        let forest = Forest::new(ForestParts {
            features: features.clone(),
            classes: vec![BENIGN.into(), "brute_force".into()],
            roots: vec![0],
            nodes: nodes.clone(),
            shares: percents.iter().flat_map(|percent| [100 - percent, *percent].map(share)).collect(),
            calibration: Calibration::default(),
        });
        let isolation = IsolationForest::new(IsolationParts {
            typical: vec![f32::MIN; features.len()],
            features,
            roots: vec![0],
            nodes,
            mean_path: 10.0,
            threshold: 0.6,
        });
        Model::new(forest.unwrap(), isolation.unwrap()).unwrap()
    }

    fn opinion(probability: f32) -> Opinion {
        Opinion { class: Some(Class::BruteForce), probability, anomaly: 0.9 }
    }

    #[test]
    fn each_feature_is_named_with_how_much_it_moved_and_the_longest_reason_is_short() {
        let features = Features::from_array([f32::MAX; NAMES.len()]);
        assert_eq!(
            attack(&model(), &features, Class::BruteForce, &opinion(0.97)),
            "brute_force at 97 %: attempts_per_service 3.4e38 (+0.40), std_packet_length 3.4e38 bytes (+0.30), \
             mean_packet_length 3.4e38 bytes (+0.20)"
        );
        let strange = strange(&model(), &features);
        assert_eq!(
            strange,
            "unlike anything usual: mean_packet_length 3.4e38 bytes (typical -3.4e38, +0.43), std_packet_length 3.4e38 \
             bytes (typical -3.4e38, +0.43), attempts_per_service 3.4e38 (typical -3.4e38, +0.43)"
        );
        // The agent clips a reason at 256 bytes.
        assert!(strange.len() < 256);
    }

    #[test]
    fn where_no_feature_moved_much_it_is_said() {
        let lowest = Features::from_array([f32::MIN; NAMES.len()]);
        let text = attack(&model(), &lowest, Class::BruteForce, &opinion(0.9));
        assert_eq!(text, "brute_force at 90 %: many features, each a little");
        assert_eq!(strange(&model(), &lowest), "unlike anything usual in several ways at once");
    }

    #[test]
    fn numbers_are_as_long_as_they_matter() {
        let values = [0.0, 0.000_12, 0.0312, 0.5, 1.25, 14.0, 31.24, 812_000.4, f32::MAX];
        let texts = values.iter().map(|value| short(*value)).collect::<Vec<_>>();
        assert_eq!(texts, ["0", "0.00012", "0.0312", "0.5", "1.25", "14", "31.2", "812000", "3.4e38"]);
    }

    #[test]
    fn what_moves_most_is_named_first_and_what_moves_the_other_way_not_at_all() {
        assert_eq!(most(&[0.1, -0.9, 0.4, 0.0, 0.2, 0.3]).collect::<Vec<_>>(), [2, 5, 4]);
        assert_eq!(most(&[0.004, 0.006]).collect::<Vec<_>>(), [1], "+0.00 is no reason");
    }
}
