//! How much one origin may say at once, whoever carries it.

use core::time::Duration;

/// Entries in one run: signing and checking cost one signature for all, and a run has to fit into [`RUN_BYTES`].
pub const RUN_ENTRIES: usize = 1000;

/// Signed bytes of one run: what may be in flight for a repair, so that nothing queues behind it.
pub const RUN_BYTES: usize = 256 << 10;

/// Bytes of one entry, encoded: the largest is an order with the certificates of its operator.
pub const ENTRY_BYTES: usize = 16 << 10;

/// Bytes of a certificate chain as it travels: a leaf and what is between it and the root.
pub const CHAIN_BYTES: usize = 8 << 10;

/// Bytes of the names of a cluster and of a site.
pub const NAME_BYTES: usize = 255;

/// Bytes of a reason or a comment: two lines of a terminal.
pub const TEXT_BYTES: usize = 256;

/// Versions that one `unblock` may name: what one target can have, times the members that may have said it.
pub const COVERED: usize = 200;

/// What voids something is remembered for so much longer than that would have lasted: it may come late.
pub const OUTLIVES: Duration = Duration::from_secs(3600);

/// Sessions that one member tells of: a few administrators on a busy jump host.
pub const SESSIONS: usize = 64;

/// Coordinators that one member tells of: a fleet has one, or two while it moves.
pub const COORDINATORS: usize = 4;

/// Targets that one order may block: with the longest certificate chain and IPv6 it still fits into [`ENTRY_BYTES`], and
/// an import of 100,000 needs 391 signatures.
pub const ORDER_TARGETS: usize = 256;
