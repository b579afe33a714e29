//! What can be blocked as a whole: `country:XX`, `as:NUMBER`.

use std::{fmt, str::FromStr};

/// A country or an autonomous system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A country's code, ISO 3166-1 alpha-2, in capitals.
    Country(String),
    /// An autonomous system's number.
    System(u32),
}

/// It names neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownPlace;

impl FromStr for Wanted {
    type Err = UnknownPlace;
    fn from_str(text: &str) -> Result<Self, UnknownPlace> {
        match text.split_once(':') {
            Some(("country", code)) if code.len() == 2 && code.bytes().all(|c| c.is_ascii_alphabetic()) => {
                Ok(Self::Country(code.to_ascii_uppercase()))
            }
            Some(("as", number)) => {
                let number = number.parse().ok().filter(|number| *number > 0);
                number.map(Self::System).ok_or(UnknownPlace)
            }
            _ => Err(UnknownPlace),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Country(code) => write!(f, "country:{code}"),
            Self::System(number) => write!(f, "as:{number}"),
        }
    }
}
