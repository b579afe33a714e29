//! What a block must do, and what it must never do, with attackers and people side by side.
//!
//! `cargo test -p smartfw-tests --test scenarios -- --ignored`; needs root and the built programs. The table of
//! attack variants is the program `live`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    net::IpAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use smartfw_tests::{
    attack,
    daemon::Guard,
    kernel,
    net::{Host, SERVER_V4, Side},
    persona::USER,
    process::{Stop, until},
    proxy,
    site::Site,
    ward::{Knocker, Ward, silence},
};

/// How long detection and drop may take for a brute force or a slow attack.
const DETECTION: Duration = Duration::from_secs(40);

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_slowloris_loses_its_sockets_within_a_second_of_its_block() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    let source = IpAddr::from(attacker.v4);
    let open = || kernel::connections(ward.net.server(), 80, source).unwrap();
    attacking("slowloris", &attacker, ward.dir(), || {
        until("the slowloris holds connections", DETECTION, || open() > 20).unwrap();
        until("the kernel drops it", DETECTION, || drops(&ward, source)).unwrap();
        let took = until("its sockets are gone", Duration::from_secs(1), || open() == 0).unwrap();
        println!("sockets gone after {took:?}");
    });
    assert_eq!(block_of(&guard, source).unwrap()["strength"], "hard");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_person_blocks_a_slowloris_and_its_sockets_are_gone() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    let open = || kernel::connections(ward.net.server(), 80, attacker.v4.into()).unwrap();
    attacking("slowloris-few", &attacker, ward.dir(), || {
        until("it holds connections", Duration::from_secs(5), || open() >= 15).unwrap();
        guard.order(&["block", &attacker.v4.to_string()]).unwrap();
        until("its sockets are gone", Duration::from_secs(1), || open() == 0).unwrap();
    });
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn hydra_is_blocked_and_the_admin_of_the_same_subnet_is_not() {
    let ward = Ward::new().unwrap();
    let site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    // Neighbours: both addresses are of 203.0.113.0/24.
    let admin = ward.net.host(Side::Attackers).unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    let mut session = Session::open(&site, &admin);
    let held = hold(&attacker, 12);
    attacking("hydra-ssh", &attacker, ward.dir(), || {
        until("hydra is dropped", DETECTION, || drops(&ward, attacker.v4.into())).unwrap();
    });
    drop(held);
    assert_eq!(block_of(&guard, attacker.v4.into()).unwrap()["class"], "brute_force");
    assert!(!drops(&ward, admin.v4.into()));
    assert!(session.works(), "the admin's session goes on");
    assert!(Session::open(&site, &admin).works(), "and the admin can log in again");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_admin_stays_protected_under_an_attack_from_the_same_address() {
    let ward = Ward::new().unwrap();
    let site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    let admin = ward.net.host(Side::Attackers).unwrap();
    let mut session = Session::open(&site, &admin);
    let protected = || guard.cli(&["allow", "check", &admin.v4.to_string()]).unwrap().out.contains("SSH");
    until("the session is noticed", Duration::from_secs(5), protected).unwrap();
    attacking("hydra-ssh", &admin, ward.dir(), || {
        until("hydra is noticed", DETECTION, || alert_of(&guard, admin.v4.into()).is_some()).unwrap();
        thread::sleep(Duration::from_secs(2));
    });
    attacking("nmap-syn", &admin, ward.dir(), || thread::sleep(Duration::from_secs(3)));
    assert_eq!(alert_of(&guard, admin.v4.into()).unwrap()["action"], "protected");
    assert!(!drops(&ward, admin.v4.into()));
    assert!(block_of(&guard, admin.v4.into()).is_none());
    assert!(session.works());
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_load_balancer_with_one_attacker_and_ten_people_behind_it_is_not_hard_blocked() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    let balancer = ward.net.host(Side::Clients).unwrap();
    proxy::serve(&balancer).unwrap();
    let served = proxy::crowd(&ward.net, &balancer, &Stop::after(Duration::from_secs(35)));
    let hard = |entry: &kernel::Entry| entry.set.contains("hard") && entry.target == balancer.v4.to_string();
    assert!(!kernel::blocked(ward.net.server()).unwrap().iter().any(hard));
    println!("alert: {:?}", alert_of(&guard, balancer.v4.into()));
    served.unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_source_behind_a_hard_block_raises_no_level() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    let source = IpAddr::from(attacker.v4);
    guard.order(&["block", &attacker.v4.to_string(), "--for", "1h"]).unwrap();
    until("it is dropped", Duration::from_secs(2), || drops(&ward, source)).unwrap();
    let (before, alerts) = (block_of(&guard, source).unwrap(), count_alerts(&guard));
    for name in ["nmap-syn", "hping-syn-1000", "hping-udp"] {
        attacking(name, &attacker, ward.dir(), || thread::sleep(Duration::from_secs(4)));
    }
    let after = block_of(&guard, source).unwrap();
    assert_eq!((&after["level"], &after["expires"]), (&before["level"], &before["expires"]));
    assert_eq!(count_alerts(&guard), alerts, "nothing new is said about it");
    assert!(after["packets"].as_u64().unwrap() > 1000, "but its packets are counted: {after}");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn manual_mode_asks_before_it_blocks() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let mut guard =
        Guard::prepare(ward.net.server(), &ward.dir().join("node"), "[enforcement]\nmode = \"manual\"\n")
            .unwrap();
    guard.launch().unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    attacking("nmap-connect", &attacker, ward.dir(), || thread::sleep(Duration::from_secs(3)));
    assert!(!drops(&ward, attacker.v4.into()));
    let pending = guard.json(&["pending"]).unwrap();
    assert!(pending.to_string().contains(&attacker.v4.to_string()), "{pending}");
    guard.order(&["approve", "--all"]).unwrap();
    until("it is dropped", Duration::from_secs(2), || drops(&ward, attacker.v4.into())).unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_block_and_an_unblock_reach_the_kernel_in_both_families() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    for (address, knocker) in
        [(IpAddr::from(attacker.v4), Knocker::v4(&attacker)), (attacker.v6.into(), Knocker::v6(&attacker))]
    {
        let _knocker = knocker.unwrap();
        let meter = ward.meter(address).unwrap();
        guard.order(&["block", &address.to_string()]).unwrap();
        silence(&meter, Duration::from_secs(2)).unwrap();
        guard.order(&["unblock", &address.to_string()]).unwrap();
        smartfw_tests::ward::passage(&meter, Duration::from_secs(2)).unwrap();
    }
}

/// Does something while an attack goes on, and ends the attack.
fn attacking(name: &str, attacker: &Host, dir: &Path, work: impl FnOnce()) {
    let attack = attack::named(name).unwrap();
    let stop = Stop::after(Duration::from_secs(60));
    thread::scope(|scope| {
        let _ended = Ended(&stop);
        scope.spawn(|| attack.run(attacker, dir, &stop));
        work();
    });
}

/// Ends an attack also when an assertion fails meanwhile.
struct Ended<'a>(&'a Stop);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.now();
    }
}

/// Connections to sshd that say nothing, and stay.
fn hold(host: &Host, count: usize) -> Vec<std::net::TcpStream> {
    let open = || (0..count).flat_map(|_| std::net::TcpStream::connect((SERVER_V4, 22))).collect();
    host.namespace.inside(open).unwrap()
}

fn drops(ward: &Ward, address: IpAddr) -> bool {
    kernel::drops(ward.net.server(), address).unwrap()
}

fn block_of(guard: &Guard<'_>, address: IpAddr) -> Option<Value> {
    let blocks = guard.json(&["blocks"]).unwrap();
    blocks.as_array().unwrap().iter().find(|b| b["target"] == format!("{address}/32")).cloned()
}

fn alert_of(guard: &Guard<'_>, address: IpAddr) -> Option<Value> {
    let alerts = guard.json(&["alerts"]).unwrap();
    alerts.as_array().unwrap().iter().find(|alert| alert["source"] == address.to_string()).cloned()
}

fn count_alerts(guard: &Guard<'_>) -> usize {
    guard.json(&["alerts"]).unwrap().as_array().unwrap().len()
}

/// A person who is logged in.
struct Session {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Session {
    fn open(site: &Site, host: &Host) -> Self {
        let mut command: Command = host.namespace.command("ssh");
        command.args([
            "-F",
            "/dev/null",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]);
        command.args(["-o", "ConnectTimeout=10", "-i"]).arg(&site.persona.key);
        command.args(["-l", USER, &SERVER_V4.to_string(), "while sleep 0.2; do echo tick; done"]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        let output = child.stdout.take().unwrap();
        thread::spawn(move || {
            std::io::BufRead::lines(std::io::BufReader::new(output))
                .map_while(Result::ok)
                .all(|l| tell.send(l).is_ok())
        });
        let mut session = Self { child, lines };
        assert!(session.works(), "the person cannot log in");
        session
    }

    /// Whether the session still brings output: something newer than this call.
    fn works(&mut self) -> bool {
        while self.lines.try_recv().is_ok() {}
        let begin = Instant::now();
        self.lines.recv_timeout(Duration::from_secs(10)).is_ok() && begin.elapsed() < Duration::from_secs(10)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
