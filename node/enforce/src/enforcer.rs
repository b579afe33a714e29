//! What every enforcer can do, whatever it is made of.

use std::{collections::BTreeMap, fmt, ops::AddAssign, str::FromStr};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};

use crate::{Destroyed, DryRun, EnforceError, Iptables, Options};

/// Drops packets in the kernel, or says what it would drop.
///
/// Nothing here remembers what the kernel was told: every answer is read from it.
pub trait Enforcer: Send {
    /// Its name, as in `--enforcer`.
    fn name(&self) -> &'static str;

    /// Makes the sets and rules where they are missing or altered, in an order that never locks out: the sets, then
    /// `protected`, then the rules. Entries that the sets hold are kept. Does nothing where all is well.
    ///
    /// # Errors
    /// When IPv4 cannot be enforced. Without IPv6 it goes on and says so in [`Installed::unavailable`].
    fn install(&mut self, protected: &[IpNet]) -> Result<Installed, EnforceError>;

    /// Removes every rule, chain and set of ours and nothing else.
    ///
    /// # Errors
    /// When rules could not be removed; sets are removed all the same where they are unused.
    fn remove(&mut self) -> Result<Removed, EnforceError>;

    /// What is enforced at `now`. A missing set is an empty one; entries of others in our sets are included, with
    /// the origin `kernel`.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError>;

    /// Carries out `changes`; of several for one target the last counts. Protection is added first and taken away
    /// last; a target is added to its new set before it leaves the old one. A missing set is made anew.
    ///
    /// # Errors
    /// When the kernel cannot be asked at all. What it refuses of single targets is in [`Applied::failed`].
    fn apply(&mut self, now: Time, changes: &[Change]) -> Result<Applied, EnforceError>;

    /// Makes every set hold exactly `desired`, each in one step that packets cannot see between. Counters of
    /// entries that stay are kept.
    ///
    /// # Errors
    /// When a set cannot be filled; sets not yet exchanged keep what they held.
    fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError>;

    /// What each entry has dropped since it was made. The most specific of overlapping entries counts.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError>;

    /// What is missing, altered or foreign in sets and rules (not in the entries). Cheap while nothing changes.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn verify(&mut self) -> Result<Vec<Finding>, EnforceError>;

    /// How many entries the sets hold, without reading them.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn tally(&mut self) -> Result<Tally, EnforceError>;

    /// Closes the open connections of `target`: local sockets and forwarded flows, but none of a protected address.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn destroy(&mut self, target: IpNet) -> Result<Destroyed, EnforceError>;

    /// [`Enforcer::destroy`] for many targets, with one look.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    fn destroy_all(&mut self, targets: &[IpNet]) -> Result<Destroyed, EnforceError> {
        let mut all = Destroyed::default();
        for target in targets {
            all += self.destroy(*target)?;
        }
        Ok(all)
    }
}

/// The enforcers that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// ipset sets consulted by iptables rules.
    #[default]
    Iptables,
    /// Sets of nf_tables; not part of this version.
    Nftables,
    /// A program at the network driver; not part of this version.
    Xdp,
    /// Nothing is changed: what would be enforced is kept in memory.
    DryRun,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Iptables, Self::Nftables, Self::Xdp, Self::DryRun];

    /// Its name, as in `--enforcer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
            Self::Xdp => "xdp",
            Self::DryRun => "dry-run",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = smartfw_core::class::UnknownName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(smartfw_core::class::UnknownName)
    }
}

/// Opens an enforcer in the calling thread's network namespace, where it has to stay. Changes nothing.
///
/// # Errors
/// When it is not part of this version, or when this host or process cannot use it: see [`crate::preflight`].
pub fn open(kind: Kind, options: Options) -> Result<Box<dyn Enforcer>, EnforceError> {
    match kind {
        Kind::Iptables => Ok(Box::new(Iptables::open(options)?)),
        Kind::DryRun => Ok(Box::new(DryRun::default())),
        Kind::Nftables | Kind::Xdp => Err(EnforceError::NotBuilt { name: kind.as_str() }),
    }
}

/// What [`Enforcer::install`] found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// What it had to make or mend; empty when all was well.
    pub mended: Vec<Finding>,
    /// What cannot be had on this host, and why (IPv6, or tables that made it fall back to others).
    pub unavailable: Vec<Finding>,
    /// Where packets are dropped: `raw PREROUTING (IPv4)`.
    pub hooks: Vec<String>,
}

/// What [`Enforcer::remove`] could not remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Sets that foreign rules use: emptied, but still there.
    pub left: Vec<String>,
}

/// What [`Enforcer::apply`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many entries were added, replaced or deleted.
    pub changed: usize,
    /// What the kernel refused. A refused move leaves the target where it was.
    pub failed: Vec<Failed>,
}

/// A target that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The target.
    pub target: IpNet,
    /// The kernel's reason.
    pub why: String,
}

/// What an entry has dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, with their IP headers.
    pub bytes: u64,
}

/// How many entries the sets hold, IPv4 and IPv6 together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Hard blocks.
    pub hard: u64,
    /// Soft blocks.
    pub soft: u64,
    /// Protected prefixes.
    pub protected: u64,
}

impl Tally {
    /// By how much it has moved from `before`.
    pub fn since(self, before: Self) -> Shift {
        let moved = |after: u64, before: u64| after.cast_signed().wrapping_sub(before.cast_signed());
        Shift {
            hard: moved(self.hard, before.hard),
            soft: moved(self.soft, before.soft),
            protected: moved(self.protected, before.protected),
        }
    }
}

/// By how much changes moved a [`Tally`], up or down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shift {
    /// Hard blocks.
    pub hard: i64,
    /// Soft blocks.
    pub soft: i64,
    /// Protected prefixes.
    pub protected: i64,
}

impl AddAssign for Shift {
    fn add_assign(&mut self, other: Self) {
        self.hard += other.hard;
        self.soft += other.soft;
        self.protected += other.protected;
    }
}

impl AddAssign<Shift> for Tally {
    fn add_assign(&mut self, by: Shift) {
        self.hard = self.hard.saturating_add_signed(by.hard);
        self.soft = self.soft.saturating_add_signed(by.soft);
        self.protected = self.protected.saturating_add_signed(by.protected);
    }
}

/// Something about sets and rules that is not as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub trouble: Trouble,
    /// With what: `chain SMARTFW in table raw (IPv4)`.
    pub what: String,
}

/// What can be wrong with a set or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is not there.
    Missing,
    /// It is there with other content.
    Altered,
    /// A foreign rule comes before it.
    NotFirst,
    /// It is there and should not be.
    Foreign,
    /// It cannot be had on this host.
    Unavailable,
}

impl Finding {
    pub(crate) fn new(trouble: Trouble, what: impl Into<String>) -> Self {
        Self { trouble, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trouble, what } = self;
        f.write_str(what)?;
        f.write_str(match trouble {
            Trouble::Missing => " was missing",
            Trouble::Altered => " was altered",
            Trouble::NotFirst => " was not first",
            Trouble::Foreign => " did not belong there",
            Trouble::Unavailable => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_built_is_refused_with_advice() {
        for kind in [Kind::Nftables, Kind::Xdp] {
            let error = open(kind, Options::default()).err().expect("refused").to_string();
            assert!(error.contains(kind.as_str()) && error.contains("dry-run"), "{error}");
        }
    }

    #[test]
    fn every_kind_is_read_by_its_name() {
        assert!(Kind::ALL.into_iter().all(|kind| kind.as_str().parse() == Ok(kind)));
        assert!("iptables ".parse::<Kind>().is_err());
    }
}
