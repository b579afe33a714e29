//! `import`, as a whole.

use crate::daemon::{Daemon, Script};

#[test]
fn what_has_come_is_sent_while_nothing_more_comes() {
    let daemon = Daemon::start(Script::default());
    let (chunks, ran) = daemon.feed_slowly(&["import", "-"], "203.0.113.7\n203.0.113.8\n");
    assert_eq!(chunks, [2]);
    assert_eq!(ran.worked(), "2 blocks are in force on this node, 0 lines refused\n");
}

#[test]
fn an_import_names_bad_lines_and_takes_the_others() {
    let daemon = Daemon::start(Script { refuse: Some("10.0.0.1/32".parse().unwrap()), ..Script::default() });
    let list: String = (0..2500).map(|host| format!("203.0.{}.{}\n", host / 250, host % 250)).collect();
    let ran = daemon.feed(&["import", "-"], &format!("# a list\nnonsense\n{list}10.0.0.1\n"));
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, "2,500 blocks are in force on this node, 2 lines refused\n");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stderr);
    assert!(lines[0].starts_with("smartfw-cli: line 2: \"nonsense\" is not an address"), "{}", lines[0]);
    assert!(
        lines[1].starts_with("smartfw-cli: line 2503: 10.0.0.1/32: this is every address"),
        "{}",
        lines[1]
    );
    assert_eq!(daemon.chunks(), [1000, 1000, 501]);
}

#[test]
fn an_import_without_a_bad_line_is_code_0_and_one_without_any_line_too() {
    let daemon = Daemon::start(Script::default());
    assert_eq!(
        daemon.feed(&["import", "-"], "203.0.113.7\n").worked(),
        "1 block is in force on this node, 0 lines refused\n"
    );
    assert_eq!(
        daemon.feed(&["import", "-", "-o", "json"], "# nothing\n").worked(),
        "{\"imported\":0,\"refused\":0,\"scope\":\"node\",\"complete\":true}\n"
    );
    let missing = daemon.run(&["import", "/nonexistent/list.txt"]);
    missing.failed_with(1);
    assert!(missing.stderr.contains("cannot read /nonexistent/list.txt"), "{}", missing.stderr);
}
