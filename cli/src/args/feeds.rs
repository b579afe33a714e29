//! What may be typed about threat feeds.

use std::time::Duration;

use clap::{Args, Subcommand};

use crate::duration::parse;

#[derive(Debug, Subcommand)]
pub(crate) enum Feed {
    /// Follow a feed: what it lists is blocked on this node, but for what is protected
    Add(AddFeed),
    /// The feeds that are followed, what they list, and what is wrong with them
    List,
    /// Follow a feed no more; what it listed is blocked no more on its word
    Remove {
        /// Its name or its address
        #[arg(value_name = "URL|NAME")]
        feed: String,
    },
    /// Fetch a feed now
    Refresh {
        /// Its name or its address [default: all]
        #[arg(value_name = "URL|NAME")]
        feed: Option<String>,
        /// Take the list although too much of it has changed: you have looked at it
        #[arg(long, requires = "feed")]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddFeed {
    /// https://HOST/PATH or file:///PATH
    pub(crate) url: String,
    /// What it shall go by: the origin of its blocks is feed:NAME [default: made of the address]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// How it is written: plain, csv:COLUMN (a name, or a number from 1), json or json:KEY
    #[arg(long = "format", default_value = "plain", value_name = "FORMAT")]
    pub(crate) written: String,
    /// How often it is fetched: a minute at least
    #[arg(long, value_parser = parse, default_value = "1h", value_name = "DURATION")]
    pub(crate) every: Duration,
    /// An update that adds or drops more of the list than this, per cent, waits for `feed refresh --force`
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=100), value_name = "PER CENT")]
    pub(crate) max_change: u8,
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::{Args, Command, Feed};

    #[test]
    fn a_feeds_format_is_not_that_of_the_answer() {
        let typed = ["smartfw-cli", "feed", "add", "file:///x", "--format", "csv:2", "-o", "json"];
        let Command::Feed(Feed::Add(feed)) = Args::try_parse_from(typed).unwrap().command else {
            panic!("another command")
        };
        assert_eq!((feed.written.as_str(), feed.max_change), ("csv:2", 50));
    }
}
