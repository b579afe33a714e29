//! Where frames come from: AF_PACKET sockets ([`Live`]), pcap and pcapng files ([`FileSource`]).
//!
//! Both are a [`Source`]: they hand out one [`Captured`] frame at a time, borrowed from their own buffer, without an
//! allocation per packet. What a frame holds is none of their business: the core parses it.

mod error;
pub mod file;
pub mod live;
mod source;
#[cfg(test)]
mod testing;

pub use error::CaptureError;
pub use file::FileSource;
pub use live::{Live, LiveConfig};
pub use source::{Captured, Next, Source, SourceStats};
