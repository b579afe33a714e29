//! Connections: TLS 1.3 with certificates on both sides, names from our own URIs, nothing resumed.
//!
//! [`Net`] accepts and dials. Each handshake takes the identity that is current then, so a renewed certificate is used
//! without a restart; each judges the other side by our own rules and keeps the reason of a refusal, on both ends:
//! rustls and tonic alone would only say that the connection was cancelled.

mod accept;
mod config;
mod dial;
mod half_open;
mod open;
mod refusal;
mod stream;
mod verify;

pub use accept::{Accepted, ListenStats, Listening};
pub use dial::{DialError, Expected, channel};
pub use half_open::{HALF_OPEN, HALF_OPEN_EACH};
pub use open::STREAMS_EACH;
pub use refusal::{Refusal, RefusedUs, Why};
pub use stream::{JoinStream, MemberStream, PeerInfo, Stranger, Stream};
pub use verify::Peer;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::clock::system;
use crate::identity::Current;
use crate::revocations::Revocations;
use open::OpenStreams;

/// How long a handshake may take: two round trips around the world, with some packets lost.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a stranger's connection for joining may stay: one request and one answer.
pub const JOINING: Duration = Duration::from_secs(30);

/// How often open streams are judged anew by the clock: against a grace of thirty days, this is nothing.
const AGING: Duration = Duration::from_secs(600);

/// What members speak.
const MEMBER_ALPN: &[u8] = b"h2";
/// What a stranger asks for who brings a token; `h2` follows, but no certificate is asked of it.
const JOIN_ALPN: &[u8] = b"smartfw-join/1";

/// This member's connections, both ways.
#[derive(Debug)]
pub struct Net {
    current: Current,
    revocations: Arc<Revocations>,
    streams: Arc<OpenStreams>,
    sweeper: JoinHandle<()>,
}

impl Net {
    /// Connections of this identity. Streams of whom the set comes to revoke are closed at once,
    /// and those of members whose grace ends within ten minutes.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(current: Current, revocations: Arc<Revocations>) -> Self {
        let streams = Arc::new(OpenStreams::default());
        let sweeper = tokio::spawn(sweep(revocations.clone(), streams.clone()));
        Self { current, revocations, streams, sweeper }
    }

    /// How many streams are open, both ways.
    pub fn open(&self) -> usize {
        self.streams.len()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.sweeper.abort();
    }
}

async fn sweep(revocations: Arc<Revocations>, streams: Arc<OpenStreams>) {
    let mut changes = revocations.changes();
    let mut aging = tokio::time::interval(AGING);
    loop {
        tokio::select! {
            grown = changes.changed() => if grown.is_err() { return },
            _ = aging.tick() => {}
        }
        let now = system();
        // A set that became unreadable keeps what is open: only new connections fail closed.
        let known = revocations.unreadable().is_none();
        streams.close_where(|member| {
            member.standing(now).is_err() || (known && revocations.check(member).is_err())
        });
    }
}

#[cfg(test)]
mod tests;
