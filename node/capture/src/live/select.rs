//! Which interfaces are captured on.

use std::collections::BTreeSet;

use smartfw_host::net::{Address, DefaultRoute, Link};

use crate::CaptureError;

/// Interfaces captured on at once. Each costs a socket with its own buffer and a system call in every round.
pub(super) const MAX_INTERFACES: usize = 128;

/// What the kernel has.
#[derive(Default)]
pub(super) struct Host {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<Address>,
    pub(super) routes: Vec<DefaultRoute>,
}

/// The interfaces to capture on, and those left out with what sees their packets (or why).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    pub(super) chosen: Vec<String>,
    pub(super) left_out: Vec<LeftOut>,
}

/// An interface that would be captured on, were it not for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// The interface that sees its packets; `None` when there are simply too many.
    pub seen_by: Option<String>,
}

/// Those named, else those that carry traffic.
///
/// # Errors
/// When one of those named does not exist, or there is none at all.
pub(super) fn select(named: &[String], host: &Host) -> Result<Selection, CaptureError> {
    if let Some(name) = named.iter().find(|name| !host.links.iter().any(|link| link.name == **name)) {
        let existing = host.links.iter().map(|link| link.name.clone()).collect();
        return Err(CaptureError::UnknownInterface { name: name.clone(), existing });
    }
    let wanted = if named.is_empty() { host.by_default() } else { host.by_name(named) };
    if wanted.is_empty() { Err(CaptureError::NoInterface) } else { Ok(host.once(wanted)) }
}

/// The same for a host that has changed: what does not exist now may come back.
pub(super) fn reselect(named: &[String], host: &Host) -> Selection {
    let wanted = if named.is_empty() { host.by_default() } else { host.by_name(named) };
    host.once(wanted)
}

impl Host {
    fn by_name(&self, named: &[String]) -> BTreeSet<u32> {
        self.links.iter().filter(|link| named.contains(&link.name)).map(|link| link.index).collect()
    }

    fn by_default(&self) -> BTreeSet<u32> {
        let routed = self.routes.iter().filter_map(|route| route.index);
        let addressed = self.addresses.iter().filter(|address| address.global).map(|address| address.index);
        let carrying: BTreeSet<u32> =
            routed.chain(addressed).filter(|index| self.is_outward(*index)).collect();
        if !carrying.is_empty() {
            return carrying;
        }
        self.links.iter().filter(|link| link.up && !link.loopback).map(|link| link.index).collect()
    }

    fn is_outward(&self, index: u32) -> bool {
        self.link(index).is_some_and(|link| !link.loopback)
    }

    /// Leaves out interfaces whose packets another chosen one sees as well, so that a packet counts once.
    ///
    /// A VLAN (or ipvlan) shows nothing that its lower interface does not: it goes, and so does a bridge or bond over
    /// such a VLAN. Then a member of a bond, team, VRF or bridge goes where its master is there.
    fn once(&self, mut wanted: BTreeSet<u32>) -> Selection {
        let mut left_out = Vec::new();
        for rule in [Self::below, Self::above] {
            for index in wanted.clone() {
                wanted.remove(&index);
                let Some(other) = rule(self, index, &wanted, 0) else {
                    wanted.insert(index);
                    continue;
                };
                left_out.push(LeftOut { name: self.name(index), seen_by: Some(self.name(other)) });
            }
        }
        let mut chosen: Vec<String> = wanted.into_iter().map(|index| self.name(index)).collect();
        let beyond = chosen.split_off(chosen.len().min(MAX_INTERFACES));
        left_out.extend(beyond.into_iter().map(|name| LeftOut { name, seen_by: None }));
        Selection { chosen, left_out }
    }

    /// A wanted interface below at least one VLAN below `index`.
    fn below(&self, index: u32, wanted: &BTreeSet<u32>, depth: u32) -> Option<u32> {
        let link = self.link(index).filter(|_| depth < MAX_DEPTH)?;
        let lower = link.lower.filter(|_| shows_nothing_new(link));
        if let Some(lower) = lower.filter(|lower| wanted.contains(lower)) {
            return Some(lower);
        }
        let members =
            self.links.iter().filter(|member| member.master == Some(index)).map(|member| member.index);
        members.chain(lower).find_map(|next| self.below(next, wanted, depth + 1))
    }

    /// A wanted interface that `index` is a member of, or that its master is a member of.
    fn above(&self, index: u32, wanted: &BTreeSet<u32>, depth: u32) -> Option<u32> {
        let master = self.link(index).filter(|_| depth < MAX_DEPTH)?.master?;
        if wanted.contains(&master) { Some(master) } else { self.above(master, wanted, depth + 1) }
    }

    fn link(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.index == index)
    }

    fn name(&self, index: u32) -> String {
        self.link(index).map(|link| link.name.clone()).unwrap_or_default()
    }
}

/// The kernel nests devices eight deep at most.
const MAX_DEPTH: u32 = 8;

fn shows_nothing_new(link: &Link) -> bool {
    matches!(link.kind.as_str(), "vlan" | "ipvlan" | "macsec")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.into(),
            hardware: 1,
            up: true,
            loopback: name == "lo",
            point_to_point: false,
            master: None,
            lower: None,
            mac: None,
            kind: String::new(),
        }
    }

    fn member(index: u32, name: &str, master: u32) -> Link {
        Link { master: Some(master), ..link(index, name) }
    }

    fn vlan(index: u32, name: &str, lower: u32) -> Link {
        Link { lower: Some(lower), kind: "vlan".into(), ..link(index, name) }
    }

    fn host(links: Vec<Link>) -> Host {
        Host { links, ..Host::default() }
    }

    fn chosen(named: &[&str], host: &Host) -> Vec<String> {
        let named: Vec<String> = named.iter().map(|name| (*name).into()).collect();
        select(&named, host).unwrap().chosen
    }

    fn addressed(index: u32, net: &str, global: bool) -> Address {
        Address { index, net: net.parse().unwrap(), broadcast: None, peer: None, global }
    }

    #[test]
    fn default_routes_and_global_addresses_choose() {
        let mut host =
            host(vec![link(1, "lo"), link(2, "eth0"), link(3, "eth1"), link(4, "eth2"), link(5, "wg0")]);
        host.routes = vec![DefaultRoute { index: Some(5), gateway: None, v6: false }];
        host.addresses = vec![
            addressed(1, "203.0.113.9/32", true),
            addressed(3, "192.0.2.1/24", true),
            addressed(4, "fe80::1/64", false),
        ];
        assert_eq!(chosen(&[], &host), ["eth1", "wg0"]);
    }

    #[test]
    fn without_routes_and_addresses_all_that_are_up_are_chosen() {
        let mut links = vec![link(1, "lo"), link(2, "eth0"), link(3, "eth1")];
        links[2].up = false;
        assert_eq!(chosen(&[], &host(links)), ["eth0"]);
        assert!(matches!(select(&[], &host(vec![link(1, "lo")])), Err(CaptureError::NoInterface)));
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_that_exist() {
        let error = select(&["eth9".into()], &host(vec![link(1, "lo"), link(2, "eth0")])).unwrap_err();
        assert_eq!(error.to_string(), "there is no interface \"eth9\"; there are: lo, eth0");
    }

    #[test]
    fn a_member_gives_way_to_its_master() {
        let host =
            host(vec![link(2, "br0"), member(3, "eth0", 2), member(4, "bond0", 2), member(5, "eth1", 4)]);
        assert_eq!(chosen(&["eth0", "br0", "eth1"], &host), ["br0"]);
        assert_eq!(chosen(&["eth0"], &host), ["eth0"]);
        let left = select(&["br0".into(), "eth0".into()], &host).unwrap().left_out;
        assert_eq!(left, [LeftOut { name: "eth0".into(), seen_by: Some("br0".into()) }]);
    }

    #[test]
    fn a_vlan_gives_way_to_its_lower_interface_and_so_does_a_bridge_over_it() {
        let mut links = vec![link(2, "eth0"), vlan(3, "eth0.5", 2), link(4, "br5")];
        links[1].master = Some(4);
        let host = host(links);
        assert_eq!(chosen(&["eth0", "eth0.5", "br5"], &host), ["eth0"]);
        assert_eq!(chosen(&["eth0.5", "br5"], &host), ["br5"]);
        assert_eq!(chosen(&["eth0.5"], &host), ["eth0.5"]);
    }

    #[test]
    fn interfaces_that_form_a_ring_end_the_search() {
        let host = host(vec![
            Link { master: Some(3), ..vlan(2, "a", 3) },
            Link { master: Some(2), ..vlan(3, "b", 2) },
        ]);
        assert_eq!(chosen(&["a", "b"], &host), ["b"]);
    }

    #[test]
    fn more_interfaces_than_the_limit_are_left_out_and_named() {
        let host = host((1..=130).map(|index| link(index, &format!("veth{index}"))).collect());
        let selection = select(&[], &host).unwrap();
        assert_eq!((selection.chosen.len(), selection.left_out.len()), (MAX_INTERFACES, 2));
    }
}
