//! What the daemon tells of threat feeds.

use std::time::Duration;

use smartfw_core::Time;

/// A feed that is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedRow {
    /// What it goes by.
    pub name: String,
    /// Where it is, without what may be a key.
    pub url: String,
    /// How it is written.
    pub format: String,
    /// How often it is fetched.
    pub every: Duration,
    /// An update that changes more of it than this, per cent, waits for a person.
    pub max_change: u8,
    /// The configuration names it; else a person added it.
    pub configured: bool,
    /// Entries of its last good list.
    pub entries: u64,
    /// Entries that are held as blocks.
    pub held: u64,
    /// Of those, how many rest because a protected or allowed address is among them.
    pub resting: u64,
    /// Lines that are no address.
    pub unreadable: u64,
    /// Private, reserved or multicast space, left out.
    pub special: u64,
    /// Prefixes that are too wide, left out.
    pub wide: u64,
    /// Entries that a person unblocked, that belong to a proxy, or that there was no room for.
    pub refused: u64,
    /// When its source last gave it or said that it is the same.
    pub updated: Option<Time>,
    /// When it is fetched next.
    pub next: Time,
    /// What is wrong with it; empty: nothing.
    pub trouble: String,
    /// What to do about it.
    pub remedy: String,
}

/// A feed that shall be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFeed {
    /// Where it is.
    pub url: String,
    /// What it shall go by; empty: a name made of the address.
    pub name: String,
    /// How it is written; empty: plain.
    pub format: String,
    /// How often it is fetched.
    pub every: Duration,
    /// An update that changes more of it than this, per cent, waits for a person.
    pub max_change: u8,
}

/// Where an address is, by the operator's own files; `None` where no file says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The country's code, ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// The autonomous system's number.
    pub system: Option<u32>,
    /// Whose system it is.
    pub organisation: Option<String>,
}
