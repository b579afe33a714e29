//! How people make a fleet, and what befalls its hosts.

use std::{fs, net::IpAddr, time::Duration};

use super::{Fleet, address};
use crate::{daemon::Guard, process::until};

/// Words for keys.
const WORDS: &str = "four random words here";

/// At its next start a node's clock is wrong by so much (`+2h`, `-30m`).
pub fn skew(guard: &mut Guard<'_>, by: &str) {
    clock(by).iter().for_each(|(name, value)| guard.set(name, value));
}

/// The environment of a program whose clock is wrong by so much; what measures time goes on as it does.
pub(super) fn clock(by: &str) -> [(&'static str, String); 3] {
    // Debian keeps it in the folder of the machine's architecture.
    let folders = fs::read_dir("/usr/lib").unwrap().flatten();
    let library =
        folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
    let library = library.expect("needs Debian's package faketime").display().to_string();
    [("LD_PRELOAD", library), ("FAKETIME", by.to_owned()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())]
}

impl Fleet<'_> {
    /// Makes a cluster with a node as its first member, and its operator's key.
    pub fn found(&self, node: usize) {
        let at = address(node).to_string();
        let root = self.root();
        self.said(node, &["cluster", "init", "--name", "prod", "--advertise", &at, "--root-file", &root]);
    }

    /// The file of the exported root.
    pub fn root(&self) -> String {
        self.wire.dir.path().join("root.pem").display().to_string()
    }

    /// Lets a node in by a token of a signer's, made with more arguments; waits until both know each other.
    #[track_caller]
    pub fn join(&self, node: usize, signer: usize, token: &[&str]) {
        let token = self.said(signer, &[&["cluster", "token", "-o", "raw"], token].concat());
        let (at, name) = (address(signer).to_string(), format!("node-{node}"));
        self.said(node, &["cluster", "join", &at, "--token", token.trim(), "--name", &name]);
        let alive = |node: usize, other: usize| {
            let name = format!("node-{other}");
            let is =
                |member: &serde_json::Value| member["name"] == name.as_str() && member["state"] == "alive";
            self.list(node, &["cluster", "nodes"]).iter().any(is)
        };
        until("they know each other", Duration::from_secs(10), || alive(node, signer) && alive(signer, node))
            .unwrap();
    }

    /// As [`order`](Self::order), where a passphrase is asked for.
    #[track_caller]
    pub fn said(&self, node: usize, args: &[&str]) -> String {
        let mut client = self.guards[node].client().unwrap();
        client.env("SMARTFW_OPERATOR_DIR", self.wire.operator()).env("SMARTFW_PASSPHRASE", WORDS);
        client.current_dir(self.wire.dir.path());
        let answer = self.guards[node].answer(client, args, "").unwrap();
        assert_eq!(answer.code, 0, "{args:?}: {}", answer.err);
        answer.out
    }

    /// A host begins anew: all of its state but the identity is gone, and the kernel is empty.
    pub fn wipe(&self, node: usize) {
        for entry in fs::read_dir(self.guards[node].state()).unwrap().flatten() {
            if entry.file_name() == "identity" {
                continue;
            }
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
        for command in [["nft", "flush", "ruleset"], ["ipset", "-q", "destroy"]] {
            let done = self.wire.nodes[node].command(command[0]).args(&command[1..]).output().unwrap();
            assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }

    /// How many targets a node's kernel drops altogether.
    pub fn held(&self, node: usize) -> usize {
        let done = self.wire.nodes[node].command("ipset").args(["list", "-t"]).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let mut dropping = false;
        let mut held = 0;
        for line in text.lines() {
            match line.split_once(": ") {
                Some(("Name", name)) => {
                    dropping = name.starts_with("smartfw_hard") || name.starts_with("smartfw_soft")
                }
                Some(("Number of entries", count)) if dropping => held += count.parse::<usize>().unwrap(),
                _ => {}
            }
        }
        held
    }

    /// For how many seconds more a node's kernel drops an address.
    pub fn remaining(&self, node: usize, target: IpAddr) -> Option<u64> {
        let done = self.wire.nodes[node].command("ipset").arg("save").output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        let target = target.to_string();
        let left = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let (set, dropped) = (*words.get(1)?, *words.get(2)?);
            let dropping = set.starts_with("smartfw_hard") || set.starts_with("smartfw_soft");
            let at = words.iter().position(|word| *word == "timeout")?;
            (words[0] == "add" && dropping && dropped == target).then(|| words[at + 1].parse().ok())?
        };
        text.lines().filter_map(left).max()
    }
}
