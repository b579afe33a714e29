//! The cluster's commands, against a service that answers as the test wants; the keys and signatures are real.

#[path = "cluster/care.rs"]
mod care;
#[path = "cluster/service.rs"]
mod service;
#[path = "cluster/switches.rs"]
mod switches;

use std::{path::Path, time::Duration};

use serde_json::Value;
use smartfw_core::{
    Class, IpNet, Time,
    fleet::{NodeId, OrderKind},
    members::MemberState,
    order::Refusal,
};
use smartfw_proto::{
    convert::decode_order,
    view::{ClusterNode, FleetBlockRow},
};
use tonic::Status;

use crate::{
    daemon::{Daemon, Script},
    program::command,
};

pub(crate) use service::Fleet;

/// What founds a cluster whose root goes into a file.
pub(crate) fn init(root: &Path) -> [&str; 8] {
    let root = root.to_str().unwrap();
    ["cluster", "init", "--name", "prod", "--advertise", "10.0.0.1", "--root-file", root]
}

fn node(name: &str, n: u8) -> ClusterNode {
    ClusterNode {
        name: name.into(),
        id: Some(NodeId([n; 32])),
        address: Some(format!("10.0.0.{n}:7470")),
        state: MemberState::Alive,
        version: "0.1.0".into(),
        blocks: 1,
        withheld: 0,
        trust: 1.0,
        believed: true,
        round_trip: None,
        certificate_expires: None,
        site: "default".into(),
        me: n == 1,
        role: Some("node".into()),
        signer: Some(NodeId([9; 32])),
    }
}

fn fleet_block(target: &str, confirmed: &[&str]) -> FleetBlockRow {
    FleetBlockRow {
        target: target.parse().unwrap(),
        class: Class::PortScan,
        origin: "web-2".into(),
        confirmed_by: confirmed.iter().map(ToString::to_string).collect(),
        enforced_on: vec!["web-1".into()],
        since: Time::from_secs(1_769_860_800),
        expires: None,
        propagation: vec![],
        withheld: None,
        origin_id: Some(NodeId([2; 32])),
    }
}

/// A node in cluster prod, whose operator sits here.
fn with_operator(script: Script) -> Daemon {
    let nodes = vec![node("web-1", 1), node("web-2", 2)];
    let nodes = if script.nodes.is_empty() { nodes } else { script.nodes.clone() };
    let daemon = Daemon::start(Script { cluster: Some("prod".into()), founds: true, nodes, ..script });
    let root = daemon.socket().with_file_name("root.pem");
    let root = root.to_str().unwrap();
    let arguments = [
        "cluster",
        "init",
        "--name",
        "prod",
        "--advertise",
        "10.0.0.1:7470",
        "--operator",
        "alice",
        "--root-file",
        root,
    ];
    let made = command(&daemon.socket(), &[&arguments[..], &["--no-passphrase"]].concat())
        .env("SMARTFW_PASSPHRASE", "four random words")
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    daemon
}

fn orders(daemon: &Daemon) -> Vec<OrderKind> {
    let given = daemon.given();
    let kind = |bytes: &[u8]| decode_order(bytes).unwrap().kind;
    given.iter().flat_map(|given| &given.orders).map(|signed| kind(&signed.bytes)).collect()
}

#[test]
fn a_founded_cluster_leaves_a_root_and_a_key_that_others_cannot_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let daemon = with_operator(Script::default());
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(daemon.socket().with_file_name("root.pem")), 0o600);
    let kept = daemon.operators().join("prod");
    assert_eq!((mode(kept.clone()), mode(kept.join("key.pem"))), (0o700, 0o600));
    let root = std::fs::read_to_string(daemon.socket().with_file_name("root.pem")).unwrap();
    assert!(root.contains("SEALED") && !root.contains("PRIVATE KEY-"), "{root}");
    let again = daemon.run(&["cluster", "init", "--name", "prod", "--advertise", "10.0.0.1:7470"]);
    again.failed_with(1);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
}

#[test]
fn without_a_passphrase_and_a_person_nothing_is_made() {
    let daemon = Daemon::start(Script::default());
    let root = daemon.socket().with_file_name("root.pem");
    let ran = daemon.run(&init(&root));
    ran.failed_with(1);
    assert!(ran.stderr.contains("SMARTFW_PASSPHRASE"), "{}", ran.stderr);
    assert!(!root.exists() && !daemon.operators().exists());
}

#[test]
fn where_the_daemon_refuses_no_empty_root_stays_behind() {
    let refusal = Some(Status::failed_precondition("this node is in cluster prod already"));
    let daemon = Daemon::start(Script { refusal, ..Script::default() });
    let root = daemon.socket().with_file_name("root.pem");
    let ran = command(&daemon.socket(), &init(&root))
        .env("SMARTFW_PASSPHRASE", "four random words")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8(ran.stderr).unwrap().contains("in cluster prod already") && !root.exists());
}

#[test]
fn a_raw_token_is_the_token_and_nothing_else() {
    let daemon = Daemon::start(Script::default());
    assert_eq!(daemon.run(&["cluster", "token", "-o", "raw"]).worked(), "smartfw-token-x\n");
    let json: Value =
        serde_json::from_str(&daemon.run(&["cluster", "token", "-o", "json", "--for", "1h"]).worked())
            .unwrap();
    assert_eq!(
        (json["token"].as_str(), json["address"].as_str()),
        (Some("smartfw-token-x"), Some("10.0.0.1:7470"))
    );
    let person = daemon.run(&["cluster", "token"]).worked();
    assert!(
        person.starts_with("smartfw-token-x\n") && person.contains("cluster join 10.0.0.1:7470"),
        "{person}"
    );
}

#[test]
fn what_a_signer_says_reaches_the_person_in_one_line() {
    let refusal = Some(Status::invalid_argument("the signer refuses: the token expired at noon"));
    let daemon = Daemon::start(Script { refusal, ..Script::default() });
    let ran = daemon.run(&["cluster", "join", "10.0.0.1", "--token", "t"]);
    ran.failed_with(1);
    assert_eq!(ran.stderr, "smartfw-cli: the signer refuses: the token expired at noon\n");
}

#[test]
fn joining_says_who_one_is_now() {
    let daemon = Daemon::start(Script::default());
    let json: Value = serde_json::from_str(
        &daemon.run(&["cluster", "join", "10.0.0.1", "--token", "t", "-o", "json"]).worked(),
    )
    .unwrap();
    assert_eq!((json["cluster"].as_str(), json["name"].as_str()), (Some("prod"), Some("web-2")));
    assert_eq!(daemon.run(&["cluster", "leave"]).worked().lines().count(), 1);
}

#[test]
fn members_and_blocks_are_one_array_each() {
    let daemon = Daemon::start(Script {
        nodes: vec![node("web-1", 1), node("web-2", 2)],
        fleet_blocks: vec![fleet_block("203.0.113.7/32", &["web-3"]), fleet_block("203.0.113.8/32", &[])],
        ..Script::default()
    });
    let array = |arguments: &[&str]| {
        let text = daemon.run(&[arguments, &["-o", "json"]].concat()).worked();
        serde_json::from_str::<Vec<Value>>(&text).unwrap()
    };
    assert_eq!(array(&["cluster", "nodes"])[1]["name"], "web-2");
    let blocks = array(&["cluster", "blocks"]);
    assert_eq!(blocks[0]["confirmed_by"], serde_json::json!(["web-3"]));
    assert_eq!((blocks.len(), blocks[1]["propagation_ms"].clone()), (2, serde_json::json!({})));
    assert_eq!(array(&["trust", "list"])[0]["believed"], true);
    let raw = daemon.run(&["cluster", "blocks", "-o", "raw"]).worked();
    assert!(raw.starts_with("203.0.113.7/32\tport_scan\tweb-2\tweb-3\tweb-1\t"), "{raw}");
}

#[test]
fn with_the_key_at_hand_a_block_is_the_whole_cluster_s() {
    let daemon = with_operator(Script::default());
    let ran = daemon.run(&["block", "203.0.113.7", "--for", "1h", "--reason", "because"]).worked();
    assert!(ran.ends_with(" UTC, in all of cluster prod (3 members alive)\n"), "{ran}");
    assert!(daemon.orders().is_empty(), "nothing is said to this node alone");
    let OrderKind::Block { targets, duration, reason, force, .. } = &orders(&daemon)[0] else { panic!() };
    assert_eq!(targets, &["203.0.113.7/32".parse::<IpNet>().unwrap()]);
    assert_eq!((duration.unwrap().as_secs(), reason.as_str(), *force), (3600, "because", false));
    let json: Value =
        serde_json::from_str(&daemon.run(&["block", "203.0.113.8", "-o", "json"]).worked()).unwrap();
    assert_eq!((json["scope"].as_str(), json["origin"].as_str()), (Some("cluster"), Some("alice")));
}

#[test]
fn what_this_node_protects_is_not_signed_away() {
    let refuse = Some("10.0.0.1/32".parse().unwrap());
    let daemon = with_operator(Script { refuse, ..Script::default() });
    let ran = daemon.run(&["block", "10.0.0.1"]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("protected: default gateway") && daemon.given().is_empty(), "{}", ran.stderr);
}

#[test]
fn local_is_this_node_s_even_with_the_key() {
    let daemon = with_operator(Script {
        answer: Some(Ok(smartfw_proto::view::Answer::Blocked {
            block: crate::daemon::block("203.0.113.7/32"),
            reverts: None,
        })),
        ..Script::default()
    });
    assert!(daemon.run(&["block", "203.0.113.7", "--local"]).worked().ends_with("on this node\n"));
    assert!(daemon.given().is_empty());
}

#[test]
fn without_a_key_the_answer_says_that_it_is_this_node_s_and_why() {
    let daemon = Daemon::start(Script {
        cluster: Some("prod".into()),
        answer: Some(Ok(smartfw_proto::view::Answer::Blocked {
            block: crate::daemon::block("203.0.113.7/32"),
            reverts: None,
        })),
        ..Script::default()
    });
    let ran = daemon.run(&["block", "203.0.113.7"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.ends_with("on this node\n"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("on this node only: there is no operator's key of cluster prod"),
        "{}",
        ran.stderr
    );
    let revoke = daemon.run(&["cluster", "canary", "add", "192.0.2.1"]);
    revoke.failed_with(1);
    assert!(revoke.stderr.contains("--role operator"), "{}", revoke.stderr);
}

#[test]
fn an_unblock_of_more_than_is_ended_at_once_says_that_there_is_a_rest() {
    let answer = Some(Err(Refusal::NotFound));
    let daemon = with_operator(Script { answer, ..Script::default() });
    let ran = daemon.run(&["unblock", "203.0.0.0/16"]);
    assert_eq!((ran.code, ran.stdout.as_str(), daemon.given().len()), (Some(1), "", 1));
    assert!(
        ran.stderr.contains("unblocked in part") && ran.stderr.contains("run it again"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_unblock_names_what_it_covers_and_holds_detection_back() {
    let answer = Some(Err(Refusal::NotFound));
    let daemon = with_operator(Script { answer, ..Script::default() });
    let ran = daemon.run(&["unblock", "203.0.113.7", "--reason", "false-positive"]).worked();
    assert_eq!(ran, "1 target unblocked in all of cluster prod: 203.0.113.7/32\n");
    let OrderKind::Unblock { covers, orders: named, hold, false_positive, .. } = &orders(&daemon)[0] else {
        panic!()
    };
    assert_eq!((covers.len(), named.as_slice(), hold.as_secs(), *false_positive), (1, &[7][..], 600, true));
    assert_eq!(
        daemon.given()[0].orders[0].lasts,
        Some(Duration::from_secs(7200)),
        "it outlives what it covers"
    );
}

#[test]
fn an_import_is_a_signature_for_256_lines() {
    let refuse = Some("10.1.0.9/32".parse().unwrap());
    let daemon = with_operator(Script { refuse, ..Script::default() });
    let list: String = (0..2000).map(|n| format!("10.1.{}.{}\n", n / 256, n % 256)).collect();
    let ran = daemon.feed(&["import", "-"], &list);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("line 10: 10.1.0.9/32"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "1,999 blocks are in force in all of cluster prod, 1 line refused\n");
    let sizes: Vec<usize> = orders(&daemon)
        .iter()
        .map(|kind| if let OrderKind::Block { targets, .. } = kind { targets.len() } else { 0 })
        .collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (8, 1999));
}

#[test]
fn an_allowance_ends_by_its_id() {
    let daemon = with_operator(Script { answer: Some(Err(Refusal::NotFound)), ..Script::default() });
    daemon.run(&["allow", "add", "198.51.100.9", "--comment", "office"]).worked();
    let allowed = decode_order(&daemon.given()[0].orders[0].bytes).unwrap().id;
    daemon.run(&["allow", "remove", "198.51.100.9"]).worked();
    assert_eq!(orders(&daemon)[1], OrderKind::Disallow { id: allowed });
}

#[test]
fn who_is_to_be_expelled_is_shown_first_and_only_then_expelled() {
    let fleet_blocks = vec![fleet_block("203.0.113.7/32", &["web-3"]), fleet_block("203.0.113.8/32", &[])];
    let daemon = with_operator(Script { fleet_blocks, ..Script::default() });
    let asked = daemon.run(&["cluster", "revoke", "web-2"]);
    asked.failed_with(1);
    assert!(asked.stderr.contains("--yes") && daemon.given().is_empty(), "{}", asked.stderr);
    assert!(asked.stdout.contains("1 target would be unblocked: 203.0.113.8/32"), "{}", asked.stdout);
    assert!(asked.stdout.contains("1 target would stay"), "{}", asked.stdout);
    let done = daemon.run(&["cluster", "revoke", "web-2", "--yes", "-o", "json"]).worked();
    let json: Value = serde_json::from_str(&done).unwrap();
    assert_eq!((json["name"].as_str(), json["unblocked"].as_u64()), (Some("web-2"), Some(1)));
    assert_eq!(orders(&daemon), [OrderKind::Revoke { node: NodeId([2; 32]) }]);
    assert_eq!(daemon.given()[0].revocations.len(), 1);
    daemon.run(&["cluster", "revoke", "web-1", "--yes"]).failed_with(1);
    assert_eq!(daemon.given().len(), 1);
}

#[test]
fn canaries_and_trust_are_ordered_for_ever() {
    let daemon = with_operator(Script::default());
    daemon.run(&["cluster", "canary", "add", "192.0.2.99"]).worked();
    let listed = daemon.run(&["cluster", "canary", "list", "-o", "raw"]).worked();
    assert!(listed.starts_with("192.0.2.99/32\t") && listed.ends_with("\talice\n"), "{listed}");
    daemon.run(&["cluster", "canary", "add", "192.0.0.0/15"]).failed_with(1);
    daemon.run(&["trust", "remove", "web-2"]).worked();
    let kinds = orders(&daemon);
    assert_eq!(kinds[1], OrderKind::Trust { node: NodeId([2; 32]), believed: false });
    assert!(daemon.given().iter().all(|given| given.orders[0].lasts.is_none()));
}

#[test]
fn a_key_under_a_passphrase_opens_with_it_only() {
    let daemon = Daemon::start(Script { cluster: Some("prod".into()), founds: true, ..Script::default() });
    let root = daemon.socket().with_file_name("root.pem");
    let (socket, words) = (daemon.socket(), "four random words");
    let with = |words: &str, arguments: &[&str]| {
        command(&socket, arguments).env("SMARTFW_PASSPHRASE", words).output().unwrap()
    };
    let made = with(words, &init(&root));
    assert!(made.status.success(), "{made:?}");
    let blocked = with(words, &["block", "203.0.113.7"]);
    assert!(String::from_utf8(blocked.stdout).unwrap().contains("in all of cluster prod"));
    let wrong = with("four random wordz", &["block", "203.0.113.7"]);
    assert_eq!((wrong.status.code(), daemon.given().len()), (Some(1), 1));
    let file = daemon.socket().with_file_name("words");
    std::fs::write(&file, "four random words\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    daemon.run(&["block", "203.0.113.7", "--passphrase-file", file.to_str().unwrap()]).worked();
}
