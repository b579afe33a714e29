//! Wire <-> domain. What comes in is parsed here, once, into types that cannot be wrong; every limit on what the wire
//! may carry is checked on the way. What goes out is clipped to the same limits, so that it always comes in.

mod answer;
mod asked;
mod cluster;
mod coordinator;
mod inward;
mod join;
mod mirror;
mod models;
mod peer;
mod report;
mod request;
mod scalar;
mod status;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use answer::{answer_from_wire, reloaded_from_wire};
pub use asked::{Allowance, Question, Reply};
pub use coordinator::{Announced, Answer, FleetMember, Opening, Report, Statistics};
pub use inward::located;
pub use join::{Certificates, Redeemed, Redeeming};
pub use models::distrusted;
pub use peer::{
    Hello, Told, decode_order, decode_run, encode_order, encode_run, run_from_bytes, run_to_bytes,
};
pub use request::{chunk_from_wire, import_chunks};

/// A message that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the message's field `{field}` {problem}")]
pub struct ConvertError {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What may be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// It has to be there.
    #[error("is missing")]
    Missing,
    /// It has a value that this version does not know.
    #[error("has the unknown value {0}")]
    Unknown(i64),
    /// It is longer than [`crate::limits`] allow.
    #[error("is too long ({length}, at most {limit})")]
    TooLong {
        /// How long it is, bytes or entries.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// It is no message of this kind.
    #[error("cannot be read")]
    Unreadable,
    /// It is no address or prefix.
    #[error("is not an address or prefix")]
    NoAddress,
    /// It is not a finite number in its range.
    #[error("is out of range")]
    OutOfRange,
}

impl ConvertError {
    const fn new(field: &'static str, problem: Problem) -> Self {
        Self { field, problem }
    }
}

impl From<ConvertError> for tonic::Status {
    fn from(error: ConvertError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}
