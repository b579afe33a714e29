//! A real sshd in a namespace: who has logged in is protected, who has merely connected is not.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use smartfw_core::protect::Why;

use super::*;
use crate::testing::Namespace;

/// A namespace with an sshd of its own on port 2222, and a key that opens it for root and nobody.
struct Lab {
    space: Namespace,
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

const SSH: [&str; 10] = [
    "-F",
    "none",
    "-p",
    "2222",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
];

impl Lab {
    fn new(what: &str) -> Option<Self> {
        let space = Namespace::new(what)?;
        if Command::new("/usr/sbin/sshd").arg("-V").output().is_err() {
            println!("skipped: there is no /usr/sbin/sshd");
            return None;
        }
        space.ip("link set lo up");
        let mut lab = Self { space, folder: tempfile::tempdir().unwrap(), children: Vec::new() };
        lab.serve();
        Some(lab)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn serve(&mut self) {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        for key in ["host", "user"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f", &self.path(key)])
                .status();
            assert!(made.unwrap().success());
        }
        fs::set_permissions(self.path("user.pub"), fs::Permissions::from_mode(0o644)).unwrap();
        let lines = format!(
            "Port 2222\nHostKey {}\nAuthorizedKeysFile {}\nPermitRootLogin yes\nStrictModes no\nPidFile none\nUsePAM no\n\
             MaxStartups 100\nAllowTcpForwarding yes\nGatewayPorts yes\n",
            self.path("host"),
            self.path("user.pub")
        );
        fs::write(self.path("sshd.conf"), lines).unwrap();
        let arguments =
            ["-D".to_owned(), "-E".to_owned(), self.path("log"), "-f".to_owned(), self.path("sshd.conf")];
        self.start("/usr/sbin/sshd", &arguments.each_ref().map(String::as_str));
        let up =
            || fs::read_to_string(self.path("log")).unwrap_or_default().contains("Server listening on ::");
        assert!(within(Duration::from_secs(10), up), "sshd did not start");
    }

    fn start(&mut self, program: &str, arguments: &[&str]) {
        let mut command = self.space.command(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.children.push(command.spawn().unwrap());
    }

    /// Logs in with the key, from `source`.
    fn log_in(&mut self, user: &str, source: &str, more: &[&str]) {
        let (key, user) = (self.path("user"), format!("{user}@127.0.0.1"));
        let arguments = [&SSH[..], &["-i", &key, "-b", source], more, &[&user]].concat();
        self.start("ssh", &arguments);
    }

    fn watcher(&self) -> Watcher {
        let sessions_file = Some(self.folder.path().join("sessions.json"));
        Watcher::new(HostConfig { sessions_file, ..HostConfig::default() }).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        // What those started lives in the namespace, alone.
        let pids = Command::new("ip").args(["netns", "pids", self.space.name()]).output().unwrap().stdout;
        for pid in String::from_utf8_lossy(&pids).split_whitespace() {
            let _ = Command::new("kill").arg(pid).status();
        }
    }
}

fn within(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn sessions(scanner: &mut Scanner) -> Vec<(String, String)> {
    scanner.scan().into_iter().map(|session| (session.address.to_string(), session.user)).collect()
}

#[test]
fn only_who_has_logged_in_has_a_session() {
    let Some(mut lab) = Lab::new("ssh") else { return };
    // Sessions of every kind: with a command, with a terminal, without a session, of another user than root.
    lab.log_in("root", "127.1.0.1", &["-tt"]);
    lab.log_in("root", "127.1.0.2", &["-N"]);
    lab.log_in("nobody", "127.1.0.3", &["-N"]);
    // A connection that says nothing, one that waits at the password prompt as root, one as a user who does not exist.
    lab.start("bash", &["-c", "exec 3<>/dev/tcp/127.0.0.1/2222; sleep 60"]);
    for (user, source) in [("root", "127.2.0.1"), ("ghost", "127.2.0.2"), ("nobody", "127.2.0.3")] {
        let target = format!("{user}@127.0.0.1");
        let prompt = ["-w", "ssh", "-o", "PubkeyAuthentication=no", "-b", source, &target];
        // `setsid -w`, with an asking program that never answers.
        let arguments = [&prompt[..2], &SSH[..], &prompt[2..]].concat();
        let mut command = lab.space.command("setsid");
        let asking = lab.path("ask");
        fs::write(&asking, "#!/bin/sh\nexec sleep 60\n").unwrap();
        fs::set_permissions(&asking, fs::Permissions::from_mode(0o755)).unwrap();
        command.args(arguments).env("SSH_ASKPASS", &asking).env("SSH_ASKPASS_REQUIRE", "force");
        lab.children
            .push(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    // And one that fails password after password.
    let words = lab.path("words");
    fs::write(&words, (0..200).map(|n| format!("wrong{n}\n")).collect::<String>()).unwrap();
    lab.start("hydra", &["-l", "root", "-P", &words, "-t", "4", "-s", "2222", "127.0.0.1", "ssh"]);

    let mut scanner = lab.space.inside(|| Scanner::new(Path::new("/")));
    let expected = [("127.1.0.1", "root"), ("127.1.0.2", "root"), ("127.1.0.3", "nobody")];
    let expected: Vec<_> = expected.map(|(a, u)| (a.to_owned(), u.to_owned())).to_vec();
    lab.space.inside(|| {
        assert!(within(Duration::from_secs(20), || sessions(&mut scanner) == expected), "{}", lab.log());
        assert!(
            within(Duration::from_secs(20), || lab.log().contains("Failed password for root")),
            "{}",
            lab.log()
        );
        for _ in 0..20 {
            assert_eq!(sessions(&mut scanner), expected);
            std::thread::sleep(Duration::from_millis(100));
        }
        // A scanner that begins now must see the same.
        assert_eq!(sessions(&mut Scanner::new(Path::new("/"))), expected);
    });
}

#[test]
fn the_ends_of_forwarded_connections_are_not_protected() {
    let Some(mut lab) = Lab::new("forward") else { return };
    lab.log_in("root", "127.1.0.1", &["-N", "-R", "127.0.0.1:7000:127.0.0.1:2222"]);
    let mut scanner = Scanner::new(Path::new("/"));
    lab.space.inside(|| {
        assert!(within(Duration::from_secs(20), || !sessions(&mut scanner).is_empty()), "{}", lab.log());
    });
    lab.start("bash", &["-c", "exec 3<>/dev/tcp/127.0.0.1/7000; sleep 60"]);
    lab.space.inside(|| {
        assert!(within(Duration::from_secs(10), || {
            let mut connections = 0;
            crate::ssh::table::each(
                Path::new("/proc/thread-self/net"),
                crate::ssh::table::Table::Tcp,
                |row| {
                    connections += usize::from(row.state == 1 && row.local.port() == 7000);
                },
            );
            connections > 0
        }));
        let only = [("127.1.0.1".to_owned(), "root".to_owned())];
        assert_eq!(sessions(&mut scanner), only);
        assert_eq!(sessions(&mut Scanner::new(Path::new("/"))), only);
    });
}

#[test]
fn a_login_is_protected_within_a_second_and_survives_its_end_and_a_restart() {
    let Some(mut lab) = Lab::new("watch") else { return };
    let address = "10.66.0.9/32";
    lab.space.ip("addr add 10.66.0.1/32 dev lo");
    lab.space.ip("addr add 10.66.0.9/32 dev lo");
    let is_session = |observed: &Observed| {
        observed.protected.iter().any(|e| e.net == address.parse().unwrap() && e.why == Why::SshSession)
    };
    let mut watcher = lab.space.inside(|| lab.watcher());
    assert!(!is_session(watcher.observed()));
    lab.log_in("root", "10.66.0.9", &["-N"]);
    lab.space.inside(|| {
        assert!(
            within(Duration::from_secs(20), || lab.log().contains("Accepted publickey")),
            "{}",
            lab.log()
        );
        let accepted = Instant::now();
        while !is_session(watcher.observed()) {
            watcher.next(Duration::from_millis(200)).unwrap();
            assert!(accepted.elapsed() < Duration::from_millis(1500), "not protected in time");
        }
    });
    let mut session = lab.children.pop().unwrap();
    session.kill().unwrap();
    session.wait().unwrap();
    lab.space.inside(|| {
        let mut scanner = Scanner::new(Path::new("/"));
        assert!(within(Duration::from_secs(10), || scanner.scan().is_empty()));
        watcher.next(Duration::from_millis(1200)).unwrap();
        assert!(is_session(watcher.observed()), "the hour after the session");
        drop(watcher);
        assert!(is_session(lab.watcher().observed()), "after a restart");
    });
}

#[test]
fn a_new_address_and_a_new_gateway_are_protected_at_once() {
    let Some(space) = Namespace::new("place") else { return };
    space.ip("link add v0 type veth peer name v1");
    space.ip("link set v0 up");
    space.inside(|| {
        let mut watcher =
            Watcher::new(HostConfig { root: "/nonexistent".into(), sessions_file: None }).unwrap();
        let mut sees = |target: &str, why: Why| {
            within(Duration::from_secs(1), || {
                watcher.next(Duration::from_millis(100)).unwrap();
                let found = watcher.observed().protected.iter();
                found.into_iter().any(|e| e.net == target.parse().unwrap() && e.why == why)
            })
        };
        assert!(!sees("10.9.0.2/32", Why::Own));
        space.ip("addr add 10.9.0.2/24 dev v0");
        assert!(sees("10.9.0.2/32", Why::Own));
        space.ip("route add default via 10.9.0.1");
        assert!(sees("10.9.0.1/32", Why::Gateway));
    });
}

#[test]
fn a_state_folder_that_cannot_be_written_is_a_problem_not_an_end() {
    let sessions_file = Some("/proc/nonexistent/sessions.json".into());
    let watcher = Watcher::new(HostConfig { sessions_file, root: "/nonexistent".into() }).unwrap();
    assert!(watcher.problems()[0].starts_with("sessions are not kept"), "{:?}", watcher.problems());
}
