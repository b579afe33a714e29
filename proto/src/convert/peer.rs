//! What members tell each other, and what they sign.

mod body;
mod message;
mod order;
#[cfg(test)]
mod tests;

use smartfw_core::fleet::{NodeId, Version};

use super::{
    ConvertError, Problem,
    scalar::{Result, required},
};
use crate::wire;

pub use body::{decode_run, encode_run};
pub use message::{Hello, Told, run_from_bytes, run_to_bytes};
pub use order::{decode_order, encode_order};

pub(super) fn node(field: &'static str, bytes: &[u8]) -> Result<NodeId> {
    fixed(field, bytes).map(NodeId)
}

/// Bytes of a length that is known.
pub(super) fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N]> {
    let wrong = Problem::TooLong { length: bytes.len(), limit: N };
    bytes.try_into().map_err(|_| ConvertError::new(field, wrong))
}

pub(super) fn bytes(field: &'static str, limit: usize, value: Vec<u8>) -> Result<Vec<u8>> {
    let length = value.len();
    if length > limit { Err(ConvertError::new(field, Problem::TooLong { length, limit })) } else { Ok(value) }
}

pub(super) fn version(field: &'static str, value: Option<wire::PeerVersion>) -> Result<Version> {
    let wire::PeerVersion { epoch, sequence } = required(field, value)?;
    Ok(Version { epoch, sequence })
}

impl From<Version> for wire::PeerVersion {
    fn from(Version { epoch, sequence }: Version) -> Self {
        Self { epoch, sequence }
    }
}
