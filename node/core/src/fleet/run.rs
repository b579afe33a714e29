//! Runs: what is signed, stored and passed on.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Entry, NodeId, SignedOrder, VerifiedOrder, Version};
use crate::Time;

/// What is signed before the bytes of a run: a signature made for anything else is none here.
pub const RUN_DOMAIN: &[u8] = b"smartfw/run/1\0";

/// What is signed before the bytes of an operator's order.
pub const ORDER_DOMAIN: &[u8] = b"smartfw/order/1\0";

/// A log: what one origin says to the whole cluster, or to its site alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// Who speaks.
    pub origin: NodeId,
    /// The site that it is for; `None` for the whole cluster. Sequences of the two are independent.
    pub site: Option<String>,
}

/// What a run says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The cluster that it was said in.
    pub cluster: String,
    /// `Some`: part of the log of this site, sent only within it.
    pub site: Option<String>,
    /// Who speaks.
    pub origin: NodeId,
    /// Which life of the origin's store.
    pub epoch: u64,
    /// The sequence of the first entry; the others follow without gaps.
    pub first: u64,
    /// When it was signed, by the cluster's time as the origin knew it.
    pub issued: Time,
    /// Every entry of this log with a lower version is void; at most the version of the first entry.
    pub floor: Version,
}

impl RunHeader {
    /// The log that it belongs to.
    pub fn log(&self) -> LogId {
        LogId { origin: self.origin, site: self.site.clone() }
    }

    /// The version of the entry at `index`.
    pub const fn version(&self, index: usize) -> Version {
        Version { epoch: self.epoch, sequence: self.first.saturating_add(index as u64) }
    }
}

/// A run as it travels and is stored, before anybody has looked into it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SignedRun {
    /// What was signed, verbatim; at most [`RUN_BYTES`](super::RUN_BYTES).
    pub bytes: Arc<[u8]>,
    /// The origin's signature over [`RUN_DOMAIN`] and the bytes.
    pub signature: [u8; 64],
    /// The origin's certificate chain as it travels; at most [`CHAIN_BYTES`](super::CHAIN_BYTES). Opaque here.
    pub certificate: Arc<[u8]>,
}

/// A run that its origin signed. Only a [`Verifier`] and a [`Signer`] make one.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedRun(RunParts);

/// What a [`VerifiedRun`] consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct RunParts {
    /// What it says of itself.
    pub header: RunHeader,
    /// What it says; 1 to [`RUN_ENTRIES`](super::RUN_ENTRIES).
    pub entries: Vec<Entry>,
    /// The bytes that say so, and whose signature holds.
    pub signed: SignedRun,
}

impl VerifiedRun {
    /// For implementations of [`Verifier`] and [`Signer`] **only**: `header` and `entries` are what `signed.bytes`
    /// decode to, there is at least one entry, the last one's sequence is at most `u64::MAX`, the signature is the
    /// origin's, and its certificate was valid when the run was issued.
    pub const fn from_verified(parts: RunParts) -> Self {
        Self(parts)
    }

    /// What it says of itself.
    pub const fn header(&self) -> &RunHeader {
        &self.0.header
    }

    /// What it says.
    pub fn entries(&self) -> &[Entry] {
        &self.0.entries
    }

    /// The bytes that say so.
    pub const fn signed(&self) -> &SignedRun {
        &self.0.signed
    }

    /// The sequence of the last entry.
    pub fn last(&self) -> u64 {
        self.0.header.first.saturating_add((self.0.entries.len() as u64).saturating_sub(1))
    }

    /// Takes it apart.
    pub fn into_parts(self) -> RunParts {
        self.0
    }
}

/// Makes runs of this member: Ed25519 by ring in the shell, a keyed hash in simulation.
pub trait Signer {
    /// Who signs.
    fn id(&self) -> NodeId;

    /// Encodes and signs. The entries together weigh ([`Entry::weight`]) at most [`RUN_BYTES`](super::RUN_BYTES)
    /// less one [`ENTRY_BYTES`](super::ENTRY_BYTES).
    ///
    /// # Errors
    /// When there is no key or certificate to sign with, or the run is too long.
    fn seal(&mut self, header: RunHeader, entries: Vec<Entry>) -> Result<VerifiedRun, SealError>;

    /// Whether an entry may leave the cluster. A run leaves it whole or not at all: what may and what may not is signed in
    /// runs of their own.
    fn leaves(&self, entry: &Entry) -> bool;
}

/// Judges runs of others.
///
/// A run of a *revoked* origin is still verified: operators' orders in it stand, and it is
/// the log (`gossip`) that applies nothing else of it.
pub trait Verifier {
    /// Decodes a run and checks everything about it: limits, cluster, origin, certificate at `issued`, signature.
    ///
    /// # Errors
    /// When any of that does not hold.
    fn verify(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified>;

    /// Decodes a run that was verified before it was put into the store of this member; the signature is not checked
    /// again, since a restart with a hundred thousand of them has a second.
    ///
    /// # Errors
    /// When it cannot be decoded.
    fn recall(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified>;
}

/// Judges operators' orders.
pub trait OrderVerifier {
    /// Decodes an order and checks everything about it: limits, the operator's role, certificate at `issued`,
    /// revocation, signature.
    ///
    /// # Errors
    /// When any of that does not hold.
    fn verify_order(&self, order: &SignedOrder) -> Result<VerifiedOrder, Unverified>;
}

/// Why a run or an order is refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The bytes are not what they should be, in the decoder's words.
    Malformed(String),
    /// The signature is not that of the certificate's key.
    Forged,
    /// The certificate names another origin than the run.
    WrongOrigin,
    /// It was said in another cluster.
    WrongCluster,
    /// The certificate does not hold, in the checker's words: unknown issuer, not valid then, wrong role or site.
    BadCertificate(String),
    /// The signer was expelled. Only for orders.
    Revoked,
    /// Nobody can tell now who was expelled, in the checker's words; all else holds. Only for orders.
    Unjudged(Box<VerifiedOrder>, String),
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "it cannot be read: {why}"),
            Self::Forged => f.write_str("its signature is not its origin's"),
            Self::WrongOrigin => f.write_str("its certificate names another origin"),
            Self::WrongCluster => f.write_str("it belongs to another cluster"),
            Self::BadCertificate(why) => write!(f, "its certificate does not hold: {why}"),
            Self::Revoked => f.write_str("its signer was revoked"),
            Self::Unjudged(_, why) => write!(f, "nobody can tell whether its signer was revoked: {why}"),
        }
    }
}

impl core::error::Error for Unverified {}

/// Why a run could not be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealError {
    /// It does not fit its limits, in the encoder's words.
    TooLong(String),
    /// There is nothing to sign with, in the key store's words.
    NoKey(String),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(why) => write!(f, "the run does not fit its limits: {why}"),
            Self::NoKey(why) => write!(f, "there is nothing to sign with: {why}"),
        }
    }
}

impl core::error::Error for SealError {}
