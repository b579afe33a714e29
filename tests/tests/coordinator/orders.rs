//! What people order at a coordinator.

use std::time::Duration;

use serde_json::{Value, json};
use smartfw_tests::{
    hosts::{SOON, address},
    process::until,
};

use super::{ATTACKER, fleet};

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn what_people_order_needs_an_operators_certificate_and_reaches_the_fleet() {
    let (hosts, coordinator, session) = fleet();
    let order = json!({"target": "203.0.113.99", "duration": 3600, "reason": "seen in the logs"});
    let (refused, why) = coordinator.post(&session, "/api/v1/blocks", &order);
    assert_eq!(refused, 409, "{why}");
    assert!(why["error"]["why"].as_str().unwrap().contains("operator"), "{why}");

    coordinator.appoint(&hosts);
    let (given, id) = coordinator.post(&session, "/api/v1/blocks", &order);
    assert_eq!(given, 202, "{id}");
    let both = || hosts.holds(0, "203.0.113.99/32") && hosts.holds(1, "203.0.113.99/32");
    until("both nodes hold it", Duration::from_secs(10), both).unwrap();
    let audit = coordinator.get(&session, "/api/v1/audit?limit=10");
    let entries = audit["entries"].as_array().unwrap();
    assert!(entries.iter().any(|entry| entry["action"] == "block" && entry["who"] == "admin"), "{audit}");

    let one = || coordinator.ask_as(&session, "/api/v1/blocks/203.0.113.99").1;
    until("it is known where it is enforced", SOON, || one()["enforced_on"] == json!(["web-1", "web-2"]))
        .unwrap_or_else(|error| panic!("{error}: {}", one()));
    let (protected, why) = coordinator.post(&session, "/api/v1/blocks", &json!({"target": "127.0.0.1"}));
    assert_eq!(protected, 409, "{why}");
    let (ended, id) = coordinator.delete(&session, "/api/v1/blocks/203.0.113.99");
    assert_eq!(ended, 202, "{id}");
    let none = || !hosts.holds(0, "203.0.113.99/32") && !hosts.holds(1, "203.0.113.99/32");
    until("no node holds it", SOON, none).unwrap();
    until("nobody blocks it", SOON, || coordinator.delete(&session, "/api/v1/blocks/203.0.113.99").0 == 404)
        .unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn what_nodes_said_is_ended_by_people_at_the_coordinator_and_what_people_said_on_a_node_is_theirs() {
    let (hosts, coordinator, session) = fleet();
    coordinator.appoint(&hosts);

    // What detection said, which the other node knows from the first.
    let (attacker, source) = (hosts.guest(ATTACKER), format!("{}/32", address(ATTACKER)));
    attacker
        .command("nmap")
        .args(["-n", "-Pn", "-sT", "-p", "1-300", &address(0).to_string()])
        .output()
        .unwrap();
    until("both hold it", SOON, || hosts.holds(0, &source) && hosts.holds(1, &source)).unwrap();
    let path = format!("/api/v1/blocks/{source}");
    let listed = || coordinator.ask_as(&session, &path).0 == 200;
    until("it is shown", SOON, listed).unwrap();
    let (ended, why) = coordinator.delete(&session, &format!("{path}?reason=false-positive"));
    assert_eq!(ended, 202, "{why}");
    until("no node holds it", SOON, || !hosts.holds(0, &source) && !hosts.holds(1, &source)).unwrap();
    until("it is shown no more", SOON, || !listed()).unwrap();
    let trust = |node: usize| {
        let nodes = hosts.array(node, &["cluster", "nodes"]);
        let first = nodes.iter().find(|node| node["name"] == "web-1").unwrap();
        first["trust"].as_f64().unwrap()
    };
    until("who said so is trusted less", SOON, || trust(1) < 1.0).unwrap();

    hosts.works(1, &["block", "203.0.113.7", "--for", "1h", "--local"]);
    let theirs = || coordinator.delete(&session, "/api/v1/blocks/203.0.113.7");
    until("it is known as theirs", SOON, || theirs().0 == 409).unwrap();
    assert!(theirs().1["error"]["why"].as_str().unwrap().contains("web-2"), "{}", theirs().1);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn what_is_allowed_anywhere_is_listed_and_the_fleets_is_taken_back() {
    let (hosts, coordinator, session) = fleet();
    coordinator.appoint(&hosts);
    hosts.works(1, &["allow", "add", "198.51.100.8", "--comment", "a partner", "--local"]);
    let (given, why) = coordinator.post(
        &session,
        "/api/v1/allow",
        &json!({"target": "198.51.100.7", "comment": "the office"}),
    );
    assert_eq!(given, 202, "{why}");
    let listed = || {
        let all = coordinator.get(&session, "/api/v1/allow");
        let entry = |entry: &Value| (entry["comment"].clone(), entry["nodes"].clone());
        all["allowed"].as_array().unwrap().iter().map(entry).collect::<Vec<_>>()
    };
    let theirs = (json!("a partner"), json!(["web-2"]));
    until("both are listed", SOON, || listed() == [(json!("the office"), Value::Null), theirs.clone()])
        .unwrap_or_else(|error| panic!("{error}: {:?}", listed()));
    let allows = |node: usize| {
        let all = hosts.array(node, &["allow", "list"]);
        all.iter().any(|entry| entry["target"] == "198.51.100.7/32")
    };
    assert!(allows(0) && allows(1));
    assert_eq!(coordinator.delete(&session, "/api/v1/allow/198.51.100.7").0, 202);
    until("no node allows it", SOON, || !allows(0) && !allows(1)).unwrap();
    until("it is off the list", SOON, || listed() == [theirs.clone()]).unwrap();
    let (refused, why) = coordinator.delete(&session, "/api/v1/allow/198.51.100.8");
    assert!(refused == 409 && why["error"]["why"].as_str().unwrap().contains("web-2"), "{why}");
    assert_eq!(coordinator.delete(&session, "/api/v1/allow/198.51.100.9").0, 404);
}
