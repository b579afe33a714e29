//! Names of users and tokens: what can be shown and logged anywhere without escaping.

use serde::{Deserialize, Serialize};

/// The longest name.
pub(crate) const MOST_NAME: usize = 64;

/// The name of a user or a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=MOST_NAME).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte));
        if fits && plain {
            Ok(Self(text))
        } else {
            Err("a name is 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-' and '@'")
        }
    }
}
