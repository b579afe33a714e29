//! Why a model says what it says, for a human being.

use alloc::{format, string::String, vec::Vec};

use crate::{
    Class, Features,
    features::{NAMES, UNITS},
    model::{Model, Opinion},
};

/// So many features are named: the next ones move little.
const NAMED: usize = 3;

/// `brute_force at 97 %: attempts_per_service 14, packets_per_second 31.2, mean_interarrival 0.03 s`.
pub(super) fn attack(model: &Model, features: &Features, class: Class, opinion: &Opinion) -> String {
    let row = features.to_array();
    let place = model.classes().iter().position(|known| *known == Some(class)).unwrap_or_default();
    let moved = model.forest().contributions(&row, place);
    let reasons = most(&moved).map(|index| measured(index, row[index])).collect::<Vec<_>>().join(", ");
    format!("{class} at {:.0} %: {reasons}", opinion.probability * 100.0)
}

/// `unlike anything usual: distinct_hosts 9 (typical 1), bytes_per_second 812000 (typical 1520)`.
pub(super) fn strange(model: &Model, features: &Features) -> String {
    let row = features.to_array();
    let typical = &model.isolation().parts().typical;
    let falls = model.isolation().contributions(&row);
    let reason =
        |index: usize| format!("{} (typical {})", measured(index, row[index]), short(typical[index]));
    let reasons = most(&falls).map(reason).collect::<Vec<_>>().join(", ");
    if reasons.is_empty() {
        return String::from("unlike anything usual in several ways at once");
    }
    format!("unlike anything usual: {reasons}")
}

/// The features that move most in this direction, the most first.
fn most(moved: &[f32]) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..moved.len()).filter(|index| moved[*index] > 0.0).collect();
    order.sort_by(|one, other| moved[*other].total_cmp(&moved[*one]));
    order.into_iter().take(NAMED)
}

fn measured(index: usize, value: f32) -> String {
    let blank = if UNITS[index].is_empty() { "" } else { " " };
    format!("{} {}{blank}{}", NAMES[index], short(value), UNITS[index])
}

/// Three digits that matter, or the whole part: `31.2`, `0.0312`, `14`, `812000`.
fn short(value: f32) -> String {
    let size = libm::fabsf(value);
    let decimals = match size {
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
    use super::*;

    #[test]
    fn numbers_are_as_long_as_they_matter() {
        let values = [0.0, 0.000_12, 0.0312, 0.5, 1.25, 14.0, 31.24, 812_000.4, f32::MAX];
        let texts = values[..8].iter().map(|value| short(*value)).collect::<Vec<_>>();
        assert_eq!(texts, ["0", "0.00012", "0.0312", "0.5", "1.25", "14", "31.2", "812000"]);
        assert!(short(values[8]).len() < 50);
    }

    #[test]
    fn what_moves_most_is_named_first_and_what_moves_the_other_way_not_at_all() {
        assert_eq!(most(&[0.1, -0.9, 0.4, 0.0, 0.2, 0.3]).collect::<Vec<_>>(), [2, 5, 4]);
    }
}
