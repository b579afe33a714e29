//! The six sets, and what an element of them is.

use smartfw_core::{IpNet, Strength};

/// Elements that a set may hold: twice the block list's limit, so that the list is full before the kernel is.
pub(crate) const CAPACITY: u32 = 2_200_000;

/// The longest timeout that the kernel takes, in seconds (24 days): `i32::MAX` milliseconds. What lasts longer is
/// armed with this and re-armed by the reconciler.
pub(crate) const LONGEST: u64 = 2_147_483;

/// The type of every set: prefixes of any length but 0.
pub(crate) const TYPE: &str = "hash:net";

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub(crate) fn of(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    /// The kernel's number, and ipset's word for it.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::V4 => "inet",
            Self::V6 => "inet6",
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// What being in a set means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Never dropped.
    Pass,
    /// Everything is dropped.
    Hard,
    /// Dropped unless it belongs to an established connection.
    Soft,
}

impl Role {
    /// In the order in which they are filled: who must not be locked out comes first.
    pub(crate) const ALL: [Self; 3] = [Self::Pass, Self::Hard, Self::Soft];

    pub(crate) fn of(strength: Strength) -> Self {
        match strength {
            Strength::Hard => Self::Hard,
            Strength::Soft => Self::Soft,
        }
    }

    pub(crate) fn strength(self) -> Option<Strength> {
        match self {
            Self::Pass => None,
            Self::Hard => Some(Strength::Hard),
            Self::Soft => Some(Strength::Soft),
        }
    }
}

/// One of the six sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Set {
    pub(crate) role: Role,
    pub(crate) family: Family,
}

impl Set {
    /// All six, in the order in which they are filled.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Role::ALL.into_iter().flat_map(|role| Family::ALL.map(|family| Self { role, family }))
    }

    /// The set that a target of this role belongs to.
    pub(crate) fn holding(role: Role, net: &IpNet) -> Self {
        Self { role, family: Family::of(net) }
    }

    /// The set of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().find(|set| set.name() == name)
    }

    /// Its name in the kernel.
    pub(crate) const fn name(self) -> &'static str {
        match (self.role, self.family) {
            (Role::Pass, Family::V4) => "smartfw_pass4",
            (Role::Pass, Family::V6) => "smartfw_pass6",
            (Role::Hard, Family::V4) => "smartfw_hard4",
            (Role::Hard, Family::V6) => "smartfw_hard6",
            (Role::Soft, Family::V4) => "smartfw_soft4",
            (Role::Soft, Family::V6) => "smartfw_soft6",
        }
    }

    /// The name under which its replacement is filled, before the two are swapped.
    pub(crate) const fn temporary(self) -> &'static str {
        match (self.role, self.family) {
            (Role::Pass, Family::V4) => "smartfw_pass4_new",
            (Role::Pass, Family::V6) => "smartfw_pass6_new",
            (Role::Hard, Family::V4) => "smartfw_hard4_new",
            (Role::Hard, Family::V6) => "smartfw_hard6_new",
            (Role::Soft, Family::V4) => "smartfw_soft4_new",
            (Role::Soft, Family::V6) => "smartfw_soft6_new",
        }
    }
}

/// One element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// Any prefix but one of length 0.
    pub(crate) net: IpNet,
    /// The seconds left; 0 for ever.
    pub(crate) timeout: u32,
    pub(crate) comment: String,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// `net` as prefixes that a set can hold: a prefix of length 0 is two of length 1.
pub(crate) fn storable(net: IpNet) -> impl Iterator<Item = IpNet> {
    let halves = if net.prefix_len() == 0 { 1 } else { 0 };
    // A prefix of length 0 has subnets of length 1, and every prefix has itself: this never fails.
    net.subnets(net.prefix_len() + halves).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_stored_as_two_halves() {
        let parts =
            |text: &str| storable(text.parse().unwrap()).map(|net| net.to_string()).collect::<Vec<_>>();
        assert_eq!(parts("0.0.0.0/0"), ["0.0.0.0/1", "128.0.0.0/1"]);
        assert_eq!(parts("::/0"), ["::/1", "8000::/1"]);
        assert_eq!(parts("192.0.2.0/24"), ["192.0.2.0/24"]);
        assert_eq!(parts("2001:db8::1/128"), ["2001:db8::1/128"]);
    }

    #[test]
    fn every_name_fits_the_kernel_and_belongs_to_one_set() {
        for set in Set::all() {
            assert!(set.temporary().len() < 32, "the kernel allows 31 bytes");
            assert_eq!(Set::named(set.name()), Some(set));
            assert_eq!(Set::named(set.temporary()), None);
        }
    }
}
