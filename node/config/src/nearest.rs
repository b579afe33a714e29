//! The known word that a misspelt one was meant to be.

/// The candidate that was most likely meant: one with the same last part, which is a key in the wrong section, else the
/// one with the smallest edit distance. Empty where there is none at all.
pub(crate) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> &'a str {
    let letters: Vec<char> = word.chars().take(LONGEST).collect();
    let score = |candidate: &&str| {
        let same = last(candidate) == last(word);
        // Without a section any will do.
        let compared = if word.contains('.') { candidate } else { last(candidate) };
        // Of those that look alike the plainest.
        (!same, distance(&letters, compared), candidate.matches('.').count())
    };
    candidates.min_by_key(score).unwrap_or_default()
}

fn last(key: &str) -> &str {
    key.rsplit_once('.').map_or(key, |(_, last)| last)
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

    const KEYS: [&str; 5] =
        ["enforcement.mode", "enforcement.soft", "name", "limits.allowed", "enforcement.allow"];

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        for (word, meant) in [
            ("enforcement.mod", "enforcement.mode"),
            ("enforcment.sfot", "enforcement.soft"),
            ("sotf", "enforcement.soft"),
            ("nam", "name"),
        ] {
            assert_eq!(nearest(word, KEYS.into_iter()), meant);
        }
    }

    #[test]
    fn a_key_in_the_wrong_section_is_found() {
        assert_eq!(nearest("mode", KEYS.into_iter()), "enforcement.mode");
        assert_eq!(nearest("allow", KEYS.into_iter()), "enforcement.allow");
        assert_eq!(nearest("limits.allow", KEYS.into_iter()), "enforcement.allow");
    }

    #[test]
    fn the_distance_is_levenshteins() {
        let kitten: Vec<char> = "kitten".chars().collect();
        assert_eq!(distance(&kitten, "sitting"), 3);
        assert_eq!(distance(&kitten, ""), 6);
        assert_eq!(distance(&[], "abc"), 3);
    }
}
