//! The laboratory itself: what it measures is true, and what it calls harm is harm. Needs root, but no SmartFW.
//!
//! `cargo test -p smartfw-tests --test laboratory -- --ignored`.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use smartfw_tests::{
    benign::{self, Guest},
    kernel,
    load::Load,
    namespace::Namespace,
    net::{SERVER_V4, SERVER_V6, Side},
    process::{Stop, until},
    proxy,
    ward::{Knocker, Ward, passage, silence},
};

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_meter_tells_what_is_dropped_from_what_passes() {
    let ward = Ward::new().unwrap();
    let attacker = ward.net.host(Side::Attackers).unwrap();
    let _knocker = Knocker::v4(&attacker).unwrap();
    let meter = ward.meter(attacker.v4.into()).unwrap();
    passage(&meter, Duration::from_secs(2)).unwrap();
    let rule = ["-t", "raw", "-I", "PREROUTING", "-s", &attacker.v4.to_string(), "-j", "DROP"];
    assert!(ward.net.server().command("iptables").args(rule).status().unwrap().success());
    silence(&meter, Duration::from_secs(2)).unwrap();
    assert!(meter.read().unwrap().dropped() > 100);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn entries_of_our_sets_are_found_and_others_are_not() {
    let ward = Ward::new().unwrap();
    let sets = "create smartfw_hard4 hash:net\nadd smartfw_hard4 203.0.113.7\ncreate other hash:ip\nadd other 203.0.113.8\n";
    kernel::feed(ward.net.server(), "ipset", &["restore"], sets).unwrap();
    assert!(kernel::drops(ward.net.server(), IpAddr::from([203, 0, 113, 7])).unwrap());
    assert!(!kernel::drops(ward.net.server(), IpAddr::from([203, 0, 113, 8])).unwrap());
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn open_connections_are_counted_by_their_remote_end() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let host = ward.net.host(Side::Clients).unwrap();
    let count = |port| kernel::connections(ward.net.server(), port, host.v4.into()).unwrap();
    let open = |port| host.namespace.inside(|| TcpStream::connect((SERVER_V4, port))).unwrap().unwrap();
    let held = [open(80), open(80), open(21)];
    thread::sleep(Duration::from_millis(200));
    assert_eq!((count(80), count(21)), (2, 1));
    drop(held);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_client_that_is_cut_off_says_so() {
    let ward = Ward::new().unwrap();
    let site = ward.site().unwrap();
    let host = ward.net.host(Side::Clients).unwrap();
    let run = |name: &str, seconds: u64| {
        let benign = benign::ALL.iter().find(|benign| benign.name == name).unwrap();
        let stop = Stop::after(Duration::from_secs(seconds));
        benign.run(&Guest { host: &host, site: &site, dir: ward.dir(), v6: false, stop })
    };
    let names = ["closed-port", "ftp-files", "monitor", "reload-storm", "crawler", "events", "mail", "video"];
    for name in names {
        run(name, 4).unwrap();
    }
    let rule = [
        "-I",
        "INPUT",
        "-p",
        "tcp",
        "-s",
        &host.v4.to_string(),
        "-j",
        "REJECT",
        "--reject-with",
        "tcp-reset",
    ];
    assert!(ward.net.server().command("iptables").args(rule).status().unwrap().success());
    for name in names {
        assert!(run(name, 60).is_err(), "{name} did not notice");
    }
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn whoever_comes_or_goes_cuts_nobody_off() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let hosts = [ward.net.host(Side::Clients).unwrap(), ward.net.host(Side::Clients).unwrap()];
    let served = |server: IpAddr| hosts.iter().all(|host| serves(&host.namespace, server));
    let both = || served(SERVER_V4.into()) && served(SERVER_V6.into());
    until("both are served", Duration::from_secs(20), both).unwrap();
    // Lower than every other port's address, as a newcomer's may be by chance.
    let port =
        "link add low address 00:00:5e:00:53:01 type veth peer name far\nlink set low master clients\n";
    for lines in [port, "link del low\n"] {
        ward.net.router().ip(lines).unwrap();
        assert!(served(SERVER_V6.into()), "IPv6 after `{lines}`");
        assert!(served(SERVER_V4.into()), "IPv4 after `{lines}`");
    }
}

/// Whether the page's server answers: within seconds on a busy machine, where a lost neighbour is missed for a minute.
fn serves(from: &Namespace, server: IpAddr) -> bool {
    let asked =
        from.inside(|| TcpStream::connect_timeout(&SocketAddr::new(server, 80), Duration::from_secs(8)));
    matches!(asked, Ok(Ok(_)))
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn everybody_who_comes_and_goes_is_served_where_nobody_guards() {
    let ward = Ward::new().unwrap();
    let site = ward.site().unwrap();
    let load = Load::new(&ward.net).unwrap();
    let stop = Stop::after(Duration::from_secs(20));
    let served = load.run(&ward.net, &site, ward.dir(), 7, &stop).unwrap();
    assert_eq!(served.harm, Vec::<String>::new());
    assert_eq!(served.clients, benign::ALL.len());
    assert!(served.visits > 10 && served.connections > u64::from(served.visits), "{served:?}");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn people_behind_a_load_balancer_are_served() {
    let ward = Ward::new().unwrap();
    let _site = ward.site().unwrap();
    let balancer = ward.net.host(Side::Clients).unwrap();
    proxy::serve(&balancer).unwrap();
    let held = || kernel::connections(ward.net.server(), 80, balancer.v4.into()).unwrap();
    let stop = Stop::after(Duration::from_secs(60));
    thread::scope(|scope| {
        let crowd = scope.spawn(|| proxy::crowd(&ward.net, &balancer, &stop).unwrap());
        let seen =
            until("the server sees all of them as the balancer", Duration::from_secs(50), || held() > 100);
        stop.sleep(Duration::from_secs(3));
        stop.now();
        crowd.join().unwrap();
        seen.unwrap();
    });
}
