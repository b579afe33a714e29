//! Threat feeds: where they are, how they are read, what of them is believed, and when they are fetched again.

mod fetch;
mod guard;
mod keep;
mod parse;
mod settings;
mod source;
mod watched;

pub use fetch::{FetchError, Fetched, Fetcher, Patience, Validators};
pub use guard::{Doubt, LeftOut, List, WIDEST_V4, WIDEST_V6, changed_too_much, sift};
pub use keep::{KeepError, Kept, Shelf};
pub use parse::{ENTRIES, Format, Parsed, Unparsed, parse};
pub use settings::{FeedSettings, NAME_BYTES, UnusableFeed, name_of};
pub use source::{Source, UnusableSource};
pub use watched::{Outcome, Trouble, Watched};
