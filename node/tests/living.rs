//! How the daemon starts, refuses, lives and ends.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what failed by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test files")]
mod common;

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use common::{Place, mode, possible, text, wait_for};
use smartfw_core::order::{Mode, Order};
use smartfw_proto::wire;

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let _node = place.start(&["--metrics", "off"]).await;
    let said = text(&place.refused(&[]));
    assert!(said.contains("belongs to a running smartfw-node (process "), "{said}");
}

#[tokio::test]
async fn the_socket_and_the_files_are_for_root_and_the_group() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    assert_eq!(mode(&place.path("node.sock")), 0o660);
    assert_eq!(mode(&place.path("state")), 0o750);
    wait_for("the heartbeat", || place.path("state/heartbeat").exists()).await;
    assert_eq!(mode(&place.path("state/heartbeat")), 0o640);
    wait_for("the log of alerts", || place.path("log/alerts.log").exists()).await;
    assert_eq!(mode(&place.path("log/alerts.log")), 0o640);
    let line = fs::read_to_string(place.path("log/alerts.log")).unwrap();
    assert!(line.contains("\"kind\":\"block\"") && line.contains("203.0.113.7/32"), "{line}");
    node.end();
    assert!(!place.path("node.sock").exists());
}

#[tokio::test]
async fn a_changed_configuration_is_applied_and_a_wrong_one_is_not() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let file = place.path("node.toml");
    fs::write(&file, "").unwrap();
    let mut node = place.start(&["--config", file.to_str().unwrap()]).await;
    node.block("203.0.113.7").await;
    fs::write(&file, "metrics = \"off\"\n[enforcement]\nmode = \"manual\"\n").unwrap();
    let answer = node.client().reload(wire::ReloadRequest {}).await.unwrap().into_inner();
    let Some(wire::reload_answer::Answer::Reloaded(reloaded)) = answer.answer else { panic!("{answer:?}") };
    assert_eq!(
        (reloaded.applied, reloaded.restart),
        (vec!["enforcement.mode".into()], vec!["metrics".to_owned()])
    );
    assert_eq!(node.status().await.mode, Mode::Manual);
    fs::write(&file, "[enforcement]\nmdoe = \"auto\"\n").unwrap();
    let answer = node.client().reload(wire::ReloadRequest {}).await.unwrap().into_inner();
    let Some(wire::reload_answer::Answer::Invalid(why)) = answer.answer else { panic!("{answer:?}") };
    assert!(why.contains("node.toml:2") && why.contains("enforcement.mode"), "{why}");
    assert_eq!(node.status().await.mode, Mode::Manual);
    fs::write(&file, "").unwrap();
    node.signal("HUP");
    let mut mode = Mode::Manual;
    for _ in 0..200 {
        mode = node.status().await.mode;
        if mode == Mode::Auto {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((mode, node.status().await.blocked), (Mode::Auto, 1));
}

#[tokio::test]
async fn a_detector_that_panics_or_stalls_is_started_again_and_nothing_is_forgotten() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    for (fault, shown) in [("panic", "it panicked"), ("stall", "it stalled")] {
        fs::write(place.path("fault"), fault).unwrap();
        node.wait_for_health(shown, true).await;
        node.wait_for_health(shown, false).await;
    }
    node.wait_for_health("the detector was started again 2 times", true).await;
    assert_eq!(node.status().await.blocked, 1);
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
}

#[tokio::test]
async fn a_signal_during_the_start_ends_it_in_good_order() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut child = place.command(&[]).stderr(Stdio::null()).spawn().unwrap();
    // What was told before that finds nobody who listens.
    wait_for("the start", || place.path("state/lock").exists()).await;
    for signal in ["-HUP", "-TERM"] {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    }
    let mut code = None;
    wait_for("the end", || {
        code = child.try_wait().unwrap();
        code.is_some()
    })
    .await;
    assert_eq!(code.and_then(|code| code.code()), Some(0));
}

#[tokio::test]
async fn the_metrics_page_is_there_and_on_loopback() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    let page = place.inside("curl", &["-sf", "http://127.0.0.1:9470/metrics"]);
    for sample in
        ["smartfw_blocks{class=\"manual\"} 1", "smartfw_packets_total ", "smartfw_lost_packets_total 0"]
    {
        assert!(page.lines().any(|line| line.starts_with(sample)), "{sample} is not in {page}");
    }
    for name in watched() {
        let there = page.lines().any(|line| line.starts_with(&format!("# TYPE {name} ")));
        assert!(there, "{name} is watched and not in {page}");
    }
}

/// The numbers that the alert rules and the board watch, but for those that only a member of a cluster has.
fn watched() -> BTreeSet<String> {
    let only_members = ["smartfw_peers_alive", "smartfw_decision_to_member_seconds"];
    let text = ["alerts.yml", "grafana.json"]
        .map(|file| format!("{}/../deploy/monitoring/{file}", env!("CARGO_MANIFEST_DIR")))
        .map(|path| fs::read_to_string(path).unwrap())
        .concat();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names =
        words.filter(|word| word.starts_with("smartfw_")).map(|name| name.trim_end_matches("_bucket"));
    let names: BTreeSet<String> =
        names.filter(|name| !only_members.contains(name)).map(str::to_owned).collect();
    assert!(names.len() > 15, "{names:?}");
    names
}

#[tokio::test]
async fn told_to_it_takes_its_rules_away_at_the_end() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&["--remove-on-exit"]).await;
    node.block("203.0.113.7").await;
    node.end();
    assert!(!place.inside("ipset", &["list", "-n"]).contains("smartfw"));
    assert!(!place.inside("iptables-save", &[]).contains("SMARTFW"));
}

#[tokio::test]
async fn a_dry_run_leaves_the_kernel_alone() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&["--enforcer", "dry-run"]).await;
    node.block("203.0.113.7").await;
    assert_eq!(node.status().await.enforcer, "dry-run");
    assert!(!place.inside("ipset", &["list", "-n"]).contains("smartfw"));
    node.end();
    assert!(
        !place.path("state").join("boot/sets.ipset").exists(),
        "nor is there anything for a boot to load"
    );
}

#[tokio::test]
async fn an_order_that_is_refused_says_why() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    let own = Order::Block(common::block_order("192.0.2.1"));
    let refusal = node.order(own).await.unwrap_err().to_string();
    assert!(refusal.contains("192.0.2.1/32 is protected"), "{refusal}");
}

#[test]
fn what_cannot_be_had_is_refused_with_advice() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let cases = [
        (vec!["--enforcer", "nftables"], "nftables"),
        (vec!["--enforcer", "xdp"], "xdp"),
        (vec!["--interface", "wan7"], "eth0"),
        (vec!["--mode", "automatic"], "flag --mode: `enforcement.mode` must be \"auto\" or \"manual\""),
        (vec!["--config", "/nonexistent.toml"], "cannot read /nonexistent.toml"),
    ];
    for (flags, words) in cases {
        let said = text(&place.refused(&flags));
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    assert!(!place.inside("ipset", &["list", "-n"]).contains("smartfw"));
}

#[test]
fn a_missing_capability_is_named() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let folder = place.folder.path().to_str().unwrap();
    common::run("chmod", &["777", folder]);
    let node = place.command(&[]);
    let arguments: Vec<_> = node.get_args().skip(3).collect();
    let output = Command::new("ip")
        .args([
            "netns",
            "exec",
            &place.namespace,
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output).contains("CAP_NET_ADMIN"), "{}", text(&output));
}

#[test]
fn a_check_says_ok_or_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let check = || {
        let program = env!("CARGO_BIN_EXE_smartfw-node");
        Command::new(program).arg("--check").arg("--config").arg(&file).output().unwrap()
    };
    fs::write(&file, smartfw_config::example()).unwrap();
    let output = check();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"ok\n"[..]));
    fs::write(&file, "name = 3").unwrap();
    let output = check();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("node.toml:1: `name` must be"), "{}", text(&output));
}
