//! sshd on a member's host, where nobody gets in.

use std::{fs, net::TcpStream, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use super::{Wire, address};
use crate::process::{Running, Stop, until};

/// A running sshd on port 22. Dropping it ends it.
#[derive(Debug)]
pub struct Sshd {
    _running: Running,
}

impl Sshd {
    /// Starts it on a node's host and waits until it listens.
    pub fn open(wire: &Wire, node: usize) -> Self {
        let dir = wire.dir.path().join(format!("sshd-{node}"));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        // sshd insists on this directory; packages and units make it at boot.
        fs::create_dir_all("/run/sshd").unwrap();
        let (key, config) = (dir.join("key"), dir.join("config"));
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success(), "ssh-keygen failed");
        let text = format!(
            "Port 22\nHostKey {}\nPidFile none\nUsePAM yes\nStrictModes no\nPermitRootLogin yes\nMaxStartups 200\n\
             PasswordAuthentication yes\nKbdInteractiveAuthentication no\nPrintMotd no\n",
            key.display()
        );
        fs::write(&config, text).unwrap();
        let mut command = wire.nodes[node].command("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(&config);
        let running = Running::start(command, &dir.join("log")).unwrap();
        let listens = || TcpStream::connect((address(node), 22)).is_ok();
        wire.nodes[node].inside(|| until("sshd listens", Duration::from_secs(10), listens).unwrap()).unwrap();
        Self { _running: running }
    }
}

impl Wire {
    /// Fails once to log in on a node, from one of the attacker's addresses.
    pub fn mistype(&self, node: usize, from: std::net::Ipv4Addr) {
        let mut command = self.attacker.command("sshpass");
        command.args(["-p", "no such password", "ssh", "-b", &from.to_string(), "-F", "none"]);
        for option in [
            "NumberOfPasswordPrompts=1",
            "PubkeyAuthentication=no",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "ConnectTimeout=10",
        ] {
            command.args(["-o", option]);
        }
        command.args([&format!("root@{}", address(node)), "true"]);
        let log = self.dir.path().join(format!("ssh-{node}-{from}.log"));
        let _ = Running::start(command, &log).unwrap().wait(&Stop::after(Duration::from_secs(30))).unwrap();
    }
}
