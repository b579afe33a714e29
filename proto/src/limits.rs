//! How much the wire may carry. Who sends clips texts to these; who receives refuses what is longer.

/// One message, bytes: no message within the limits below comes near it, and a hostile one costs no more memory.
pub const MESSAGE: usize = 4 << 20;

/// A name (node, origin, interface, rule, enforcer, model), bytes: the longest DNS name.
pub const NAME: usize = 255;

/// A text for human beings (reason, comment, note), bytes: a paragraph.
pub const TEXT: usize = 1024;

/// Blocks, alerts, orders, entries in one message of a stream: 1,000 of them, all texts full, stay below
/// [`MESSAGE`] (a block carries at most two texts and a name), and a million rows take 1,000 messages.
pub const CHUNK: usize = 1000;

/// Alerts in one message: an alert carries two texts and two names.
pub const ALERTS: usize = 500;

/// Blocks listed in the answer to an order; the total is given beside.
pub const ENDED: usize = 100;

/// Refused targets listed in the answer to one imported chunk: all of them.
pub const REFUSED: usize = CHUNK;

/// Rows of each kind in an explanation: what a person reads.
pub const EXPLAINED: usize = 200;

/// Offenders in an explanation: the address, its /64, and room.
pub const OFFENDERS: usize = 8;

/// Incidents in an offender's time line.
pub const TIMELINE: usize = 64;

/// Rows of each kind in a frame of the live view: two tall terminals.
pub const TOP: usize = 100;

/// Interfaces, models, health entries in a status; keys in the answer to a reload; remedies.
pub const LISTED: usize = 256;

/// One message between members, bytes: a proof carries two runs with their chains, and nothing else comes near it.
pub const PEER_MESSAGE: usize = 1 << 20;

/// Spans in one message of vectors, over all its rows.
pub const PEER_SPANS: usize = 16 << 10;

/// A membership datagram or a contribution within a stream, bytes: one UDP datagram.
pub const DATAGRAM: usize = 64 << 10;

/// Revocations in one message; more come in several.
pub const REVOCATIONS: usize = 1000;

/// One revocation, bytes, with the certificate of the operator who signed it.
pub const REVOCATION: usize = 16 << 10;

/// Orders of operators in one message to the daemon: with 16 KiB each they stay below [`MESSAGE`].
pub const ORDERS: usize = 128;

/// Orders in one chunk of a list: an unblock that covers all it may takes 16 KiB.
pub const STANDING: usize = 200;

/// Members in one chunk of a list.
pub const NODES: usize = 500;

/// Blocks of the fleet in one chunk: each may name [`CONFIRMERS`] and [`ENFORCERS`].
pub const FLEET_BLOCKS: usize = 100;

/// Members named as confirming a block: the quorum is far below.
pub const CONFIRMERS: usize = 32;

/// Members named as enforcing a block, and measured: as many as know of each other singly.
pub const ENFORCERS: usize = 64;

/// A token, bytes: one is about 150.
pub const TOKEN: usize = 512;

/// A root as it is exported, bytes: one is about 1,200.
pub const ROOT: usize = 16 << 10;

/// A passphrase, bytes.
pub const PASSPHRASE: usize = 1024;

/// A certificate, a request for one, or a private key, bytes: ours are about 500.
pub const CERTIFICATE: usize = 2048;

/// An address as text, bytes: a host's name and a port.
pub const ADDRESS: usize = 262;

/// Addresses of members that a new one is told: one that answers is enough.
pub const SEEDS: usize = 64;

/// Roles named in one request: all there are.
pub const ROLES: usize = 4;

/// Versions and orders that an answer names of what covers a target: fifty orders' worth.
pub const COVERS: usize = 10_000;

/// Models in a list: the daemon keeps 32, and the built-in one.
pub const MODELS: usize = 64;

/// Threat feeds in a list: the daemon follows that many.
pub const FEEDS: usize = 128;

/// An address of a feed, bytes.
pub const URL: usize = 2048;

/// A piece of a model file, bytes: a file has up to 64 MiB.
pub const MODEL_PIECE: usize = 1 << 20;

/// An event's body, bytes: an alert with all its features and two full texts is below 4,000.
pub const EVENT: usize = 16 << 10;

/// Events in one message to a coordinator; a sender closes a batch before it comes near [`MESSAGE`].
pub const EVENTS: usize = 500;

/// Bodies of one batch of events together, bytes: leaves room for what is around each.
pub const EVENT_BYTES: usize = 2 << 20;

/// Members in the answer to an announcement.
pub const ANNOUNCED: usize = 4_096;

/// Clusters that are followed, in a list: as many as the configuration takes.
pub const FOLLOWED: usize = 16;

/// What came from the mirror and is not followed, in a list: what a person reads.
pub const NOT_FOLLOWED: usize = 256;

/// Roots of other clusters that are believed.
pub const FOREIGN_ROOTS: usize = 16;

/// A certificate as text, bytes: ours are about 700.
pub const PEM: usize = 4096;
