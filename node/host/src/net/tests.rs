use super::*;
use crate::testing::Namespace;

#[test]
fn this_host_has_a_loopback_with_its_address() {
    let lo = links().unwrap().into_iter().find(|link| link.loopback).unwrap();
    assert_eq!((lo.name.as_str(), lo.master, lo.lower), ("lo", None, None));
    assert_eq!(lo.hardware, libc::ARPHRD_LOOPBACK);
    addresses().unwrap();
    default_routes().unwrap();
}

#[test]
fn bridges_stacks_point_to_point_ends_and_every_default_route_are_seen() {
    let Some(space) = Namespace::new("net") else { return };
    for command in [
        "link add br0 type bridge",
        "link add a0 type veth peer name b0",
        "link set a0 master br0",
        "link add link b0 name b0.7 type macvlan",
        "link set lo up",
        "link set br0 up",
        "link set a0 up",
        "link set b0 up",
        "link set b0.7 up",
        "addr add 10.9.0.2/24 brd + dev br0",
        "addr add 2001:db8:9::2/64 dev br0 nodad",
        "addr add 10.8.0.2 peer 10.8.0.1 dev b0",
        "route add default via 10.9.0.1",
        "route add default via 10.9.0.254 table 77",
        "route add default metric 500 nexthop via 10.9.0.3 nexthop via 10.9.0.4",
        "route add default via inet6 fe80::9 dev br0 metric 600",
        "-6 route add default via 2001:db8:9::1",
    ] {
        space.ip(command);
    }
    space.inside(|| {
        let links = links().unwrap();
        let named = |name: &str| links.iter().find(|link| link.name == name).unwrap().clone();
        assert_eq!(named("a0").master, Some(named("br0").index));
        assert_eq!(named("b0.7").lower, Some(named("b0").index));
        assert_eq!((named("br0").kind.as_str(), named("b0.7").kind.as_str()), ("bridge", "macvlan"));
        assert!(named("br0").up);

        let addresses = addresses().unwrap();
        let with =
            |net: &str| addresses.iter().find(|a| a.net == net.parse::<IpNet>().unwrap()).copied().unwrap();
        assert_eq!(with("10.9.0.2/24").broadcast, Some("10.9.0.255".parse().unwrap()));
        assert_eq!(with("10.8.0.2/32").peer, Some("10.8.0.1".parse().unwrap()));
        assert!(with("2001:db8:9::2/64").global && !with("127.0.0.1/8").global);

        let mut gateways: Vec<String> =
            default_routes().unwrap().iter().filter_map(|route| Some(route.gateway?.to_string())).collect();
        gateways.sort();
        assert_eq!(gateways, ["10.9.0.1", "10.9.0.254", "10.9.0.3", "10.9.0.4", "2001:db8:9::1", "fe80::9"]);
    });
}

#[test]
fn a_changed_address_is_news() {
    let Some(space) = Namespace::new("news") else { return };
    let mut changes = space.inside(|| Changes::listen().unwrap());
    assert!(!changes.take());
    space.ip("link add d0 type veth peer name d1");
    space.ip("addr add 10.9.0.2/24 dev d0");
    assert!(changes.take());
    assert!(!changes.take());
}
