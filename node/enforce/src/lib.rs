//! Where blocks go: ipset and iptables, or a dry run; and the rescue that needs no daemon.
//!
//! The kernel holds six sets (hard, soft and protected, for IPv4 and IPv6) and a chain `SMARTFW` in the tables raw
//! and mangle that consults them. An [`Enforcer`] changes both; the [`Reconciler`] asks what the kernel holds,
//! compares it with what it shall hold, and repairs the difference, whoever made it. [`snapshot`] brings both back
//! after a reboot, [`rescue`] takes both away when the daemon is dead.

pub mod destroy;
pub mod rescue;
pub mod snapshot;
pub mod syncookies;

mod command;
mod comment;
mod connections;
mod difference;
mod dry_run;
mod enforcer;
mod error;
mod files;
mod iptables;
mod netlink;
mod plan;
mod preflight;
mod reconcile;
mod scratch;
mod sets;
mod watch;

pub use connections::open_connections;
pub use destroy::Destroyed;
pub use difference::{Surplus, difference};
pub use dry_run::DryRun;
pub use enforcer::{
    Applied, Counters, Enforcer, Failed, Finding, Installed, Kind, Removed, Shift, Tally, Trouble, open,
};
pub use error::EnforceError;
pub use iptables::{Backend, Iptables, Options, Table};
pub use preflight::preflight;
pub use reconcile::{Reconciler, Repair};
pub use scratch::{Proof, can_drop_in_scratch};
pub use watch::Watch;
