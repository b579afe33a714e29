//! What the tests share: a fleet under load, and whether its history has everything once and in order.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use smartfw_tests::{
    coordinator::{Coordinator, Session},
    hosts::{Hosts, SOON, address},
    kernel,
    namespace::Namespace,
    process::{Stop, until},
};

/// How long something may take until it is shown, and until all that waited has come.
pub(super) const SHOWN: Duration = Duration::from_secs(60);
/// Where on the wire the attackers are, and their networks.
const ATTACKER: usize = 7;
const FAR: [[u8; 3]; 2] = [[203, 0, 113], [198, 51, 100]];
/// People's orders on each node, and attacks on either.
const ORDERS: Duration = Duration::from_millis(200);
const ATTACKS: Duration = Duration::from_millis(700);
/// No load lasts longer.
const LONGEST: Duration = Duration::from_secs(600);
/// Ports that an attacker asks, and how long it waits for the answer of each.
const PORTS: std::ops::Range<u16> = 1000..1100;
const PATIENCE: Duration = Duration::from_millis(50);
/// How often it is looked whether something is shown: each look is a program.
const LOOK: Duration = Duration::from_millis(100);

/// Two hosts of one fleet, whose kernels drop what they block.
pub(super) fn fleet() -> Hosts {
    let hosts = Hosts::start_guarding(2);
    hosts.found();
    hosts.join(1);
    hosts
}

/// Waits until something holds that takes a program to see.
#[track_caller]
pub(super) fn soon(what: &str, mut holds: impl FnMut() -> bool, else_say: impl Fn() -> String) {
    let looked = || {
        thread::sleep(LOOK);
        holds()
    };
    until(what, SHOWN, looked).unwrap_or_else(|error| panic!("{error}: {}", else_say()));
}

/// What a node says of itself.
pub(super) fn status(hosts: &Hosts, node: usize) -> Value {
    serde_json::from_str(&hosts.works(node, &["status", "-o", "json"])).unwrap()
}

/// Waits until both nodes say so of the coordinator.
#[track_caller]
pub(super) fn until_nodes_say(hosts: &Hosts, coordinator: &str) {
    let all = || (0..2).all(|node| status(hosts, node)["coordinator"] == coordinator);
    soon(&format!("both nodes say that it is {coordinator}"), all, || hosts.works(0, &["status"]));
}

/// Waits until the coordinator says that something is wrong, in words with these in them.
#[track_caller]
pub(super) fn until_it_says(coordinator: &Coordinator, session: &Session, words: &str) {
    let says = || coordinator.troubles(session).contains(words);
    soon(&format!("it says {words:?}"), says, || coordinator.troubles(session));
}

/// Waits until nothing is wrong with the coordinator.
#[track_caller]
pub(super) fn until_all_is_well(coordinator: &Coordinator, session: &Session) {
    soon("all is well again", || coordinator.troubles(session) == "[]", || coordinator.troubles(session));
}

/// What was done on both nodes while something else happened.
pub(super) struct Done {
    /// What people blocked on each, in this order.
    pub(super) ordered: [Vec<String>; 2],
    /// Who attacked each, in this order.
    pub(super) attackers: [Vec<Ipv4Addr>; 2],
    /// How long it went on.
    pub(super) lasted: Duration,
}

/// Ends the load also where the trouble ends the test.
struct Ending<'a>(&'a Stop);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.now();
    }
}

/// People block and attackers are dropped on both nodes at a steady rate, while there is trouble. Every order has to be
/// carried out, and every attacker dropped by the node's kernel.
pub(super) fn under_load(hosts: &Hosts, trouble: impl FnOnce()) -> Done {
    let attacker = attacker(hosts);
    let (stop, begun) = (Stop::after(LONGEST), Instant::now());
    let (mut ordered, attackers) = thread::scope(|scope| {
        let people = [0, 1].map(|node| {
            let stop = &stop;
            scope.spawn(move || people(hosts, node, stop))
        });
        let attackers = scope.spawn(|| attackers(hosts, &attacker, &stop));
        {
            let _ending = Ending(&stop);
            trouble();
        }
        (people.map(|people| people.join().unwrap()), attackers.join().unwrap())
    });
    // Whoever has heard of this has heard of all before.
    for (node, ordered) in ordered.iter_mut().enumerate() {
        ordered.push(block(hosts, node, 0xffff));
    }
    Done { ordered, attackers, lasted: begun.elapsed() }
}

fn people(hosts: &Hosts, node: usize, stop: &Stop) -> Vec<String> {
    let mut ordered = Vec::new();
    while stop.sleep(ORDERS) {
        ordered.push(block(hosts, node, ordered.len() + 1));
    }
    ordered
}

fn block(hosts: &Hosts, node: usize, number: usize) -> String {
    let target = format!("2001:db8:{}::{number:x}", node + 1);
    hosts.works(node, &["block", &target, "--for", "1h", "--local"]);
    format!("{target}/128")
}

fn attackers(hosts: &Hosts, attacker: &Namespace, stop: &Stop) -> [Vec<Ipv4Addr>; 2] {
    let mut dropped = [Vec::new(), Vec::new()];
    for number in 0.. {
        let (node, host) = (number % 2, number / 2 % 250 + 1);
        if !stop.sleep(ATTACKS) {
            break;
        }
        let [a, b, c] = FAR[node];
        let from = Ipv4Addr::new(a, b, c, host as u8);
        attack(hosts, attacker, (node, from));
        dropped[node].push(from);
    }
    dropped
}

/// A host of attackers, whom the nodes can answer.
pub(super) fn attacker(hosts: &Hosts) -> Namespace {
    let routes: String =
        FAR.iter().map(|[a, b, c]| format!("route add {a}.{b}.{c}.0/24 dev eth0\n")).collect();
    hosts.nodes.iter().for_each(|node| node.ip(&routes).unwrap());
    hosts.guest(ATTACKER)
}

/// A scan from an address of its own, which the node's kernel has to drop.
pub(super) fn attack(hosts: &Hosts, attacker: &Namespace, (node, from): (usize, Ipv4Addr)) {
    let pose = format!("addr replace {from}/32 dev eth0\nroute replace 10.78.0.0/24 dev eth0 src {from}\n");
    attacker.ip(&pose).unwrap();
    let victim = address(node);
    let silent = |port: &u16| {
        let asked = TcpStream::connect_timeout(&SocketAddr::from((victim, *port)), PATIENCE);
        asked.is_err_and(|error| error.kind() == ErrorKind::TimedOut)
    };
    // Whoever is dropped need not ask on; a busy machine may be silent, too: then it is asked again.
    let dropped = || {
        attacker.inside(|| PORTS.filter(silent).take(10).count()).unwrap();
        kernel::drops(&hosts.nodes[node], from.into()).unwrap()
    };
    until(&format!("node {node} drops {from}"), SOON, dropped).unwrap();
}

/// The history has all that was done, each once and in order, and nobody missed anything; how many events that are.
#[track_caller]
pub(super) fn all_came_once(
    hosts: &Hosts,
    coordinator: &Coordinator,
    session: &Session,
    done: &Done,
) -> usize {
    let counts = [0, 1].map(|node| {
        let question = format!("node=web-{}", node + 1);
        let last = done.ordered[node].last().unwrap();
        let come = || {
            let newest = coordinator.get(session, &format!("/api/v1/events?{question}&kind=block&limit=20"));
            newest["events"].as_array().unwrap().iter().any(|event| event["target"] == last.as_str())
        };
        soon("the last has come", come, || coordinator.troubles(session));
        let events = coordinator.history(session, &question);
        assert_each_once(&events);
        assert_ordered(&events, &done.ordered[node]);
        assert_seen(hosts, node, &events, &done.attackers[node]);
        events.len()
    });
    let nodes = coordinator.get(session, "/api/v1/nodes");
    let lost = |node: &Value| node["events_lost"] == 0;
    assert!(nodes["nodes"].as_array().unwrap().iter().all(lost), "{nodes}");
    counts.iter().sum()
}

#[track_caller]
fn assert_each_once(events: &[Value]) {
    let mut seen = BTreeSet::new();
    // Two of the same kind, of one instant and about the same, are the same.
    let again: Vec<&Value> = events.iter().filter(|event| !seen.insert(event.to_string())).collect();
    assert!(again.is_empty(), "{again:?}");
}

/// What people did, in the order in which they did it.
#[track_caller]
fn assert_ordered(events: &[Value], ordered: &[String]) {
    let manual = events.iter().filter(|event| event["kind"] == "block" && event["class"] == "manual");
    let came: Vec<&str> = manual.map(|event| event["target"].as_str().unwrap()).collect();
    assert_eq!(came, ordered);
}

/// Each alert that the node itself remembers, in its order, and a block of each attacker.
#[track_caller]
fn assert_seen(hosts: &Hosts, node: usize, events: &[Value], attackers: &[Ipv4Addr]) {
    let came = || events.iter().filter(|event| event["kind"] == "alert");
    let remembered = hosts.array(node, &["alerts"]);
    let missing: Vec<&Value> =
        remembered.iter().filter(|alert| came().all(|event| event != *alert)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // One that goes on comes again, with what was seen since; the node remembers the last.
    let mut ids = BTreeSet::new();
    let first: Vec<&Value> = came().filter(|event| ids.insert(event["id"].as_str())).collect();
    assert_eq!(first.len(), remembered.len());
    assert!(first.is_sorted_by_key(|event| event["time"].as_str()), "{first:?}");
    let blocked = |from: &Ipv4Addr| {
        let target = format!("{from}/32");
        events.iter().any(|event| event["kind"] == "block" && event["target"] == target.as_str())
    };
    let missing: Vec<&Ipv4Addr> = attackers.iter().filter(|from| !blocked(from)).collect();
    assert!(!attackers.is_empty() && missing.is_empty(), "{missing:?}");
}
