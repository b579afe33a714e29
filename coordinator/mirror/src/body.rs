//! What a server says, within bounds.

use reqwest::Response;

use crate::trouble::Trouble;

/// So much of what a server says in anger is shown.
const SHOWN: usize = 200;

/// Reads an answer to its end.
pub(crate) async fn read(mut answer: Response, most: usize, what: &'static str) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > most {
            return Err(Trouble::TooLong { what, most });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The beginning of a text, without what could confuse a terminal or a log.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a\x1b[31m\nb"), "a [31m b");
        assert_eq!(shown(&"x".repeat(1000)).len(), SHOWN);
    }
}
