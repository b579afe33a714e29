//! What the members of a fleet tell each other: who they are, what they say, and in what form it is signed.
//!
//! An origin appends [`Entry`]s to its log and signs **runs** of them. A run travels, is stored and is repaired as the
//! bytes that were signed, never encoded again. The core neither encodes nor signs: a [`Signer`] and a [`Verifier`]
//! do, and only they make a [`VerifiedRun`].

mod entry;
mod id;
mod limits;
mod operator;
mod run;

pub use entry::{Entry, EntryKind, FleetBlock, SignedOrder};
pub use id::{NodeId, Version};
pub use limits::*;
pub use operator::{LONGEST_PANIC, OperatorOrder, OrderKind, VerifiedOrder};
pub use run::{
    LogId, ORDER_DOMAIN, OrderVerifier, RUN_DOMAIN, RunHeader, RunParts, SealError, SignedRun, Signer,
    Unverified, VerifiedRun, Verifier,
};
