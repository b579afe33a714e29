//! What members tell each other about weak evidence.

use alloc::vec::Vec;
use core::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::campaign::Failing;
use crate::sensor::LoginKind;

/// Contributions in a message, and a second: the strongest first, the others wait.
pub const MAX_CONTRIBUTIONS: usize = 1000;
/// Probes that a node tells of one source: twice what counts.
pub const MAX_PROBES: usize = 4;
/// Bytes of the map of sources that fail: 256 places, exact enough to a hundred and no use beyond.
pub const FAILING_BYTES: usize = 32;

/// A message between members. Both ends of a stream know who the other is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SumsMessage {
    /// To the owners of the sources; at most [`MAX_CONTRIBUTIONS`].
    Weak(Vec<Contribution>),
    /// To the owners of campaigns: which sources failed to log in within the hour, as marks in a map of 256 places.
    Failing(LoginKind, Failing),
    /// From an owner of campaigns to everybody: one is on.
    Campaign(LoginKind),
}

/// What one node has seen of one source. It replaces what the same node said of it before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// The address last seen; sources of IPv6 are added up by /64.
    pub address: IpAddr,
    /// Ports asked with an empty handshake, hashed with their host; at most [`MAX_PROBES`], the newest.
    pub proven: Vec<u32>,
    /// Ports asked in vain by packets that anybody could have forged; at most [`MAX_PROBES`], the newest.
    pub forged: Vec<u32>,
    /// Failed logins, fading with [`HALF_LIFE`](super::HALF_LIFE), for each [`LoginKind`] in its order; finite and not
    /// negative.
    pub failures: [f32; LoginKind::ALL.len()],
    /// Somebody from there got in within a day.
    pub accepted: bool,
    /// The source did honest work at that node within a day.
    pub known: bool,
    /// How long ago the first of it was seen.
    pub first: Duration,
    /// How long ago the last of it was seen.
    pub last: Duration,
}
