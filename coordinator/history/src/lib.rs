//! What a fleet's coordinator keeps of the nodes' events, on its own disk ([`Embedded`]) or in Redis ([`Redis`]), behind
//! one trait, [`History`].

mod age;
mod embedded;
mod event;
mod history;
mod place;
mod query;
mod redis;

pub use embedded::Embedded;
pub use event::{BadEvent, Count, Event, MOST_BODY, MOST_NAME};
pub use history::{Appended, History, HistoryError, MOST_APPENDED, MOST_NODES, Size};
pub use query::{Cursor, MOST_ROWS, MOST_TEXT, Page, Placed, Query};
pub use redis::Redis;
pub use smartfw_core::EventKind;
