//! The rules, and where they hang. Everything that becomes text here is a constant of ours.

use std::fmt;

use crate::sets::{Family, Role, Set};

/// The chain that consults the sets, in every table that has one.
pub(crate) const CHAIN: &str = "SMARTFW";

/// A table of iptables that can hold our chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Before connection tracking and address translation.
    Raw,
    /// After connection tracking, before routing.
    Mangle,
    /// After routing: the last resort.
    Filter,
}

impl Table {
    /// All three, in the order in which packets meet them.
    pub(crate) const ALL: [Self; 3] = [Self::Raw, Self::Mangle, Self::Filter];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Mangle => "mangle",
            Self::Filter => "filter",
        }
    }

    /// The built-in chains from which ours is reached. Docker clears FORWARD for itself and leaves DOCKER-USER to others;
    /// where there is no Docker, there is no such chain.
    pub(crate) const fn hooks(self) -> &'static [&'static str] {
        match self {
            Self::Raw | Self::Mangle => &["PREROUTING"],
            Self::Filter => &["INPUT", "FORWARD", OPTIONAL],
        }
    }
}

/// The hook that is used only where another program has made it.
pub(crate) const OPTIONAL: &str = "DOCKER-USER";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One table's part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) table: Table,
    hard: bool,
    soft: bool,
}

/// Where hard and soft blocks are dropped when only these tables can be had; empty when none can.
pub(crate) fn places(available: impl Fn(Table) -> bool) -> Vec<Place> {
    let first = |tables: &[Table]| tables.iter().copied().find(|table| available(*table));
    let hard = first(&Table::ALL);
    let soft = first(&[Table::Mangle, Table::Filter]);
    let place = |table| Place { table, hard: hard == Some(table), soft: soft == Some(table) };
    Table::ALL.map(place).into_iter().filter(|place| place.hard || place.soft).collect()
}

impl Place {
    /// The chain's rules, as iptables prints them.
    pub(crate) fn rules(self, family: Family) -> Vec<String> {
        let mut rules = vec!["-i lo -j RETURN".to_owned()];
        if family == Family::V6 {
            rules.extend(VITAL.map(|kind| format!("-p ipv6-icmp -m icmp6 --icmpv6-type {kind} -j RETURN")));
        }
        rules.push(consult(Role::Pass, family, "RETURN"));
        if self.hard {
            rules.push(consult(Role::Hard, family, "DROP"));
        }
        if self.soft {
            if family == Family::V4 {
                rules.push(TOO_BIG.to_owned());
            }
            // A flood of pings is one answered conversation: for ICMP only what answers us is spared.
            let asked = format!("-p {} -m conntrack --ctdir ORIGINAL", icmp(family));
            rules.push(format!("{asked} {}", consult(Role::Soft, family, "DROP")));
            rules.push("-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN".to_owned());
            rules.push(consult(Role::Soft, family, "DROP"));
        }
        rules
    }
}

/// ICMPv6 without which IPv6 does not work: packet too big, and neighbour discovery.
const VITAL: [u8; 6] = [2, 133, 134, 135, 136, 137];

/// A router's word that a packet of an open connection was too big (for IPv6 it is vital).
const TOO_BIG: &str = "-p icmp -m icmp --icmp-type 3/4 -m conntrack --ctstate RELATED -j RETURN";

/// ICMP, as iptables prints it.
const fn icmp(family: Family) -> &'static str {
    match family {
        Family::V4 => "icmp",
        Family::V6 => "ipv6-icmp",
    }
}

fn consult(role: Role, family: Family, target: &str) -> String {
    format!("-m set --match-set {} src -j {target}", Set { role, family }.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(missing: &[Table]) -> Vec<(Table, bool, bool)> {
        let places = places(|table| !missing.contains(&table));
        places.into_iter().map(|place| (place.table, place.hard, place.soft)).collect()
    }

    #[test]
    fn hard_blocks_are_dropped_before_connection_tracking_and_soft_ones_after() {
        assert_eq!(shape(&[]), [(Table::Raw, true, false), (Table::Mangle, false, true)]);
    }

    #[test]
    fn what_cannot_be_had_is_replaced_by_the_next_best() {
        assert_eq!(shape(&[Table::Raw]), [(Table::Mangle, true, true)]);
        assert_eq!(shape(&[Table::Mangle]), [(Table::Raw, true, false), (Table::Filter, false, true)]);
        assert_eq!(shape(&[Table::Raw, Table::Mangle]), [(Table::Filter, true, true)]);
        assert_eq!(shape(&Table::ALL), []);
    }

    #[test]
    fn that_a_packet_was_too_big_is_heard_before_soft_drops_and_not_before_hard_ones() {
        for place in places(|_| true).into_iter().chain(places(|table| table == Table::Filter)) {
            let rules = place.rules(Family::V4);
            let at = |what: &str| rules.iter().position(|rule| rule.contains(what));
            assert_eq!(at("--icmp-type 3/4").is_some(), place.soft);
            assert!(!place.soft || at("--icmp-type 3/4") < at("smartfw_soft4"), "{rules:?}");
            assert!(!(place.soft && place.hard) || at("smartfw_hard4") < at("--icmp-type 3/4"));
        }
    }

    #[test]
    fn loopback_neighbours_and_the_protected_come_before_every_drop() {
        for family in Family::ALL {
            for place in places(|_| true).into_iter().chain(places(|table| table == Table::Filter)) {
                let rules = place.rules(family);
                let drop = rules.iter().position(|rule| rule.ends_with("DROP")).unwrap();
                let pass = rules.iter().position(|rule| rule.contains("smartfw_pass")).unwrap();
                assert_eq!(rules[0], "-i lo -j RETURN");
                assert!(pass < drop);
                let vital = rules[..pass].iter().filter(|rule| rule.contains("icmp6")).count();
                assert_eq!(vital, if family == Family::V6 { 6 } else { 0 });
            }
        }
    }
}
