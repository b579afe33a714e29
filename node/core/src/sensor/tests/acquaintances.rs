//! What is told of somebody's neighbours.

use super::lab::*;
use crate::{
    Class, Evidence, Verdict,
    config::{SensorConfig, SensorLimits},
    sensor::{Login, LoginOutcome},
};

const SERVER: &str = "2001:db8:ffff::2";

fn lab(limits: SensorLimits) -> Lab {
    Lab::seeing(SensorConfig { limits, ..SensorConfig::default() }, &["2001:db8:ffff::/64"], 1)
}

fn log_in(lab: &mut Lab, source: core::net::IpAddr) {
    lab.sensor.handle_login(lab.now, Login { source, port: 50_000, outcome: LoginOutcome::Accepted });
}

/// Twenty closed ports under somebody's address, and the last verdict.
#[track_caller]
fn scan(lab: &mut Lab, source: &str) -> Verdict {
    let (source, server) = (address(source), address(SERVER));
    for port in 1000..1020 {
        lab.hears(&ip(source, server, TCP, &tcp((40_000, port), (1, 0), SYN, b"")));
        lab.says(&ip(server, source, TCP, &tcp((port, 40_000), (0, 2), RST | ACK, b"")));
    }
    let verdict = lab.verdicts().pop().expect("a scan");
    assert_eq!((verdict.class, verdict.evidence), (Class::PortScan, Some(Evidence::Spoofable)));
    verdict
}

#[test]
fn a_verdict_says_for_a_day_that_somebody_of_the_same_64_is_known() {
    let mut lab = lab(SensorLimits::default());
    log_in(&mut lab, address("2001:db8:7::1"));
    let neighbour = scan(&mut lab, "2001:db8:7::bad:1").standing;
    assert!(neighbour.network_known && !neighbour.known, "{neighbour:?}");
    assert!(!scan(&mut lab, "2001:db8:7:1::1").standing.network_known, "another network");
    lab.wait(23 * 3_600_000);
    assert!(scan(&mut lab, "2001:db8:7::bad:2").standing.network_known);
    lab.wait(3_600_000);
    assert!(!scan(&mut lab, "2001:db8:7::bad:3").standing.network_known);
}

#[test]
fn networks_beyond_the_limit_are_forgotten_and_those_of_one_provider_first() {
    let mut lab = lab(SensorLimits { proven: 50, ..SensorLimits::default() });
    log_in(&mut lab, address("2001:db8:7::1"));
    let mut fill = |neighbour, network: fn(u16) -> [u16; 3]| {
        for number in 0..500 {
            let [provider, site, network] = network(number);
            let guest = core::net::Ipv6Addr::new(0x2001, provider, site, network, 0, 0, 0, 1);
            log_in(&mut lab, guest.into());
        }
        assert!(lab.sensor.acquaintances.networks() <= 100, "{}", lab.sensor.acquaintances.networks());
        scan(&mut lab, neighbour).standing.network_known
    };
    assert!(fill("2001:db8:7::bad:1", |number| [0xdb8, 9, number]));
    assert!(!fill("2001:db8:7::bad:2", |number| [number, 1, 1]));
}
