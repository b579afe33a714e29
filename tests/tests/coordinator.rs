//! A coordinator beside a fleet: what nodes see reaches people, programs and bouncers, and outlives its absence.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test coordinator -- --ignored`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "coordinator/live.rs"]
mod live;
#[path = "coordinator/orders.rs"]
mod orders;

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;
use smartfw_tests::{
    coordinator::{COORDINATOR, Coordinator, Session},
    hosts::{Hosts, SOON, address},
    net::INTERFACE,
    process::{Running, until},
};

/// Where on the wire the attacker is.
const ATTACKER: usize = 7;
/// The attacker's further addresses begin here.
const SOURCES: u8 = 100;
/// Alerts that are measured.
const ALERTS: usize = 100;
/// A host that runs no node, and follows the fleet by a bouncer of CrowdSec's.
const EDGE: usize = 9;

fn status(hosts: &Hosts, node: usize) -> Value {
    serde_json::from_str(&hosts.works(node, &["status", "-o", "json"])).unwrap()
}

fn until_nodes_say(hosts: &Hosts, coordinator: &str) {
    let all = || (0..2).all(|node| status(hosts, node)["coordinator"] == coordinator);
    until(&format!("both nodes say that it is {coordinator}"), SOON, all).unwrap();
}

/// A fleet of two, and a coordinator to which both report.
fn fleet() -> (Hosts, Coordinator, Session) {
    let hosts = Hosts::start(2);
    hosts.found();
    hosts.join(1);
    let coordinator = Coordinator::join(&hosts);
    until_nodes_say(&hosts, "connected");
    let session = coordinator.log_in();
    (hosts, coordinator, session)
}

/// The events of the fleet about an address, the newest first.
fn about(coordinator: &Coordinator, session: &Session, address: &str) -> Vec<Value> {
    let page = coordinator.get(session, &format!("/api/v1/events?source={address}&limit=500"));
    page["events"].as_array().unwrap().clone()
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn what_nodes_see_reaches_people_and_bouncers_and_outlives_the_coordinators_absence() {
    let hosts = Hosts::start(2);
    hosts.found();
    hosts.join(1);
    assert_eq!(status(&hosts, 0)["coordinator"], "none");
    let mut coordinator = Coordinator::join(&hosts);
    until_nodes_say(&hosts, "connected");
    let session = coordinator.log_in();

    let attacker = hosts.guest(ATTACKER);
    let source = address(ATTACKER).to_string();
    let scan = |target: usize| {
        let target = address(target).to_string();
        attacker.command("nmap").args(["-n", "-Pn", "-sT", "-p", "1-300", &target]).output().unwrap();
    };
    scan(0);
    let alerted = || {
        let alerts = coordinator.get(&session, &format!("/api/v1/alerts?source={source}"));
        alerts["events"]
            .as_array()
            .unwrap()
            .iter()
            .any(|alert| alert["class"] == "port_scan" && alert["node"] == "web-1")
    };
    until("the alert is shown", SOON, alerted).unwrap();
    let nodes = coordinator.get(&session, "/api/v1/nodes");
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 2, "{nodes}");

    let key = format!("X-Api-Key: {}", coordinator.token(&session, "bouncer"));
    let banned = |address: &str| {
        let (_, decisions) = coordinator.ask(&["-H", &key, &format!("/v1/decisions?ip={address}")]);
        decisions[0]["type"] == "ban"
    };
    hosts.works(0, &["block", "198.51.100.7", "--for", "1h", "--local"]);
    until("a bouncer hears of it", SOON, || banned("198.51.100.7")).unwrap();
    let about_it = coordinator.get(&session, &format!("/api/v1/blocks?overlaps={source}"));
    // Anybody could have forged the scan: the nodes limit its source, and bouncers are not told.
    assert_eq!(
        (about_it["blocks"][0]["strength"].as_str(), banned(&source)),
        (Some("soft"), false),
        "{about_it}"
    );

    coordinator.kill();
    until_nodes_say(&hosts, "away");
    for n in 0..50 {
        hosts.works(n % 2, &["block", &format!("203.0.113.{n}"), "--for", "1h", "--local"]);
    }
    coordinator.start();
    until_nodes_say(&hosts, "connected");
    let session = coordinator.log_in();
    let blocked = |n: usize| {
        let events = about(&coordinator, &session, &format!("203.0.113.{n}"));
        events.iter().filter(|event| event["kind"] == "block").count()
    };
    until("the last block has come", SOON, || blocked(48) > 0 && blocked(49) > 0).unwrap();
    let counts: Vec<usize> = (0..50).map(blocked).collect();
    assert_eq!(counts, [1; 50], "each once, although nobody was there to hear it");
    let listed = coordinator.get(&session, "/api/v1/blocks?overlaps=203.0.113.0/24&limit=100");
    assert_eq!(listed["blocks"].as_array().unwrap().len(), 50, "{listed}");
}

/// The figures that are stated come from a quiet machine: docs/api.md names the command.
#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn detections_reach_a_client_of_the_live_view_at_once() {
    let hosts = Hosts::start(1);
    hosts.found();
    let coordinator = Coordinator::join(&hosts);
    until("it is connected", SOON, || status(&hosts, 0)["coordinator"] == "connected").unwrap();
    let token = coordinator.token(&coordinator.log_in(), "viewer");
    let certificate = coordinator.dir.join("state/coordinator/web/certificate.pem");
    let live = live::Live { at: (Coordinator::at(), 7480).into(), certificate: &certificate, token: &token };
    let attacker = hosts.guest(ATTACKER);
    let sources: Vec<Ipv4Addr> = (0..ALERTS as u8).map(|n| Ipv4Addr::new(10, 78, 0, SOURCES + n)).collect();
    let lines = sources.iter().map(|source| format!("addr add {source}/24 dev {INTERFACE}\n"));
    attacker.ip(&lines.collect::<String>()).unwrap();
    let (listens, listening) = mpsc::channel();
    let mut ages = thread::scope(|scope| {
        let heard =
            scope.spawn(|| coordinator.host.inside(|| live.ages_of_alerts(ALERTS, &listens)).unwrap());
        listening.recv_timeout(SOON).unwrap();
        attacker.inside(|| sources.iter().for_each(|source| scan(*source))).unwrap();
        heard.join().unwrap()
    });
    ages.sort_unstable();
    let (middle, slow) = (ages[ALERTS / 2], ages[ALERTS * 99 / 100]);
    println!("{ALERTS} alerts, from the verdict to a client of the live view: p50 {middle:?}, p99 {slow:?}");
    assert!(slow < Duration::from_secs(2), "p50 {middle:?}, p99 {slow:?}");
}

/// Asks the first host for some ports that nobody serves.
fn scan(source: Ipv4Addr) {
    let socket = UdpSocket::bind((source, 0)).unwrap();
    for port in 20_000..20_040 {
        // A port that is closed says so at the next.
        let _ = socket.send_to(b"anybody?", (address(0), port));
    }
    thread::sleep(Duration::from_millis(20));
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_firewall_bouncer_of_crowdsecs_drops_what_the_fleet_blocks_and_lets_go_what_it_lets_go() {
    let (hosts, coordinator, session) = fleet();
    let key = coordinator.token(&session, "bouncer");
    hosts.works(0, &["block", "203.0.113.7", "--for", "1h", "--local"]);

    let edge = hosts.guest(EDGE);
    let settings = hosts.folder(COORDINATOR).join("bouncer.yaml");
    fs::write(&settings, bouncer(&format!("https://{}:7480/", Coordinator::at()), &key)).unwrap();
    let mut command = edge.command("crowdsec-firewall-bouncer");
    command.arg("-c").arg(&settings);
    let journal = hosts.folder(COORDINATOR).join("bouncer");
    let _bouncer = Running::start(command, &journal).unwrap();
    let set = || {
        let listed = edge.command("ipset").args(["list", "crowdsec-blacklists"]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap()
    };
    let held = |address: &str| set().lines().any(|line| line.starts_with(&format!("{address} ")));
    let said = || fs::read_to_string(&journal).unwrap_or_default();
    until("the bouncer drops it", SOON, || held("203.0.113.7")).unwrap_or_else(|e| panic!("{e}: {}", said()));
    hosts.works(1, &["block", "203.0.113.8", "--for", "1h", "--local"]);
    until("it drops the next", SOON, || held("203.0.113.8")).unwrap_or_else(|e| panic!("{e}: {}", said()));
    hosts.works(0, &["unblock", "203.0.113.7", "--local"]);
    until("it lets go the first", SOON, || !held("203.0.113.7"))
        .unwrap_or_else(|e| panic!("{e}: {}", said()));
    assert!(held("203.0.113.8"));
}

/// The settings of a bouncer that asks each second.
fn bouncer(url: &str, key: &str) -> String {
    format!(
        "mode: iptables\nupdate_frequency: 1s\nlog_mode: stdout\nlog_level: info\napi_url: {url}\napi_key: {key}\n\
         insecure_skip_verify: true\ndisable_ipv6: true\ndeny_action: DROP\nsupported_decisions_types: [ban]\n\
         blacklists_ipv4: crowdsec-blacklists\nipset_type: nethash\niptables_chains: [INPUT]\n"
    )
}
