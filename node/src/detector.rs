//! The thread that looks at packets, what it is told, what it shows, and who watches over it.

mod board;
mod feed;
mod lifeline;
mod watching;

pub use board::{Board, Seen};
pub use feed::Feed;
pub use lifeline::{Event, Job, Lifeline, Supervisor};
pub use watching::Watching;
