//! How people make a fleet: real daemons and the real command line, each host in a network namespace.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test cluster -- --ignored`.

use std::time::Duration;

use serde_json::Value;
use smartfw_tests::{
    hosts::{Hosts, SOON, address},
    process::until,
};

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_fleet_is_made_grown_ordered_and_left_without_a_restart() {
    let hosts = Hosts::start(2);
    assert_eq!(hosts.array(0, &["cluster", "nodes"]).len(), 1, "without a cluster the node itself");
    hosts.refused(0, &["cluster", "token"], "in no cluster");
    hosts.found();
    hosts.join(1);
    hosts.works(1, &["block", "203.0.113.7", "--for", "1h"]);
    until("the other holds it", SOON, || hosts.holds(0, "203.0.113.7/32")).unwrap();
    hosts.works(0, &["unblock", "203.0.113.7"]);
    until("nobody holds it", SOON, || !hosts.holds(0, "203.0.113.7/32") && !hosts.holds(1, "203.0.113.7/32"))
        .unwrap();
    hosts.works(0, &["allow", "add", "198.51.100.9"]);
    until("the other allows it", SOON, || {
        hosts.works(1, &["allow", "list", "-o", "raw"]).starts_with("198.51.100.9/32\t")
    })
    .unwrap();
    hosts.works(1, &["cluster", "leave"]);
    assert!(hosts.array(1, &["cluster", "nodes"])[0]["id"].is_null());
    let left = |node: &Value| node["state"] == "left";
    until("it is seen to have left", SOON, || hosts.array(0, &["cluster", "nodes"]).iter().any(left))
        .unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn whom_a_token_does_not_let_in_is_told_why() {
    let hosts = Hosts::start(3);
    hosts.found();
    let at = address(0).to_string();
    let join = |node: usize, token: &str, why: &str| {
        hosts.refused(node, &["cluster", "join", &at, "--token", token], why);
    };
    let token = hosts.token(0, &[]);
    hosts.works(1, &["cluster", "join", &at, "--token", &token]);
    join(2, &token, "was used already");
    join(1, &token, "in cluster prod already");
    join(2, &token[..token.len() - 3], "incomplete or mistyped");
    let late = hosts.token(0, &["--for", "1s"]);
    std::thread::sleep(Duration::from_secs(2));
    join(2, &late, "expired");
    let token = hosts.token(0, &[]);
    hosts.refused(2, &["cluster", "join", &at, "--token", &token, "--name", "web-2"], "--replace web-2");
    join(2, &hosts.token(0, &["--role", "operator"]), "--operator NAME");
    let elsewhere = address(1).to_string();
    hosts.refused(2, &["cluster", "join", &elsewhere, "--token", &token], &elsewhere);
    hosts.refused(0, &["cluster", "token", "--role", "signer"], "--root FILE");
    hosts.refused(1, &["cluster", "token"], "is no signer: ask web-1");
    hosts.works(2, &["cluster", "join", &at, "--token", &token]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_second_signer_lets_others_in_and_outlives_the_first() {
    let mut hosts = Hosts::start(3);
    hosts.found();
    let token = hosts.token(0, &["--role", "signer", "--root", "smartfw-root-prod.pem"]);
    hosts.works(1, &["cluster", "join", &address(0).to_string(), "--token", &token]);
    until("they know each other", SOON, || hosts.array(1, &["cluster", "nodes"]).len() == 2).unwrap();
    drop(hosts.daemons.remove(0));
    let token = hosts.token(1, &[]);
    hosts.refused(2, &["cluster", "join", &address(0).to_string(), "--token", &token], "cannot connect");
    hosts.works(2, &["cluster", "join", &address(1).to_string(), "--token", &token]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn who_is_expelled_stays_out_until_it_has_a_new_key() {
    let hosts = Hosts::start(2);
    hosts.found();
    hosts.join(1);
    hosts.refused(0, &["cluster", "revoke", "web-2"], "--yes");
    hosts.works(0, &["cluster", "revoke", "web-2", "--yes"]);
    let there = |node: &Value| node["name"] == "web-2" && node["state"] == "alive";
    until("it is out", SOON, || !hosts.array(0, &["cluster", "nodes"]).iter().any(there)).unwrap();
    hosts.works(1, &["cluster", "leave", "--force"]);
    let token = hosts.token(0, &["--replace", "web-2"]);
    hosts.works(1, &["cluster", "join", &address(0).to_string(), "--token", &token]);
    until("it is back", SOON, || hosts.array(0, &["cluster", "nodes"]).iter().any(there)).unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_panic_of_the_fleet_stops_every_node_ends_by_itself_and_ends_early_when_told_to() {
    let hosts = Hosts::start(2);
    hosts.found();
    hosts.join(1);
    let is = |node: usize, state: &str| {
        let status: Value = serde_json::from_str(&hosts.works(node, &["status", "-o", "json"])).unwrap();
        status["enforcement"] == state
    };
    let order = |node: usize, arguments: &[&str]| {
        let state = hosts.folder(node).join("state").display().to_string();
        hosts.works(node, &[&["--state-dir", &state], arguments].concat())
    };
    assert!(order(0, &["panic", "--cluster", "--for", "6s"]).contains("2 members alive"));
    until("the other stops", SOON, || is(1, "panic")).unwrap();
    until("both resume", SOON, || is(0, "on") && is(1, "on")).unwrap();
    order(0, &["panic", "--cluster", "--for", "20s"]);
    until("the other stops again", SOON, || is(1, "panic")).unwrap();
    order(1, &["enable", "--cluster"]);
    until("the first is told", Duration::from_secs(5), || is(0, "on")).unwrap();
    assert!(is(1, "on"));
}
