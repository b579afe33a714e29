//! The known key that a misspelt one was meant to be.

/// Longer words are cut: no key is half as long.
const LONGEST: usize = 64;

/// The candidate with the same last part, which is a key in the wrong section, else the one with the fewest letters to
/// change, add or leave out.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    let word: String = word.chars().take(LONGEST).collect();
    let last = |key: &str| key.rsplit_once('.').map_or(key, |(_, last)| last).to_owned();
    candidates
        .min_by_key(|key| (last(key) != last(&word), distance(&word, key).min(distance(&word, &last(key)))))
        .unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, one) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(one != *other);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_and_a_key_in_the_wrong_section_find_their_key() {
        let keys = ["state_dir", "listen", "history", "retention.age", "retention.bytes"];
        for (word, meant) in [
            ("lisen", "listen"),
            ("retention.agee", "retention.age"),
            ("age", "retention.age"),
            ("history.bytes", "retention.bytes"),
            ("byts", "retention.bytes"),
        ] {
            assert_eq!(nearest(word, keys.into_iter()), meant, "{word}");
        }
        assert_eq!((distance("kitten", "sitting"), distance("", "abc")), (3, 3));
    }
}
