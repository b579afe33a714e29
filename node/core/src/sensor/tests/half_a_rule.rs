//! What a window must hold of what a rule wants, before a model's word about it counts as proof.

use super::lab::*;
use crate::{Class, Features};

#[test]
fn half_a_rule_is_half_of_all_that_the_rule_wants() {
    let lab = Lab::new();
    let half = |class, features: Features| lab.sensor.is_half_a_rule(&features, class);
    let guesses = |failed_logins| Features { failed_logins, ..Features::default() };
    assert!(half(Class::BruteForce, guesses(4.0)) && !half(Class::BruteForce, guesses(3.9)));
    let starved = |unfinished_requests| Features { unfinished_requests, ..Features::default() };
    assert!(half(Class::SlowDos, starved(10.0)) && !half(Class::SlowDos, starved(9.9)));
    let flood = |requests_per_second, open_connections| Features {
        requests_per_second,
        open_connections,
        ..Features::default()
    };
    assert!(half(Class::HttpFlood, flood(75.0, 16.0)));
    assert!(!half(Class::HttpFlood, flood(74.0, 16.0)) && !half(Class::HttpFlood, flood(75.0, 15.0)));
    assert!(!half(Class::PortScan, Features { silent_ports: 1000.0, ..Features::default() }));
}
