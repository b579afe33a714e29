//! What a coordinator is needed for, namely nothing, and what it loses, namely nothing: it is killed, its Redis is killed,
//! its disk is full, and the database of its mirror misbehaves. Meanwhile nodes go on blocking, and whoever asks is told
//! what is wrong; afterwards every event is there once and in order.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test coordinator_trouble -- --ignored`.
//! With `SMARTFW_LONG=1` the coordinator is away for five minutes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "coordinator_trouble/common.rs"]
mod common;
#[path = "coordinator_trouble/mirrored.rs"]
mod mirrored;

use std::{env, fs, process::Command, thread, time::Duration};

use common::{
    SHOWN, all_came_once, attack, attacker, fleet, soon, status, under_load, until_all_is_well,
    until_it_says, until_nodes_say,
};
use mirrored::mirrored;
use smartfw_mirror_fake::Fault;
use smartfw_tests::{
    coordinator::{COORDINATOR, Coordinator},
    database::Database,
    disk::SmallDisk,
    namespace::Namespace,
    process::{Running, until},
};

/// How long all is well before and after the trouble.
const WELL: Duration = Duration::from_secs(1);

/// Whether what takes minutes is wanted, too.
fn long() -> bool {
    env::var_os("SMARTFW_LONG").is_some_and(|value| value == "1")
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_coordinator_that_is_killed_under_load_is_not_missed_and_misses_nothing() {
    let hosts = fleet();
    let mut coordinator = Coordinator::join(&hosts);
    until_nodes_say(&hosts, "connected");
    let away = Duration::from_secs(if long() { 300 } else { 2 });
    let done = under_load(&hosts, || {
        thread::sleep(WELL);
        coordinator.kill();
        until_nodes_say(&hosts, "away");
        thread::sleep(away);
        // A coordinator that is restarted is back before anybody need be told.
        if long() {
            let said = hosts.works(0, &["status"]);
            assert!(
                said.contains("no coordinator has been reached") && said.contains("events wait"),
                "{said}"
            );
        }
        coordinator.start();
        until_nodes_say(&hosts, "connected");
        thread::sleep(WELL);
    });
    let session = coordinator.log_in();
    let events = all_came_once(&hosts, &coordinator, &session, &done);
    println!("{events} events in {:?}, the coordinator has {} KiB", done.lasted, coordinator.memory());
}

/// A Redis that keeps everything that it acknowledges.
fn redis(host: &Namespace, coordinator: &Coordinator) -> Running {
    let dir = coordinator.dir.join("redis");
    fs::create_dir_all(&dir).unwrap();
    let mut command = host.command("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.arg("--dir").arg(&dir);
    Running::start(command, &dir.join("said")).unwrap()
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_redis_that_is_killed_under_load_loses_and_doubles_nothing() {
    let hosts = fleet();
    let mut coordinator = Coordinator::enter(&hosts);
    let mut server = redis(&coordinator.host, &coordinator);
    coordinator.configure("history = \"redis://127.0.0.1\"\n");
    coordinator.start();
    until_nodes_say(&hosts, "connected");
    let session = coordinator.log_in();
    until_all_is_well(&coordinator, &session);
    let done = under_load(&hosts, || {
        thread::sleep(WELL);
        server.end(libc::SIGKILL);
        until_it_says(
            &coordinator,
            &session,
            "events cannot be kept, and wait at the nodes: redis: Connection",
        );
        assert_eq!(status(&hosts, 0)["coordinator"], "connected", "it is there, and keeps nothing");
        if long() {
            let told = || {
                thread::sleep(WELL);
                hosts.works(0, &["status"]).contains("is there and keeps nothing of what it is told")
            };
            until("a node says so, too", Duration::from_secs(120), told).unwrap();
        }
        server = redis(&coordinator.host, &coordinator);
        until_all_is_well(&coordinator, &session);
        thread::sleep(WELL);
    });
    let events = all_came_once(&hosts, &coordinator, &session, &done);
    println!("{events} events in {:?}", done.lasted);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_coordinator_whose_disk_is_full_says_so_and_has_everything_once_there_is_room() {
    let hosts = fleet();
    let disk = SmallDisk::mount(&hosts.folder(COORDINATOR).join("state"));
    let mut coordinator = Coordinator::enter(&hosts);
    let database = mirror(&coordinator);
    coordinator.start_with(|command| trust(command, &database));
    until_nodes_say(&hosts, "connected");
    let session = coordinator.log_in();
    let done = under_load(&hosts, || {
        thread::sleep(WELL);
        disk.fill();
        until_it_says(&coordinator, &session, "events cannot be kept, and wait at the nodes");
        // The mirror's outbox may have room left in what it had reserved.
        thread::sleep(WELL);
        disk.empty();
        until_all_is_well(&coordinator, &session);
    });
    let events = all_came_once(&hosts, &coordinator, &session, &done);
    ["web-1", "web-2"].iter().for_each(|node| mirrored(&coordinator, &session, &database, node));
    println!("{events} events in {:?}", done.lasted);
}

/// The host whose disk is small.
const SMALL: usize = 2;

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_node_whose_disk_is_full_drops_attackers_and_tells_of_them_once_there_is_room() {
    let mut hosts = fleet();
    let disk = SmallDisk::mount(&hosts.folder(SMALL).join("state"));
    hosts.nodes.push(hosts.guest(SMALL));
    hosts.launch(SMALL);
    hosts.join(SMALL);
    let coordinator = Coordinator::join(&hosts);
    let session = coordinator.log_in();
    let connected = || status(&hosts, SMALL)["coordinator"] == "connected";
    soon("the node reports", connected, || hosts.works(SMALL, &["status"]));
    let (attacker, all) = (attacker(&hosts), 1..=5);
    disk.fill();
    for n in all.clone() {
        attack(&hosts, &attacker, (SMALL, [203, 0, 113, n].into()));
    }
    let said = hosts.works(SMALL, &["status"]);
    for words in ["cannot be stored", "cannot be written to the disk", "make room on the disk"] {
        assert!(said.contains(words), "{said}");
    }
    disk.empty();
    let of = |kind: &str, key: &str| -> Vec<String> {
        let events = coordinator.history(&session, &format!("node=web-{}&kind={kind}", SMALL + 1));
        events.iter().filter_map(|event| event[key].as_str().map(str::to_owned)).collect()
    };
    let (targets, sources) = (|| of("block", "target"), || of("alert", "source"));
    let last = || targets().iter().any(|target| target == "203.0.113.5/32");
    soon("the last has come", last, || hosts.works(SMALL, &["status"]));
    assert_eq!(targets(), all.clone().map(|n| format!("203.0.113.{n}/32")).collect::<Vec<_>>());
    assert_eq!(sources(), all.map(|n| format!("203.0.113.{n}")).collect::<Vec<_>>());
}

/// A database to which a coordinator mirrors from its next start on.
fn mirror(coordinator: &Coordinator) -> Database {
    let database = Database::start(&coordinator.host, Coordinator::at());
    let (url, secret) = (database.url(), database.secret().display().to_string());
    coordinator.configure(&format!("mirror.url = \"{url}\"\nmirror.secret = \"{secret}\"\n"));
    database
}

/// Lets a program believe who vouches for the database.
fn trust(command: &mut Command, database: &Database) {
    command.env("SSL_CERT_FILE", database.authority());
}

/// What the database does, and what is said of it.
fn misbehaviours() -> [(Fault, &'static str); 6] {
    let later = vec![("retry-after", "1".to_owned())];
    [
        (Fault::status(503), "it answers 503"),
        (Fault::status(401), "does not take the credentials"),
        (Fault::Status(429, later), "it answers 429"),
        (Fault::Cut, "cannot be reached"),
        (Fault::Lost, "cannot be reached"),
        (Fault::Redirect("https://elsewhere.example".to_owned()), "redirects to elsewhere.example"),
    ]
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn whatever_the_mirrors_database_does_it_has_everything_afterwards_and_the_history_at_once() {
    let hosts = fleet();
    let mut coordinator = Coordinator::enter(&hosts);
    let database = mirror(&coordinator);
    coordinator.start_with(|command| trust(command, &database));
    until_nodes_say(&hosts, "connected");
    let mut session = coordinator.log_in();
    until_all_is_well(&coordinator, &session);
    let done = under_load(&hosts, || {
        for (misbehaviour, words) in misbehaviours() {
            database.lock().outage = Some(misbehaviour);
            until_it_says(&coordinator, &session, words);
            database.lock().outage = None;
            until_all_is_well(&coordinator, &session);
        }
        database.lock().outage = Some(Fault::Hang);
        let before = database.lock().seen.len();
        until("a request hangs", SHOWN, || database.lock().seen.len() > before).unwrap();
        if long() {
            until_it_says(&coordinator, &session, "does not answer in time");
        }
        // What waits for the database outlives the coordinator.
        coordinator.kill();
        database.lock().outage = None;
        coordinator.start_with(|command| trust(command, &database));
        until_nodes_say(&hosts, "connected");
    });
    session = coordinator.log_in();
    let events = all_came_once(&hosts, &coordinator, &session, &done);
    ["web-1", "web-2"].iter().for_each(|node| mirrored(&coordinator, &session, &database, node));
    println!("{events} events in {:?}", done.lasted);
}
