//! The program itself, against a service that answers as the test wants: exit codes, forms, one line for each failure.

#![allow(clippy::unwrap_used)] // helpers, too: a test that cannot go on has failed

#[path = "commands/cluster.rs"]
mod cluster;
#[path = "commands/daemon.rs"]
mod daemon;
#[path = "commands/import.rs"]
mod import;
#[path = "commands/learn.rs"]
mod learn;
#[path = "commands/models.rs"]
mod models;
#[path = "commands/program.rs"]
mod program;
#[path = "commands/reach.rs"]
mod reach;
#[path = "commands/replay.rs"]
mod replay;
#[path = "commands/rescue.rs"]
mod rescue;

use daemon::{Daemon, Script, block, row};
use program::{Ran, smartfw};
use smartfw_core::{
    BlockState, IpNet,
    order::{BlockOrder, Order, Refusal},
    protect::{Protected, Why},
};
use smartfw_proto::view::{Answer, Changes, Reloaded};

fn protected(why: Why) -> Protected {
    Protected { net: "10.0.0.1/32".parse().unwrap(), why, detail: "eth0".into() }
}

fn answering(answer: Result<Answer, Refusal>) -> Daemon {
    Daemon::start(Script { answer: Some(answer), ..Script::default() })
}

#[test]
fn wrong_usage_is_code_2() {
    let nowhere = std::path::Path::new("/nonexistent/node.sock");
    let wrong: [&[&str]; 17] = [
        &[],
        &["frobnicate"],
        &["block"],
        &["block", "203.0.113.7", "--for", "soon"],
        &["alerts", "--class", "benign"],
        &["approve"],
        &["approve", "00000000000000ab", "--all"],
        &["reject", "not-an-id"],
        &["-o", "xml", "status"],
        &["cluster"],
        &["cluster", "init", "--name", "prod"],
        &["cluster", "init", "--name", "two words", "--advertise", "10.0.0.1:7470"],
        &["cluster", "token", "--role", "king"],
        &["cluster", "token", "--for", "soon"],
        &["cluster", "join", "10.0.0.1:7470"],
        &["cluster", "join", "10.0.0.1:7470", "--token", "t", "--no-passphrase"],
        &["trust", "add"],
    ];
    for arguments in wrong {
        assert_eq!(smartfw(nowhere, arguments).code, Some(2), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["block", "--help"]] {
        assert_eq!(smartfw(nowhere, arguments).code, Some(0), "{arguments:?}");
    }
}

#[test]
fn the_code_tells_even_where_nobody_can_be_told() {
    let nowhere = std::path::Path::new("/nonexistent/node.sock");
    let code = |arguments: &[&str]| {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        program::command(nowhere, arguments).stderr(full).output().unwrap().status.code()
    };
    assert_eq!(code(&["nonsense"]), Some(2));
    assert_eq!(code(&["status"]), Some(3));
    assert_eq!(code(&["block", "garbage"]), Some(1));
}

#[test]
fn what_is_no_id_is_told_so() {
    let ran = smartfw(std::path::Path::new("/nonexistent/node.sock"), &["reject", "zzz"]);
    assert!(ran.stderr.contains("16 hexadecimal digits"), "{}", ran.stderr);
}

#[test]
fn garbage_for_a_target_is_refused_in_one_line() {
    let daemon = Daemon::start(Script::default());
    for target in ["garbage", "203.0.113.7/33", "203.0.113.256", "", "\u{1b}[31mred", "1.2.3.4; reboot"] {
        let ran = daemon.run(&["block", target]);
        ran.failed_with(1);
        assert!(ran.stderr.contains("is not a target"), "{target:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'), "{target:?}");
    }
    assert!(daemon.orders().is_empty());
}

#[test]
fn a_block_says_what_until_when_and_where() {
    let daemon = answering(Ok(Answer::Blocked { block: block("203.0.113.7/32"), reverts: None }));
    let ran = daemon.run(&["block", "203.0.113.7", "--for", "1h", "--reason", "because"]).worked();
    assert_eq!(ran, "203.0.113.7/32 is blocked for 1h, until 2026-01-31 13:00:00 UTC, on this node\n");
    let [Order::Block(BlockOrder { target, duration, reason, force, .. })] = &daemon.orders()[..] else {
        panic!()
    };
    assert_eq!(*target, "203.0.113.7/32".parse::<IpNet>().unwrap());
    assert_eq!((duration.unwrap().as_secs(), reason.as_str(), *force), (3600, "because", false));
}

#[test]
fn in_json_a_block_says_where_it_holds() {
    let daemon = answering(Ok(Answer::Blocked { block: block("203.0.113.7/32"), reverts: None }));
    let json: serde_json::Value =
        serde_json::from_str(&daemon.run(&["block", "203.0.113.7", "-o", "json"]).worked()).unwrap();
    assert_eq!((json["target"].as_str(), json["scope"].as_str()), (Some("203.0.113.7/32"), Some("node")));
}

#[test]
fn without_a_duration_a_block_lasts_four_hours() {
    let daemon = answering(Ok(Answer::Blocked { block: block("203.0.113.7/32"), reverts: None }));
    daemon.run(&["block", "203.0.113.7"]).worked();
    daemon.run(&["block", "203.0.113.7", "--for", "forever", "--force"]).worked();
    let orders = daemon.orders();
    let durations = orders.iter().map(|order| match order {
        Order::Block(order) => (order.duration.map(|duration| duration.as_secs()), order.force),
        _ => panic!(),
    });
    assert_eq!(durations.collect::<Vec<_>>(), [(Some(14_400), false), (None, true)]);
}

#[test]
fn every_refusal_is_code_1_and_one_line_with_its_remedy() {
    let Protected { net, why, detail } = protected(Why::Gateway);
    let refusals = [
        (
            Refusal::Protected { net, why, detail },
            "10.0.0.1/32 is protected: default gateway (eth0); with --force",
        ),
        (Refusal::Everything, "this is every address there is; name the addresses"),
        (Refusal::TooWide { shortest: 16 }, "wider than /16; name a narrower prefix, or say --force"),
        (Refusal::Full { limit: 5 }, "the list is full (5 entries); remove"),
        (Refusal::NotFound, "no such entry; look with"),
        (Refusal::NothingToConfirm, "nothing waits for confirmation"),
    ];
    for (refusal, expected) in refusals {
        let ran = answering(Err(refusal)).run(&["block", "10.0.0.0/8"]);
        ran.failed_with(1);
        assert!(ran.stderr.starts_with("smartfw-cli: 10.0.0.0/8 is not blocked: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

#[test]
fn a_forced_block_says_that_it_waits_for_confirmation() {
    let block = block("10.0.0.1/32");
    let reverts = Some(smartfw_core::Time::from_secs(1_769_860_860));
    let ran =
        answering(Ok(Answer::Blocked { block, reverts })).run(&["block", "10.0.0.1", "--force"]).worked();
    assert!(ran.contains("unless you type: smartfw-cli confirm"), "{ran}");
}

#[test]
fn what_ended_is_named_and_counted() {
    let changes = Changes { blocks: vec![block("203.0.113.7/32"), block("203.0.113.8/32")], total: 5000 };
    let daemon = answering(Ok(Answer::Unblocked(changes)));
    let ran = daemon.run(&["unblock", "203.0.113.0/24", "--reason", "false-positive"]).worked();
    assert_eq!(ran, "5,000 blocks ended on this node: 203.0.113.7/32, 203.0.113.8/32, …\n");
    assert!(matches!(daemon.orders()[..], [Order::Unblock { false_positive: true, .. }]));
}

#[test]
fn the_list_of_blocks_has_three_forms() {
    let rows = vec![row("203.0.113.7/32"), row("2001:db8::/64")];
    let daemon = Daemon::start(Script { rows, ..Script::default() });
    let table = daemon.run(&["blocks"]).worked();
    assert!(table.starts_with("TARGET          STRENGTH  CLASS "), "{table}");
    assert!(table.lines().nth(2).unwrap().starts_with("2001:db8::/64   hard "), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&daemon.run(&["blocks", "-o", "json"]).worked()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 2);
    assert_eq!(json[1]["target"], "2001:db8::/64");
    let raw = daemon.run(&["-o", "raw", "blocks"]).worked();
    assert_eq!(raw.lines().count(), 2);
    assert!(raw.starts_with("203.0.113.7/32\tport_scan\tweb-1\thard\t2026-01-31T12:00:00"), "{raw}");
}

#[test]
fn empty_lists_are_empty_arrays_and_a_sentence() {
    let daemon = Daemon::start(Script::default());
    for (command, sentence) in [
        (&["blocks"][..], "Nothing is blocked."),
        (&["alerts"], "Nothing was detected."),
        (&["pending"], "Nothing waits for approval."),
        (&["allow", "list"], "The allow list is empty."),
    ] {
        assert_eq!(daemon.run(command).worked().trim(), sentence);
        let json = daemon.run(&[command, &["-o", "json"]].concat()).worked();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
            serde_json::json!([]),
            "{command:?}"
        );
        assert_eq!(daemon.run(&[command, &["-o", "raw"]].concat()).worked(), "");
    }
}

#[test]
fn hostile_text_reaches_no_terminal() {
    let mut evil = row("203.0.113.7/32");
    evil.block.reason = "\u{1b}[2J\nforged line\tx\u{202e}\u{9b}31m".into();
    let daemon = Daemon::start(Script { rows: vec![evil], ..Script::default() });
    for form in ["human", "raw", "json"] {
        let text = daemon.run(&["blocks", "--color", "always", "-o", form]).worked();
        assert!(!text.contains("\u{1b}[2J") && !text.contains("\nforged"), "{text:?}");
        assert!(!text.contains(['\u{202e}', '\u{9b}']), "{text:?}");
    }
    let raw = daemon.run(&["blocks", "-o", "raw"]).worked();
    assert_eq!(raw.trim_end().split('\t').count(), 11, "{raw:?}");
}

#[test]
fn colour_is_for_terminals_only() {
    let daemon = Daemon::start(Script { rows: vec![row("203.0.113.7/32")], ..Script::default() });
    assert!(!daemon.run(&["blocks"]).worked().contains('\u{1b}'));
    assert!(daemon.run(&["blocks", "--color", "always"]).worked().contains("\u{1b}["));
}

#[test]
fn a_suspended_block_is_shown_with_all() {
    let state = BlockState::Suspended(protected(Why::SshSession));
    let rows = vec![smartfw_proto::view::BlockRow { state, ..row("10.0.0.1/32") }];
    let daemon = Daemon::start(Script { rows, ..Script::default() });
    let table = daemon.run(&["blocks", "--all"]).worked();
    assert!(table.contains("suspended: SSH session (10.0.0.1/32)"), "{table}");
    let json = daemon.run(&["blocks", "--all", "-o", "json"]).worked();
    assert!(
        json.contains(r#""state":"suspended","suspended_by":{"net":"10.0.0.1/32","why":"SSH session""#),
        "{json}"
    );
}

#[test]
fn a_long_list_passes_in_little_memory_and_a_reader_may_leave() {
    const ROWS: usize = 200_000;
    const MEMORY: u64 = 64 << 10; // KiB; the rows as text take 30 MB, as messages 100 MB
    let daemon = Daemon::start(Script { many: ROWS, ..Script::default() });
    let (lines, peak) = daemon.count_lines(&["-o", "raw", "blocks"]);
    assert_eq!(lines, ROWS);
    assert!(peak < MEMORY, "{peak} KiB");
    assert_eq!(daemon.leave_early(&["-o", "raw", "blocks"]), Some(0));
    assert_eq!(daemon.leave_early(&["export"]), Some(0));
}

#[test]
fn followed_alerts_are_one_object_a_line_until_the_daemon_goes_away() {
    let daemon = Daemon::start(Script { alerts: 3, ..Script::default() });
    let ran = daemon.run(&["alerts", "--follow", "-o", "json"]);
    assert_eq!(ran.code, Some(3));
    let kinds: Vec<_> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["alert", "alert", "alert"]);
    assert!(ran.stderr.contains("7 alerts were left out"), "{}", ran.stderr);
    assert!(ran.stderr.contains("it went away"), "{}", ran.stderr);
}

#[test]
fn alerts_are_one_array() {
    let daemon = Daemon::start(Script { alerts: 3, ..Script::default() });
    let json: serde_json::Value =
        serde_json::from_str(&daemon.run(&["alerts", "-o", "json"]).worked()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_eq!(daemon.run(&["alerts"]).worked().lines().count(), 4);
}

#[test]
fn a_bad_configuration_is_told_and_changes_nothing() {
    let invalid =
        Err("/etc/smartfw/node.toml:3: unknown key `enforcment`\ndid you mean `enforcement`?".to_owned());
    let ran = Daemon::start(Script { reload: Some(invalid), ..Script::default() }).run(&["reload"]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("nothing changed: /etc/smartfw/node.toml:3"), "{}", ran.stderr);
    let reloaded =
        Reloaded { applied: vec!["enforcement.mode".into()], restart: vec!["limits.sources".into()] };
    let ran =
        Daemon::start(Script { reload: Some(Ok(reloaded)), ..Script::default() }).run(&["reload"]).worked();
    assert!(
        ran.contains("In use now: enforcement.mode") && ran.contains("restart smartfw-node): limits.sources"),
        "{ran}"
    );
}

#[test]
fn an_answer_that_breaks_the_limits_is_refused() {
    let ran = Daemon::start(Script { hostile: true, ..Script::default() }).run(&["blocks"]);
    ran.failed_with(1);
    assert!(ran.stderr.contains("the daemon's answer cannot be read"), "{}", ran.stderr);
}

#[test]
fn an_answer_to_another_question_is_a_failure() {
    for command in
        [&["confirm"][..], &["mode", "manual"], &["reject", "00000000000000ab"], &["unblock", "203.0.113.7"]]
    {
        let ran = answering(Ok(Answer::Disallowed)).run(command);
        ran.failed_with(1);
        assert!(ran.stderr.contains("answered something else"), "{command:?}: {}", ran.stderr);
    }
}

#[test]
fn switches_say_what_they_did_and_when_it_rolls_back() {
    let soon = smartfw_core::Time::from_secs(4_000_000_000);
    let daemon = answering(Ok(Answer::Changed { reverts: Some(soon) }));
    let ran = daemon.run(&["mode", "manual", "--confirm", "2m"]).worked();
    assert!(ran.starts_with("Mode manual: decisions wait for approval.\nIt rolls back in "), "{ran}");
    let [Order::Mode { confirm, .. }] = daemon.orders()[..] else { panic!() };
    assert_eq!(confirm.unwrap().as_secs(), 120);
}

#[test]
fn completions_and_manuals_need_nobody() {
    let nowhere = std::path::Path::new("/nonexistent/node.sock");
    for shell in ["bash", "zsh", "fish"] {
        let script = smartfw(nowhere, &["completion", shell]).worked();
        assert!(script.contains("smartfw-cli") && script.contains("unblock"), "{shell}");
        for hidden in ["__restore", "__resume", "smartfw-restore.service", "used by its timer"] {
            assert!(!script.contains(hidden), "{shell}: {hidden}");
        }
    }
    let manual = smartfw(nowhere, &["man"]).worked();
    assert!(manual.matches(".TH ").count() > 25, "{}", manual.matches(".TH ").count());
    let folder = tempfile::tempdir().unwrap();
    smartfw(&folder.path().join("nobody.sock"), &["man", "--dir", folder.path().to_str().unwrap()]).worked();
    assert!(folder.path().join("smartfw-cli-explain.1").is_file());
}

#[test]
fn a_status_shows_health_with_its_remedy() {
    let daemon = Daemon::start(Script::default());
    let ran: Ran = daemon.run(&["status"]);
    let text = ran.worked();
    assert!(text.starts_with("web-1 protects this host (smartfw 0.1.0, up 1d)\n"), "{text}");
    assert!(text.contains("warn  packets are lost  do: raise the buffer"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&daemon.run(&["status", "-o", "json"]).worked()).unwrap();
    assert_eq!(json["health"][0]["do"], "raise the buffer");
    assert!(daemon.run(&["status", "-o", "raw"]).worked().contains("\nenforcement\ton\n"));
}
