//! The way out, without a daemon and with one that is broken. Going to the kernel shows as "only root can".

#![allow(clippy::print_stderr)] // what is skipped is said

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixListener,
    path::Path,
};

use tonic::Code;

use crate::{
    daemon::{Daemon, Script},
    program::{Ran, smartfw},
};

const COMMANDS: [&[&str]; 5] = [
    &["disable"],
    &["panic"],
    &["unblock", "203.0.113.7"],
    &["allow", "add", "203.0.113.7"],
    &["panic", "--for", "1m"],
];

#[track_caller]
fn goes_to_the_kernel(socket: &Path) {
    for command in COMMANDS {
        let ran = smartfw(socket, command);
        ran.failed_with(1);
        assert!(ran.stderr.contains("only root can"), "{command:?}: {}", ran.stderr);
    }
}

#[test]
fn rescue_never_ends_with_code_3() {
    let folder = tempfile::tempdir().unwrap();
    goes_to_the_kernel(&folder.path().join("nobody.sock"));
}

#[test]
fn rescue_goes_to_the_kernel_when_the_daemon_cannot_do_it() {
    for code in [
        Code::Unavailable,
        Code::Unknown,
        Code::Internal,
        Code::Cancelled,
        Code::ResourceExhausted,
        Code::DeadlineExceeded,
        Code::Unimplemented,
    ] {
        let daemon = Daemon::start(Script { broken: Some(code), ..Script::default() });
        goes_to_the_kernel(&daemon.socket());
    }
}

#[test]
fn rescue_goes_to_the_kernel_when_the_daemon_hangs_up_or_talks_nonsense() {
    for answer in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0"]
    {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("node.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::spawn(move || {
            for mut caller in listener.incoming().flatten() {
                let _ = caller.read(&mut [0; 24]);
                let _ = caller.write_all(answer);
            }
        });
        goes_to_the_kernel(&socket);
    }
}

#[test]
fn what_a_living_daemon_refuses_as_wrong_stays_refused() {
    let daemon = Daemon::start(Script { broken: Some(Code::InvalidArgument), ..Script::default() });
    let ran = daemon.run(&["unblock", "203.0.113.7"]);
    ran.failed_with(1);
    assert!(!ran.stderr.contains("only root can"), "{}", ran.stderr);
}

/// As root: it is found that there is nothing to end before anything is touched.
fn resume(daemon: &Daemon, suspension: &str) -> Option<String> {
    let state = tempfile::tempdir().unwrap();
    fs::create_dir(state.path().join("boot")).unwrap();
    fs::write(state.path().join("boot/suspended.json"), suspension).unwrap();
    let ran = apart(&daemon.socket(), state.path(), &["resume", "--until", "0"])?.worked();
    assert_eq!(fs::read_to_string(state.path().join("boot/suspended.json")).unwrap(), suspension);
    assert!(daemon.orders().is_empty());
    Some(ran)
}

#[test]
fn the_end_of_a_panic_orders_nothing_of_a_daemon_that_lives() {
    let daemon = Daemon::start(Script::default());
    let Some(said) = resume(&daemon, "{\"panic\":1000}") else { return };
    assert!(said.contains("it resumes by itself"), "{said}");
}

#[test]
fn the_end_of_a_panic_leaves_off_what_was_switched_off() {
    let daemon = Daemon::start(Script::default());
    let Some(said) = resume(&daemon, "\"off\"") else { return };
    assert!(said.contains("it stays so"), "{said}");
}

/// As root, in a network namespace of its own.
fn apart(socket: &Path, state: &Path, arguments: &[&str]) -> Option<Ran> {
    let mut command = std::process::Command::new("unshare");
    command.arg("--net").arg(env!("CARGO_BIN_EXE_smartfw-cli"));
    command.arg("--socket").arg(socket).arg("--state-dir").arg(state).args(arguments);
    let ran: Ran = command.output().ok()?.into();
    if ran.stderr.contains("unshare") {
        eprintln!("skipped: no network namespace can be had");
        return None;
    }
    Some(ran)
}

#[test]
fn an_unblock_of_what_is_not_dropped_has_nothing_left_to_do() {
    let state = tempfile::tempdir().unwrap();
    let nowhere = Path::new("/nonexistent/node.sock");
    let Some(ran) = apart(nowhere, state.path(), &["unblock", "203.0.113.7"]) else { return };
    assert!(ran.worked().contains("Nothing of 203.0.113.7/32 is dropped."));
    let note = fs::read_to_string(state.path().join("rescue.jsonl")).unwrap();
    assert!(note.contains("\"unblock\"") && note.contains("\"false_positive\":false"), "{note}");
    let wrong = ["-o", "json", "unblock", "203.0.113.7", "--reason", "false-positive"];
    let Some(ran) = apart(nowhere, state.path(), &wrong) else { return };
    assert_eq!(ran.worked(), "");
    let notes = fs::read_to_string(state.path().join("rescue.jsonl")).unwrap();
    assert!(notes.lines().last().unwrap().contains("\"false_positive\":true"), "{notes}");
}
