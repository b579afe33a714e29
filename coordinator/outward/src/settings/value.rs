//! Values that cannot be wrong.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use smartfw_core::{Action, Class, EventKind};

/// Longer than a week nothing is counted together.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A whole number from `LEAST` to `MOST`; `DEFAULT` where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded<const DEFAULT: u64, const LEAST: u64, const MOST: u64>(u64);

impl<const DEFAULT: u64, const LEAST: u64, const MOST: u64> Bounded<DEFAULT, LEAST, MOST> {
    /// This number; `None` where it is out of bounds.
    pub fn new(number: u64) -> Option<Self> {
        (LEAST..=MOST).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl<const DEFAULT: u64, const LEAST: u64, const MOST: u64> Default for Bounded<DEFAULT, LEAST, MOST> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const DEFAULT: u64, const LEAST: u64, const MOST: u64> Deserialize<'de>
    for Bounded<DEFAULT, LEAST, MOST>
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| D::Error::custom(format!("{number} is not within {LEAST} to {MOST}")))
    }
}

/// A duration as people write it (`90s`, `10m`, `4h`), from a second to a week; `SECS` seconds where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<const SECS: u64>(Duration);

impl<const SECS: u64> Span<SECS> {
    /// This duration; `None` where it is out of bounds.
    pub fn new(duration: Duration) -> Option<Self> {
        (Duration::from_secs(1)..=LONGEST).contains(&duration).then_some(Self(duration))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl<const SECS: u64> Default for Span<SECS> {
    fn default() -> Self {
        Self(Duration::from_secs(SECS))
    }
}

impl<'de, const SECS: u64> Deserialize<'de> for Span<SECS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = smartfw_config::parse_duration(&text).and_then(Self::new);
        span.ok_or_else(|| {
            D::Error::custom(format!("{text:?} is no duration from 1s to 1w, such as 90s, 10m, 4h"))
        })
    }
}

/// Things that are written by their stable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T>(pub Vec<T>);

impl Named<EventKind> {
    /// Every kind of event.
    pub(crate) fn all() -> Self {
        Self(EventKind::ALL.to_vec())
    }
}

impl<T: PartialEq> Named<T> {
    /// Whether this one is meant; an empty list means all.
    pub(crate) fn means(&self, one: &T) -> bool {
        self.0.is_empty() || self.0.contains(one)
    }
}

/// What has stable names.
trait HasNames: Copy + fmt::Display + FromStr + 'static {
    const ALL: &'static [Self];
}

impl HasNames for EventKind {
    const ALL: &'static [Self] = Self::ALL;
}

impl HasNames for Class {
    const ALL: &'static [Self] = Self::ALL;
}

impl HasNames for Action {
    const ALL: &'static [Self] = Self::ALL;
}

impl<'de, T: HasNames> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let read = |text: &String| {
            text.parse::<T>().map_err(|_| {
                let known: Vec<String> = T::ALL.iter().map(T::to_string).collect();
                D::Error::custom(format!("{text:?} is none of: {}", known.join(", ")))
            })
        };
        texts.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}
