//! Two clusters that know nothing of each other but a database, and what comes of it: the real programs, and the kernel's
//! own sets.
//!
//! All need root and the built programs: `cargo test -p smartfw-tests --test two_clusters -- --ignored`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{net::IpAddr, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;
use smartfw_tests::{
    daemon::Guard,
    database::Database,
    fleet::{EVIL, Wire, address},
    kernel,
    process::until,
};

/// How long a word may take by way of the database, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Why a run is refused in which what is signed was changed.
const FORGED: &str = "its signature is not its origin's";
/// The host of the database.
const DATABASE: usize = 2;
const EAST: usize = 0;
const WEST: usize = 1;

/// A cluster of one node, with an operator's key.
struct Member<'a> {
    wire: &'a Wire,
    guard: Guard<'a>,
    node: usize,
    name: &'static str,
}

impl<'a> Member<'a> {
    /// Founds the cluster; its node mirrors what it says, and follows the other.
    fn found(wire: &'a Wire, database: &Database, node: usize, name: &'static str, follows: &str) -> Self {
        let config = format!(
            "[mirror]\nurl = {:?}\nsecret = {:?}\nfollow = [{follows:?}]\n",
            database.url(),
            database.secret()
        );
        let mut guard = Guard::prepare(&wire.nodes[node], &wire.folder(node), &config).unwrap();
        guard.set("SSL_CERT_FILE", &database.authority().display().to_string());
        guard.launch().unwrap();
        let member = Self { wire, guard, node, name };
        let at = address(node).to_string();
        member.works(&["cluster", "init", "--name", name, "--advertise", &at, "--operator", "alice"]);
        member
    }

    fn client(&self) -> Command {
        let mut client = self.guard.client().unwrap();
        let folder = self.wire.folder(self.node);
        client.env("SMARTFW_OPERATOR_DIR", folder.join("operator"));
        client.env("SMARTFW_PASSPHRASE", "four random words here").current_dir(folder);
        client
    }

    #[track_caller]
    fn works(&self, arguments: &[&str]) -> String {
        let answer = self.guard.answer(self.client(), arguments, "").unwrap();
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
        answer.out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.works(&[&["-o", "json"], arguments].concat())).unwrap()
    }

    fn root(&self) -> PathBuf {
        self.guard.state().join("identity/root.pem")
    }

    fn believes(&self, other: &Self) {
        self.works(&["trust", "add", "--root", &other.root().display().to_string()]);
    }

    fn drops(&self, address: &str) -> bool {
        kernel::drops(&self.wire.nodes[self.node], address.parse::<IpAddr>().unwrap()).unwrap()
    }

    #[track_caller]
    fn comes_to_drop(&self, address: &str) {
        until(&format!("{} drops {address}", self.name), SOON, || self.drops(address))
            .unwrap_or_else(|error| panic!("{error}: {}", self.json(&["mirror"])));
    }

    /// What it heard and does not follow.
    fn not_followed(&self) -> Vec<Value> {
        self.json(&["mirror"])["not_followed"].as_array().unwrap().clone()
    }

    #[track_caller]
    fn comes_to_refuse(&self, key: &str, why: &str) {
        let told = |row: &Value| row["key"] == key && row["why"].as_str().unwrap().contains(why);
        until(&format!("{key} is refused: {why}"), SOON, || self.not_followed().iter().any(told))
            .unwrap_or_else(|error| panic!("{error}: {}", self.json(&["mirror"])));
    }
}

/// Waits until a row of that list of the cluster is so.
#[track_caller]
fn comes_to_show(database: &Database, cluster: &str, list: &str, so: impl Fn(&Value) -> bool) {
    let place = format!("clusters/{cluster}/{list}");
    let stands = || database.at(&place).as_object().is_some_and(|rows| rows.values().any(&so));
    until(&format!("{place} shows it"), SOON, stands)
        .unwrap_or_else(|error| panic!("{error}: {}", database.at(&format!("clusters/{cluster}"))));
}

/// The runs of a cluster as they stand in the database.
fn runs(database: &Database, cluster: &str) -> Vec<(String, String)> {
    let stands = database.at(&format!("clusters/{cluster}/runs"));
    let rows = stands.as_object().cloned().unwrap_or_default();
    rows.into_iter().map(|(key, row)| (key, row.as_str().unwrap().to_owned())).collect()
}

/// Another letter in its place, a third into the text: within what is signed.
fn forged(run: &str) -> String {
    let at = run.len() / 3;
    let other = if run.as_bytes()[at] == b'A' { "B" } else { "A" };
    [&run[..at], other, &run[at + 1..]].concat()
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn two_clusters_that_share_a_database_block_each_others_attackers() {
    let wire = Wire::new(3);
    let database = Database::start(&wire.nodes[DATABASE], address(DATABASE));
    let east = Member::found(&wire, &database, EAST, "east", "west");
    let west = Member::found(&wire, &database, WEST, "west", "east");
    east.believes(&west);
    west.believes(&east);

    east.works(&["block", "198.51.100.7", "--for", "1h", "--reason", "seen in the logs"]);
    west.comes_to_drop("198.51.100.7");
    let blocks = west.json(&["blocks"]);
    let block = blocks.as_array().unwrap().iter().find(|block| block["target"] == "198.51.100.7/32").unwrap();
    assert_eq!((&block["origin"], &block["strength"]), (&Value::from("east/alice"), &Value::from("hard")));

    let target = address(WEST).to_string();
    let scan = ["-n", "-Pn", "-sT", "-p", "1-300", &target];
    wire.attacker.command("nmap").args(scan).output().unwrap();
    east.comes_to_drop(&EVIL.to_string());

    // Neither has a coordinator: each shows there what happens on it.
    comes_to_show(&database, "west", "blocks", |row| row["target"] == format!("{EVIL}/32"));
    comes_to_show(&database, "west", "events", |row| {
        row["class"] == "port_scan" && row["source"] == EVIL.to_string()
    });

    // Neither may do anything else to the other, and who is allowed is no business of others.
    let said = runs(&database, "east").len();
    east.works(&["allow", "add", "198.51.100.7"]);
    assert!(!east.drops("198.51.100.7") && west.drops("198.51.100.7"));
    east.works(&["block", "198.51.100.8", "--for", "1h"]);
    west.comes_to_drop("198.51.100.8");
    comes_to_show(&database, "east", "events", |row| {
        row["order"] == "block" && row["what"] == "198.51.100.8/32"
    });
    assert_eq!(runs(&database, "east").len(), said + 1, "what was said before it would have come before it");
    west.works(&["unblock", "198.51.100.7"]);
    until("west lets it go", SOON, || !west.drops("198.51.100.7")).unwrap();
    let trusted = west.json(&["trust", "list"]);
    assert!(
        trusted.as_array().unwrap().iter().any(|row| row["name"] == "east" && row["fingerprint"].is_string())
    );
    assert_eq!(west.json(&["mirror"])["state"], "ok");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn what_is_not_signed_under_a_believed_root_is_shown_and_not_enforced() {
    let wire = Wire::new(3);
    let database = Database::start(&wire.nodes[DATABASE], address(DATABASE));
    let east = Member::found(&wire, &database, EAST, "east", "west");
    let mut west = Member::found(&wire, &database, WEST, "west", "east");

    east.works(&["block", "198.51.100.7", "--for", "1h"]);
    until("it stands in the database", SOON, || !runs(&database, "east").is_empty()).unwrap();
    let (key, run) = runs(&database, "east").remove(0);
    west.comes_to_refuse(&key, "root of that cluster is not believed");
    let health = west.json(&["status"])["health"].to_string();
    assert!(health.contains("root of that cluster is not believed"), "{health}");
    assert!(!west.drops("198.51.100.7"));

    west.believes(&east);
    west.comes_to_drop("198.51.100.7");

    let place = |key: &str| format!("clusters/east/runs/{key}");
    let beside = |n: u32| format!("{}-000000000000000{n}-{}", &key[..32], &key[50..]);
    let (unsigned, wrong) = (beside(7), beside(8));
    database.put(&place(&unsigned), "bm8gcnVu".into());
    west.comes_to_refuse(&unsigned, "no signed run");
    database.put(&place(&wrong), forged(&run).into());
    west.comes_to_refuse(&wrong, FORGED);
    database.put(&place(&key), forged(&run).into());
    west.comes_to_refuse(&key, "somebody changed it");
    let held = west.json(&["blocks", "--all"]);
    assert_eq!(held.as_array().unwrap().len(), 1, "{held}");
    assert!(west.drops("198.51.100.7"), "what was said stands");

    // What stands in the database now says nothing of it any more.
    west.guard.kill();
    west.guard.launch().unwrap();
    west.comes_to_refuse(&key, FORGED);
    let held = west.json(&["blocks", "--all"]);
    let origins: Vec<_> = held.as_array().unwrap().iter().map(|block| block["origin"].clone()).collect();
    assert_eq!(origins, ["east/alice"], "it stays what it was after a restart");
    assert!(west.drops("198.51.100.7"));

    west.works(&["trust", "remove", "--root", "east"]);
    until("what it said ends with the belief", SOON, || !west.drops("198.51.100.7")).unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_node_in_no_cluster_shows_what_happens_on_it_under_the_name_that_it_was_given() {
    let wire = Wire::new(3);
    let database = Database::start(&wire.nodes[DATABASE], address(DATABASE));
    let (url, secret) = (database.url(), database.secret());
    let config = format!("[mirror]\nurl = {url:?}\nsecret = {secret:?}\ncluster = \"alone\"\n");
    let mut guard = Guard::prepare(&wire.nodes[EAST], &wire.folder(EAST), &config).unwrap();
    guard.set("SSL_CERT_FILE", &database.authority().display().to_string());
    guard.launch().unwrap();
    let works = |arguments: &[&str]| {
        let answer = guard.answer(guard.client().unwrap(), arguments, "").unwrap();
        assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.err);
    };
    for kind in ["block", "unblock"] {
        works(&[kind, "198.51.100.7"]);
        comes_to_show(&database, "alone", "blocks", |row| {
            row["kind"] == kind && row["target"] == "198.51.100.7/32"
        });
    }
    assert_eq!(runs(&database, "alone"), [], "a node in no cluster signs nothing");
}
