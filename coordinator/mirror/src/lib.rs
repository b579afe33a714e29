//! The mirror of a cluster in a Firebase Realtime Database, over REST.
//!
//! What happens in a cluster goes out: [`Item`]s wait in an [`Outbox`] on disk until a [`Sender`] has brought them to the
//! database. What other clusters say comes back: a [`Receiver`] listens to one list of one of them and yields what it
//! [`Heard`]. It is used by the coordinator, and by a node that has none; it knows neither, nor what a run or a row means.
//!
//! Nothing that comes from the database is believed here. A run is bytes whose signature the caller checks; a row that
//! nobody signed is another type, so that it cannot be taken for one.
//!
//! Senders and receivers are machines that take time and chance as arguments and do one thing a step; `run` drives them
//! in earnest, with [`since_epoch`] and [`chance`].

mod account;
mod audit;
mod auth;
mod backoff;
mod body;
mod change;
mod copy;
mod database;
mod earnest;
mod health;
mod heard;
mod item;
mod keeping;
mod key;
mod outbox;
mod receiver;
mod sender;
mod sse;
mod tidy;
mod trouble;

pub use account::{ACCOUNT_BYTES, BadAccount};
pub use audit::AUDITED;
pub use auth::{Auth, BadFile, BadSecret};
pub use backoff::LONGEST;
pub use database::{BadDatabase, Database, Patience};
pub use earnest::{chance, since_epoch};
pub use health::State;
pub use heard::Heard;
pub use item::{BadItem, Cluster, ITEM_BYTES, Item, ItemId, List, ROW_LEVELS, RUN_BYTES};
pub use key::{BadKey, KEY_BYTES, decode, encode};
pub use outbox::{ASIDE_BYTES, ASIDE_ITEMS, Counts, Limits, Opened, Outbox, OutboxError};
pub use receiver::{Got, Listening, Receiver, WINDOW};
pub use sender::{ASIDE_IN_A_ROW, BATCH_BYTES, BATCH_ITEMS, LOOK_BACK, Sender, Step, Watch};
pub use sse::{EVENT_BYTES, LINE_BYTES};
pub use tidy::TIDIED;
pub use trouble::Trouble;
