//! Text from strangers, made harmless.

use smartfw_proto::json::is_foul;

/// At most `most` bytes of a text, without letters that a terminal would obey or a log would break at.
pub(crate) fn shown(text: &str, most: usize) -> String {
    cut(text, most).chars().map(|letter| if is_breaking(letter) { ' ' } else { letter }).collect()
}

/// The beginning of a text, of at most `most` bytes.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Control characters, marks of direction, and what Unicode counts as the end of a line or of a paragraph.
fn is_breaking(letter: char) -> bool {
    is_foul(letter) || matches!(letter, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_on_one_line() {
        assert_eq!(shown("a\x1b[31m\r\nb\u{202e}c\u{2028}d", 100), "a [31m  b c d");
        assert_eq!(shown(&"ä".repeat(100), 9), "ääää");
        assert_eq!(shown("", 0), "");
    }
}
