//! Learned models: one flat form for every trainer, read from bytes that anybody may have written.
//!
//! Training is elsewhere. Here a [`Model`] is decoded, checked once ([`ModelError`]), and then asked about windows
//! without any way to fail.

mod forest;
mod isolation;
mod node;
mod opinion;
mod trees;
mod wire;

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{
    Class,
    features::{NAMES, SCHEMA},
};
pub use forest::{Calibration, Curve, Forest, ForestParts};
pub use isolation::{IsolationForest, IsolationParts};
pub use node::{Node, Split};
pub use opinion::Opinion;
use wire::Encoded;

/// The version of the encoding.
pub const FORMAT: u16 = 1;
/// The name of the class that is no attack.
pub const BENIGN: &str = "benign";
/// A window of fewer packets than this is not judged by models, nor learned from: it says too little.
pub const LEAST_PACKETS: f32 = 8.0;
/// A model of more bytes than this is refused: a hundred trees of real windows have a tenth of it.
pub const MAX_BYTES: usize = 64 << 20;

/// What judges windows: a random forest that names attacks, and an isolation forest for what has no name.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    forest: Forest,
    isolation: IsolationForest,
    classes: Vec<Option<Class>>,
}

impl Model {
    /// Puts a model together for windows of this program's schema.
    ///
    /// # Errors
    /// [`ModelError`] when a part was trained on other features, or on classes that are none or the same.
    pub fn new(forest: Forest, isolation: IsolationForest) -> Result<Self, ModelError> {
        for names in [forest.features(), isolation.features()] {
            if !names.iter().map(String::as_str).eq(NAMES) {
                return Err(ModelError::Features);
            }
        }
        let class = |name: &String| match name.as_str() {
            BENIGN => Ok(None),
            name => name.parse().ok().filter(|class| is_attack(*class)).map(Some).ok_or(ModelError::Class),
        };
        let classes = forest.classes().iter().map(class).collect::<Result<Vec<_>, _>>()?;
        let twice = (0..classes.len()).any(|at| classes[..at].contains(&classes[at]));
        if twice || !classes.contains(&None) {
            return Err(ModelError::Class);
        }
        Ok(Self { forest, isolation, classes })
    }

    /// Reads a model.
    ///
    /// # Errors
    /// [`ModelError`] says what is wrong with the bytes; none of them makes it panic or reserve more memory than they
    /// have themselves, times a small factor.
    pub fn decode(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() > MAX_BYTES {
            return Err(ModelError::TooLarge);
        }
        let ((format, schema), _) =
            postcard::take_from_bytes::<(u16, u32)>(bytes).map_err(|_| ModelError::Truncated)?;
        if format != FORMAT {
            return Err(ModelError::Format(format));
        }
        if schema != SCHEMA {
            return Err(ModelError::Schema(schema));
        }
        let (encoded, rest) = postcard::take_from_bytes::<Encoded>(bytes).map_err(|error| match error {
            postcard::Error::SerdeDeCustom => ModelError::Size,
            _ => ModelError::Truncated,
        })?;
        if !rest.is_empty() {
            return Err(ModelError::Surplus);
        }
        Self::new(Forest::new(encoded.forest)?, IsolationForest::new(encoded.isolation)?)
    }

    /// Writes a model: the same model gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = Encoded {
            format: FORMAT,
            schema: SCHEMA,
            forest: self.forest.parts().clone(),
            isolation: self.isolation.parts().clone(),
        };
        postcard::to_allocvec(&encoded).unwrap_or_default()
    }

    /// The random forest.
    pub fn forest(&self) -> &Forest {
        &self.forest
    }

    /// The isolation forest.
    pub fn isolation(&self) -> &IsolationForest {
        &self.isolation
    }

    /// What the forest's classes mean, in its order; `None` is benign.
    pub fn classes(&self) -> &[Option<Class>] {
        &self.classes
    }
}

/// Whether a forest may name the class: what is odd, listed or blocked by a person it cannot know.
const fn is_attack(class: Class) -> bool {
    !matches!(class, Class::Anomaly | Class::Feed | Class::Manual)
}

/// Why a model is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelError {
    /// It has more than [`MAX_BYTES`].
    TooLarge,
    /// It ends too early, or is no model at all.
    Truncated,
    /// It goes on after its end.
    Surplus,
    /// Its encoding has another version.
    Format(u16),
    /// It was trained on another version of the features.
    Schema(u32),
    /// It was trained on other features, or in another order.
    Features,
    /// It names a class that is no attack, or one twice, or lacks `benign`.
    Class,
    /// It has no tree, or more trees, classes, features or nodes than may be.
    Size,
    /// A node points nowhere, backwards, or at a feature that is none.
    Node,
    /// A number is not finite, or no probability.
    Number,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it has more than {} MiB", MAX_BYTES >> 20),
            Self::Truncated => f.write_str("it is truncated, or no model at all"),
            Self::Surplus => f.write_str("it goes on after its end"),
            Self::Format(found) => write!(f, "its format is {found}, and this program reads {FORMAT}"),
            Self::Schema(found) => {
                write!(f, "it was trained on schema {found} of the features, and this program has {SCHEMA}")
            }
            Self::Features => f.write_str("it was trained on other features, or in another order"),
            Self::Class => f.write_str("its classes are not those of this program"),
            Self::Size => {
                f.write_str("it has no tree, or more trees, classes, features or nodes than may be")
            }
            Self::Node => f.write_str("a node points nowhere, backwards, or at a feature that is none"),
            Self::Number => f.write_str("a number in it is not finite, or no probability"),
        }
    }
}

impl core::error::Error for ModelError {}

#[cfg(test)]
mod tests;
