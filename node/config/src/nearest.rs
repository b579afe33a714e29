//! The known word that a misspelt one was meant to be.

/// The candidate with the smallest edit distance, if it is small enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST).collect();
    let worst = (word.len() / 2).max(2);
    candidates
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= worst)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are cut: the distance costs time in proportion to the length, and no key is half as long.
const LONGEST: usize = 128;

/// Levenshtein's distance.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        let keys = ["enforcement.mode", "enforcement.soft", "name"];
        assert_eq!(nearest("enforcement.mod", keys.into_iter()), Some("enforcement.mode"));
        assert_eq!(nearest("enforcment.sfot", keys.into_iter()), Some("enforcement.soft"));
        assert_eq!(nearest("zzzzzzzzzz", keys.into_iter()), None);
    }

    #[test]
    fn the_distance_is_levenshteins() {
        let kitten: Vec<char> = "kitten".chars().collect();
        assert_eq!(distance(&kitten, "sitting"), 3);
        assert_eq!(distance(&kitten, ""), 6);
        assert_eq!(distance(&[], "abc"), 3);
    }
}
