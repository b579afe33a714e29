//! The encoding of a model. Names and curves are counted while they are read: an empty one is a byte or two there, and
//! many times as much in memory.

use alloc::{string::String, vec::Vec};
use core::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};

use super::{
    Calibration, Curve, ForestParts, IsolationParts, Node,
    node::{MAX_CLASSES, MAX_FEATURES, MAX_TREES},
};

/// What is written and read.
#[derive(Serialize, Deserialize)]
pub(super) struct Encoded {
    pub(super) format: u16,
    pub(super) schema: u32,
    #[serde(with = "ForestWire")]
    pub(super) forest: ForestParts,
    #[serde(with = "IsolationWire")]
    pub(super) isolation: IsolationParts,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ForestParts")]
struct ForestWire {
    #[serde(deserialize_with = "few::<_, _, MAX_FEATURES>")]
    features: Vec<String>,
    #[serde(deserialize_with = "few::<_, _, MAX_CLASSES>")]
    classes: Vec<String>,
    #[serde(deserialize_with = "few::<_, _, MAX_TREES>")]
    roots: Vec<u32>,
    nodes: Vec<Node>,
    shares: Vec<u16>,
    #[serde(with = "CalibrationWire")]
    calibration: Calibration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Calibration")]
struct CalibrationWire {
    #[serde(deserialize_with = "few::<_, _, MAX_CLASSES>")]
    curves: Vec<Curve>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "IsolationParts")]
struct IsolationWire {
    #[serde(deserialize_with = "few::<_, _, MAX_FEATURES>")]
    features: Vec<String>,
    #[serde(deserialize_with = "few::<_, _, MAX_TREES>")]
    roots: Vec<u32>,
    nodes: Vec<Node>,
    mean_path: f32,
    threshold: f32,
    #[serde(deserialize_with = "few::<_, _, MAX_FEATURES>")]
    typical: Vec<f32>,
}

/// Reads a list of `MOST` at most.
fn few<'de, D, T, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    from.deserialize_seq(Few::<T, MOST>(PhantomData))
}

struct Few<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Few<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {MOST} at most")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(next) = list.next_element()? {
            if all.len() >= MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            all.push(next);
        }
        Ok(all)
    }
}
