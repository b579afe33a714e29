//! Where the daemon is looked for, and what is told when it cannot be reached.

use crate::{
    daemon::{Daemon, Script},
    program::{Ran, program, smartfw},
};

#[test]
fn without_a_daemon_every_question_ends_with_code_3_and_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.txt");
    std::fs::write(&file, "203.0.113.7\n").unwrap();
    let file = file.to_str().unwrap();
    let questions: [&[&str]; 17] = [
        &["status"],
        &["blocks"],
        &["blocks", "-o", "json"],
        &["alerts"],
        &["alerts", "--follow"],
        &["explain", "203.0.113.7"],
        &["block", "203.0.113.7"],
        &["pending"],
        &["approve", "--all"],
        &["reject", "00000000000000ab"],
        &["allow", "list"],
        &["allow", "check", "203.0.113.7"],
        &["allow", "remove", "203.0.113.7"],
        &["import", file],
        &["export"],
        &["confirm"],
        &["reload"],
    ];
    for question in questions {
        let ran = smartfw(&folder.path().join("nobody.sock"), question);
        ran.failed_with(3);
        assert!(ran.stderr.contains("there is no such socket"), "{question:?}: {}", ran.stderr);
        assert_eq!(ran.stdout.trim_matches(['[', '\n']), "", "{question:?}");
    }
}

#[test]
fn a_socket_that_nobody_listens_on_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("node.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let ran = smartfw(&socket, &["status"]);
    ran.failed_with(3);
    assert!(ran.stderr.contains("nobody listens there"), "{}", ran.stderr);
}

#[test]
fn the_daemon_is_where_the_configuration_says() {
    let daemon = Daemon::start(Script::default());
    let status = |environment: &[(&str, &std::path::Path)]| {
        let mut command = program(daemon.socket().parent().unwrap());
        command.arg("status").envs(environment.iter().copied());
        Ran::from(command.output().unwrap())
    };
    let (socket, nowhere) = (daemon.socket(), std::path::Path::new("/nonexistent/node.sock"));
    status(&[("SMARTFW_NODE__SOCKET", &socket)]).worked();
    // A mistake elsewhere hides nothing, and what is said outright wins.
    status(&[("SMARTFW_NODE__SOCKET", &socket), ("SMARTFW_NODE__NONSENSE", nowhere)]).worked();
    status(&[("SMARTFW_NODE__SOCKET", nowhere), ("SMARTFW_SOCKET", &socket)]).worked();
}

#[test]
fn what_is_refused_is_no_half_of_an_array() {
    let broken = Some(tonic::Code::Unavailable);
    let ran = Daemon::start(Script { broken, ..Script::default() }).run(&["blocks", "-o", "json"]);
    ran.failed_with(3);
    assert_eq!(ran.stdout, "");
}
