//! What goes wrong with a cluster is said in time, and takes no more with it than it has to.

use serde_json::Value;
use smartfw_core::fleet::{NodeId, OrderKind};
use smartfw_proto::view::{Answer, Changes, ClusterNode};
use tonic::Status;

use super::{fleet_block, init, node, orders, with_operator};
use crate::{
    daemon::{Daemon, Script, block},
    program::{Ran, command},
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn signed_by(n: u8, node: ClusterNode) -> ClusterNode {
    ClusterNode { signer: Some(NodeId([n; 32])), ..node }
}

#[test]
fn a_signer_is_expelled_with_its_members_only_where_that_is_meant() {
    let signer = ClusterNode { role: Some("signer".into()), ..signed_by(2, node("web-2", 2)) };
    let nodes = vec![signed_by(2, node("web-1", 1)), signer, signed_by(2, node("web-3", 3))];
    let daemon = with_operator(Script { nodes, ..Script::default() });
    let refused = daemon.run(&["cluster", "revoke", "web-2", "--yes"]);
    refused.failed_with(1);
    assert!(refused.stderr.contains("this node among them") && refused.stderr.contains("--with-its-members"));
    assert!(refused.stdout.contains("It signed 2 members") && refused.stdout.contains("web-1, web-3"));
    assert!(daemon.given().is_empty());
    let meant = ["cluster", "revoke", "web-2", "--yes", "--with-its-members", "-o", "json"];
    assert_eq!(json(&daemon.run(&meant).worked())["members"], serde_json::json!(["web-1", "web-3"]));
}

#[test]
fn who_is_not_listed_is_expelled_by_the_root_or_not_at_all() {
    let daemon = with_operator(Script::default());
    let ran = daemon.run(&["cluster", "revoke", &"ab".repeat(32), "--yes"]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("--root FILE") && daemon.given().is_empty(), "{}", ran.stderr);
}

#[test]
fn a_preview_never_stands_among_what_a_script_reads() {
    let fleet_blocks = vec![fleet_block("203.0.113.8/32", &[])];
    let daemon = with_operator(Script { fleet_blocks, ..Script::default() });
    let asked = daemon.run(&["cluster", "revoke", "web-2", "-o", "json"]);
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(1), ""));
    assert!(asked.stderr.contains("1 target would be unblocked: 203.0.113.8/32"), "{}", asked.stderr);
    let done = json(&daemon.run(&["cluster", "revoke", "web-2", "-o", "json", "--yes"]).worked());
    assert_eq!(done["targets"], serde_json::json!(["203.0.113.8/32"]));
}

/// With words in the environment.
fn with(daemon: &Daemon, words: &[(&str, &str)], arguments: &[&str]) -> Ran {
    command(&daemon.socket(), arguments).envs(words.iter().copied()).output().unwrap().into()
}

#[test]
fn root_and_operator_have_passphrases_of_their_own_and_the_first_operator_an_id() {
    const ROOT: (&str, &str) = ("SMARTFW_ROOT_PASSPHRASE", "kept in a safe");
    const OWN: (&str, &str) = ("SMARTFW_PASSPHRASE", "four random words");
    let nodes = vec![node("web-1", 1), node("web-2", 2)];
    let script = Script { cluster: Some("prod".into()), founds: true, nodes, ..Script::default() };
    let daemon = Daemon::start(script);
    let root = daemon.socket().with_file_name("root.pem");
    let root = root.to_str().unwrap();
    let init =
        ["cluster", "init", "--name", "prod", "--advertise", "10.0.0.1", "--root-file", root, "-o", "json"];
    let made = json(&with(&daemon, &[ROOT, OWN], &init).worked());
    assert_eq!(made["operator_id"].as_str().unwrap().len(), 64);
    with(&daemon, &[OWN], &["block", "203.0.113.7"]).worked();
    let revoke = ["cluster", "revoke", "web-2", "--yes", "--root", root];
    with(&daemon, &[ROOT, OWN], &revoke).worked();
    assert_eq!(orders(&daemon)[1], OrderKind::Revoke { node: NodeId([2; 32]) });
    let without = with(&daemon, &[ROOT, ("SMARTFW_PASSPHRASE", "four other words")], &revoke);
    assert_eq!((without.code, orders(&daemon).len()), (Some(0), 2));
    assert!(without.stderr.contains("no operator's order beside it"), "{}", without.stderr);
    with(&daemon, &[OWN], &revoke).failed_with(1);
}

#[test]
fn what_cannot_be_is_told_before_anybody_types_a_passphrase() {
    let init = |daemon: &Daemon, advertise: &str, operator: &str| {
        daemon.run(&["cluster", "init", "--name", "x", "--advertise", advertise, "--operator", operator])
    };
    let alone = Daemon::start(Script::default());
    let inside = Daemon::start(Script { cluster: Some("prod".into()), ..Script::default() });
    let cases = [
        (init(&alone, "0.0.0.0", "alice"), "--advertise"),
        (init(&alone, "web-1", "alice"), "no ADDR:PORT"),
        (init(&alone, "10.0.0.1", "web-1"), "--operator"),
        (init(&inside, "10.0.0.1", "alice"), "in cluster prod already"),
    ];
    for (ran, said) in cases {
        ran.failed_with(1);
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
}

#[test]
fn who_invites_a_coordinator_is_told_how_it_joins() {
    let ran = Daemon::start(Script::default()).run(&["cluster", "token", "--role", "coordinator"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let how = "smartfw-coordinator join 10.0.0.1:7470 --token TOKEN";
    assert!(ran.stdout.contains(how), "{}", ran.stdout);
}

#[test]
fn what_shall_drop_somebody_is_not_done_by_half_in_silence() {
    let silent = Some(Status::internal("the driver does not answer"));
    let answer = Some(Ok(Answer::Blocked { block: block("203.0.113.7/32"), reverts: None }));
    let daemon = Daemon::start(Script { silent, answer, ..Script::default() });
    for command in [&["block", "203.0.113.7"][..], &["allow", "remove", "203.0.113.7"]] {
        let ran = daemon.run(command);
        assert!(ran.stderr.contains("the driver does not answer") && ran.code != Some(0), "{ran:?}");
    }
    assert!(daemon.feed(&["import", "-"], "203.0.113.7\n").code != Some(0));
    assert!(daemon.orders().is_empty() && daemon.chunks().is_empty());
}

#[test]
fn an_unblock_does_its_part_here_whatever_is_wrong_with_the_cluster() {
    let changes = || Changes { blocks: vec![block("203.0.113.7/32")], total: 1 };
    let silent = Some(Status::internal("the driver does not answer"));
    let answer = Some(Ok(Answer::Unblocked(changes())));
    let daemon = Daemon::start(Script { silent, answer: answer.clone(), ..Script::default() });
    let ran = daemon.run(&["unblock", "203.0.113.7"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), "1 block ended on this node: 203.0.113.7/32\n"));
    assert!(ran.stderr.contains("not in the cluster: the daemon did not say"), "{}", ran.stderr);
    let local = daemon.run(&["unblock", "203.0.113.7", "--local", "-o", "json"]).worked();
    assert_eq!(json(&local)["scope"], "node");

    let daemon = with_operator(Script { answer, ..Script::default() });
    std::fs::write(daemon.operators().join("prod/key.pem"), "garbage").unwrap();
    let ran = daemon.run(&["unblock", "203.0.113.7"]);
    assert_eq!((ran.code, daemon.orders().len()), (Some(1), 1));
    assert!(ran.stderr.contains("not in the cluster: the operator's key"), "{}", ran.stderr);
}

#[test]
fn an_allowance_holds_here_where_the_cluster_does_not_take_it() {
    let answer = Some(Ok(Answer::Allowed(Changes::default())));
    let daemon = with_operator(Script { answer, ..Script::default() });
    std::fs::write(daemon.operators().join("prod/key.pem"), "garbage").unwrap();
    let ran = daemon.run(&["allow", "add", "198.51.100.9", "-o", "json"]);
    assert_eq!((ran.code, daemon.orders().len()), (Some(1), 1));
    assert_eq!(json(&ran.stdout)["scope"], "node");
}

#[test]
fn an_import_says_how_far_it_reaches() {
    let list = "203.0.113.7\n";
    let alone = Daemon::start(Script::default());
    assert_eq!(json(&alone.feed(&["import", "-", "-o", "json"], list).worked())["scope"], "node");
    let human = alone.feed(&["import", "-"], list).worked();
    assert_eq!(human, "1 block is in force on this node, 0 lines refused\n");
    let fleet = with_operator(Script::default());
    let told = json(&fleet.feed(&["import", "-", "-o", "json"], list).worked());
    assert_eq!((&told["scope"], &told["complete"]), (&"cluster".into(), &true.into()));
}

#[test]
fn an_import_that_breaks_says_what_it_did() {
    // As many lines as one call carries, and one more; the second call is refused.
    let list: String =
        (0..32_769u32).map(|n| format!("10.{}.{}.{}\n", n >> 16, n >> 8 & 255, n & 255)).collect();
    let daemon = with_operator(Script { calls: Some(1), ..Script::default() });
    let ran = daemon.feed(&["import", "-", "-o", "json"], &list);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told = json(&ran.stdout);
    assert_eq!((told["imported"].as_u64(), told["complete"].as_bool()), (Some(32_768), Some(false)));
    assert!(ran.stderr.contains("too many"), "{}", ran.stderr);
}

#[test]
fn a_canary_is_one_address_and_what_it_ends_is_asked_for() {
    let fleet_blocks = vec![fleet_block("192.0.2.99/32", &[])];
    let daemon = with_operator(Script { fleet_blocks, ..Script::default() });
    let wide = daemon.run(&["cluster", "canary", "add", "198.51.100.0/24"]);
    wide.failed_with(1);
    assert!(wide.stderr.contains("--wide"), "{}", wide.stderr);
    let ends = daemon.run(&["cluster", "canary", "add", "192.0.2.99"]);
    assert_eq!((ends.code, daemon.given().len()), (Some(1), 0));
    assert!(ends.stderr.contains("192.0.2.99/32 (port_scan, on the word of web-2)"), "{}", ends.stderr);
    daemon.run(&["cluster", "canary", "add", "192.0.2.99", "--yes"]).worked();
    daemon.run(&["cluster", "canary", "add", "198.51.100.0/24", "--wide"]).worked();
    assert_eq!(daemon.given().len(), 2);
}

#[test]
fn a_passphrase_that_others_can_read_is_complained_of() {
    let daemon = Daemon::start(Script { cluster: Some("prod".into()), founds: true, ..Script::default() });
    let file = daemon.socket().with_file_name("words");
    std::fs::write(&file, "four random words\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let root = daemon.socket().with_file_name("root.pem");
    let words = file.to_str().unwrap();
    let ran = daemon.run(&[&init(&root)[..], &["--passphrase-file", words]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("chmod 600"), "{}", ran.stderr);
}
