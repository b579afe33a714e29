//! What is refused, with a message that says what and why, and the exit code that scripts rely on.
//!
//! `cargo test -p smartfw-tests --test refusals -- --ignored`; needs root and the built programs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use smartfw_tests::{
    daemon::{Answer, Guard},
    net::{GATEWAY_V4, INTERFACE, SERVER_V4, Side},
    persona::USER,
    process::until,
    ward::Ward,
};

/// Refused or failed.
const REFUSED: i32 = 1;
/// Wrong usage.
const USAGE: i32 = 2;
/// The daemon cannot be reached.
const UNREACHABLE: i32 = 3;

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_gateway_is_not_blocked() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    expect(&guard.cli(&["block", &GATEWAY_V4.to_string()]).unwrap(), REFUSED, &["192.0.2.1", "gateway"]);
    expect(&guard.cli(&["block", "192.0.2.0/24"]).unwrap(), REFUSED, &["protected"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn the_hosts_own_address_is_not_blocked() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    expect(&guard.cli(&["block", &SERVER_V4.to_string()]).unwrap(), REFUSED, &["own"]);
    expect(&guard.cli(&["block", "127.0.0.1"]).unwrap(), REFUSED, &["loopback"]);
    expect(&guard.cli(&["block", "fe80::1"]).unwrap(), REFUSED, &["link-local"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn whoever_is_logged_in_over_ssh_is_not_blocked() {
    let ward = Ward::new().unwrap();
    let site = ward.site().unwrap();
    let guard = ward.guard().unwrap();
    let admin = ward.net.host(Side::Clients).unwrap();
    let mut command = admin.namespace.command("ssh");
    command.args([
        "-F",
        "/dev/null",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-i",
    ]);
    command.arg(&site.persona.key).args(["-l", USER, &SERVER_V4.to_string(), "echo in; sleep 60"]);
    let session = Session(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let target = admin.v4.to_string();
    let refuses = || guard.cli(&["allow", "check", &target]).unwrap().out.to_lowercase().contains("ssh");
    until("the session is noticed", Duration::from_secs(5), refuses).unwrap();
    expect(&guard.cli(&["block", &target]).unwrap(), REFUSED, &[&target, "SSH"]);
    drop(session);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn everybody_is_not_blocked() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    for everybody in ["0.0.0.0/0", "::/0"] {
        expect(&guard.cli(&["block", everybody]).unwrap(), REFUSED, &[]);
        expect(&guard.cli(&["block", everybody, "--force"]).unwrap(), REFUSED, &[]);
    }
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_wide_prefix_needs_force() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    expect(&guard.cli(&["block", "10.0.0.0/8"]).unwrap(), REFUSED, &["--force"]);
    guard.order(&["block", "10.0.0.0/8", "--force"]).unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn garbage_is_refused() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    for garbage in ["garbage", "1.2.3.4.5", "1.2.3.4/33", "1.2.3.4; true", "2001:db8::/129", ""] {
        expect(&guard.cli(&["block", garbage]).unwrap(), REFUSED, &[garbage]);
    }
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_wrong_command_line_is_wrong_usage() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "");
    expect(&guard.cli(&["block", "192.0.2.77", "--for", "soon"]).unwrap(), USAGE, &["soon"]);
    expect(&guard.cli(&["block"]).unwrap(), USAGE, &["target"]);
    expect(&guard.cli(&["frobnicate"]).unwrap(), USAGE, &["frobnicate"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn unknown_targets_and_ids_are_refused() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    expect(&guard.cli(&["unblock", "203.0.113.99"]).unwrap(), REFUSED, &["203.0.113.99"]);
    expect(&guard.cli(&["allow", "remove", "203.0.113.99"]).unwrap(), REFUSED, &["203.0.113.99"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_interface_that_does_not_exist_is_named() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "");
    let mut command = guard.node().unwrap();
    expect(&run(command.args(["--interface", "nope0"])), REFUSED, &["nope0"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_missing_capability_is_named() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "");
    let node = guard.node().unwrap();
    // `ip netns exec NAME` comes first and needs what the daemon then must not have.
    let args: Vec<_> = node.get_args().map(ToOwned::to_owned).collect();
    for (capability, name) in [("net_admin", "CAP_NET_ADMIN"), ("net_raw", "CAP_NET_RAW")] {
        let without = format!("-{capability}");
        let mut command = Command::new(node.get_program());
        command.args(&args[..3]).args(["setpriv", "--bounding-set", &without, "--inh-caps", &without, "--"]);
        expect(&run(command.args(&args[3..]).args(["--interface", INTERFACE])), REFUSED, &[name]);
    }
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_configuration_that_cannot_be_read_is_named() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "");
    fs::remove_file(ward.dir().join("node/node.toml")).unwrap();
    expect(&run(guard.node().unwrap().arg("--check")), REFUSED, &["node.toml"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "# ours\n[enforcement]\nmodd = \"manual\"\n");
    expect(&run(guard.node().unwrap().arg("--check")), REFUSED, &["modd", "3", "mode"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_value_of_the_wrong_type_is_named() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "[enforcement]\nmode = 7\n");
    expect(&run(guard.node().unwrap().arg("--check")), REFUSED, &["mode", "2"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_good_configuration_passes_the_check() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "[enforcement]\nmode = \"manual\"\n");
    expect(&run(guard.node().unwrap().arg("--check")), 0, &[]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_socket_that_nobody_listens_on_is_unreachable() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "");
    for command in ["status", "blocks", "alerts", "pending"] {
        expect(&guard.cli(&[command]).unwrap(), UNREACHABLE, &["node.sock"]);
    }
    expect(&guard.cli(&["block", "203.0.113.7"]).unwrap(), UNREACHABLE, &["node.sock"]);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_truncated_capture_gives_its_results_and_says_so() {
    let ward = Ward::new().unwrap();
    let guard = prepared(&ward, "");
    let file = ward.dir().join("cut.pcap");
    fs::write(&file, cut_capture()).unwrap();
    let answer = guard.cli(&["-o", "json", "replay", &file.display().to_string()]).unwrap();
    assert_eq!(answer.code, REFUSED, "{answer:?}");
    let summary = answer.out.lines().last().unwrap();
    assert!(summary.contains("\"truncated\":true") && summary.contains("\"packets\":1"), "{summary}");
}

/// A capture of one whole frame and half of a second.
fn cut_capture() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
        file.extend(word.to_le_bytes());
    }
    for _ in 0..2 {
        for word in [1_700_000_000_u32, 0, 60, 60] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0; 60]);
    }
    file.truncate(file.len() - 30);
    file
}

fn prepared<'a>(ward: &'a Ward, config: &str) -> Guard<'a> {
    Guard::prepare(ward.net.server(), &ward.dir().join("node"), config).unwrap()
}

/// The code must be this one; on failure there is one line for people, and it holds these words.
fn expect(answer: &Answer, code: i32, words: &[&str]) {
    assert_eq!(answer.code, code, "{answer:?}");
    for word in words {
        assert!(answer.err.to_lowercase().contains(&word.to_lowercase()), "{word} is missing in {answer:?}");
    }
    if code == REFUSED || code == UNREACHABLE {
        assert!(!answer.err.trim().is_empty() && !answer.err.contains("panicked"), "{answer:?}");
    }
}

fn run(command: &mut Command) -> Answer {
    let limit = Duration::from_secs(10);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = until("the program refuses", limit, || matches!(child.try_wait(), Ok(Some(_))));
    if ended.is_err() {
        let _ = child.kill();
    }
    let done = child.wait_with_output().unwrap();
    ended.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Answer { code: done.status.code().unwrap_or(-1), out: text(&done.stdout), err: text(&done.stderr) }
}

struct Session(Child);

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
