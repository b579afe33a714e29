//! Values as they were written, before anybody said what they shall be.

use std::fmt;

use toml::de::DeValue;

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    /// Text in a file.
    Text(String),
    /// An integer in a file.
    Integer(i64),
    /// A fraction in a file.
    Float(f64),
    /// `true` or `false` in a file.
    Bool(bool),
    /// A list in a file.
    List(Vec<Self>),
    /// So many tables `[[name]]` in a file; their keys are `name.1.key`, `name.2.key`.
    Rows(usize),
    /// A table in a file where it holds no key; tables with keys are their keys.
    Table,
    /// A date or a number beyond 64 bits: nothing here wants one.
    Strange(String),
    /// What an environment variable or a flag says: text, whose type the key decides.
    Untyped(String),
}

impl Raw {
    /// A parsed value other than a table with keys.
    pub(crate) fn from_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Strange(number.to_string()), Self::Integer),
            DeValue::Float(number) => {
                number.as_str().parse().map_or_else(|_| Self::Strange(number.to_string()), Self::Float)
            }
            DeValue::Boolean(value) => Self::Bool(*value),
            DeValue::Datetime(value) => Self::Strange(value.to_string()),
            DeValue::Array(values) => {
                Self::List(values.iter().map(|value| Self::from_toml(value.get_ref())).collect())
            }
            DeValue::Table(_) => Self::Table,
        }
    }

    /// The integer, wherever it was written.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The text, wherever it was written.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a list; a variable or flag separates them by commas.
    pub(crate) fn list(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(values) => Some(values.clone()),
            Self::Untyped(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(|part| Self::Untyped(part.to_owned())).collect())
            }
            _ => None,
        }
    }
}

/// How a person is told what was found.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Untyped(text) => write!(f, "\"{}\"", shortened(text)),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(values) => write!(f, "a list of {}", values.len()),
            Self::Rows(count) => write!(f, "a list of {count} tables"),
            Self::Table => f.write_str("a table"),
            Self::Strange(text) => f.write_str(&shortened(text)),
        }
    }
}

/// At most 60 printable characters: an error message is one line.
pub(crate) fn shortened(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(60).collect();
    if clean.len() < text.len() { clean + "…" } else { clean }
}
