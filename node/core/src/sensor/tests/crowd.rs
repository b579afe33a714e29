//! One network takes neither the memory nor the models' time of others.

use core::net::{IpAddr, Ipv6Addr};

use super::{lab::*, models};
use crate::{config::SensorConfig, sensor::models::MAX_LOOKS};

/// An address of one rented /64.
fn rented(index: u32) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, (index >> 16) as u16, index as u16).into()
}

/// A request from there, at the server's own IPv6 address.
fn ask(lab: &mut Lab, index: u32, port: u16) {
    let mut connection = Connection::new(rented(index), port, 80);
    connection.server.0 = address("2001:db8:5::2");
    connection.syn(lab);
    connection.syn_ack(lab);
    connection.asks(lab, ACK, b"");
    connection.exchange(lab, GET, OK);
    connection.close(lab);
}

fn lab() -> Lab {
    let mut lab = Lab::seeing(SensorConfig::default(), &["198.51.100.0/24", "2001:db8:5::/48"], 1);
    lab.sensor.set_models(crate::sensor::Models { used: models::blind(), shadow: None });
    lab
}

fn knows(lab: &Lab, address: IpAddr) -> bool {
    lab.sensor.acquaintances.is_known(&lab.sensor.keyed, lab.now, address)
}

#[test]
fn one_rented_network_makes_nobody_unknown() {
    let mut lab = lab();
    browse(&mut lab, CLIENT, 30_000);
    for index in 0..33_000 {
        ask(&mut lab, index, 40_000);
        lab.wait(1);
    }
    assert!(knows(&lab, CLIENT) && lab.sensor.has_shaken_hands(CLIENT));
    assert!(lab.sensor.stats().forgotten_sources > 20_000, "{:?}", lab.sensor.stats());
    lab.verdicts();
    (0..30).for_each(|port| lab.probe(CLIENT, 2000 + port));
    assert!(lab.verdicts().first().is_some_and(|verdict| verdict.standing.known));
}

#[test]
fn one_rented_network_takes_half_of_the_models_time_at_most() {
    let mut lab = lab();
    for index in 0..MAX_LOOKS {
        ask(&mut lab, index, 40_000);
        ask(&mut lab, index, 40_001);
    }
    let half = u64::from(MAX_LOOKS / 2);
    assert_eq!((lab.sensor.stats().looks, lab.sensor.stats().looks_skipped), (half, half));
    (0..2).for_each(|port| browse(&mut lab, CLIENT, 30_000 + port));
    assert_eq!(lab.sensor.stats().looks, half + 1);
    lab.wait(1000);
    ask(&mut lab, 0, 40_002);
    assert_eq!(lab.sensor.stats().looks, half + 2, "the next second has its own");
}

#[test]
fn the_many_customers_of_a_carrier_are_known_and_judged() {
    let mut lab = lab();
    for customer in (0..4000).map(somebody) {
        browse(&mut lab, customer, 30_000);
        lab.wait(10);
    }
    assert!((0..4000).map(somebody).all(|customer| knows(&lab, customer)));
    lab.wait(20_000);
    let looks = lab.sensor.stats().looks;
    for customer in (0..2000).map(somebody) {
        (0..2).for_each(|port| browse(&mut lab, customer, 31_000 + port));
    }
    assert_eq!((lab.sensor.stats().looks, lab.sensor.stats().looks_skipped), (looks + 2000, 0));
}
