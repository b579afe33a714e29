//! The wire: protobuf messages, their limits, and every outward form of the domain's types.
//!
//! The domain's types go in and out of the wire's by [`convert`]; nothing else of the project touches a generated
//! message. [`json`] holds the forms that users' scripts read.
#![forbid(unsafe_code)]

pub mod convert;
pub mod json;
pub mod limits;
pub mod view;

pub use convert::ConvertError;

/// What `build.rs` generates from `smartfw/v1/*.proto`.
pub mod wire {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::use_self,
        clippy::too_many_lines
    )] // generated
    tonic::include_proto!("smartfw.v1");
}
