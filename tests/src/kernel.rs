//! What the kernel of a namespace really holds and lets through, found without asking SmartFW.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use smartfw_core::IpNet;

use crate::namespace::Namespace;

/// An entry of one of SmartFW's block sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The set's name.
    pub set: String,
    /// The address or prefix, as the kernel prints it.
    pub target: String,
}

impl Entry {
    /// Whether the entry is this address, or a prefix that holds it.
    pub fn covers(&self, address: IpAddr) -> bool {
        match (self.target.parse::<IpNet>(), self.target.parse::<IpAddr>()) {
            (Ok(net), _) => net.contains(&address),
            (_, Ok(host)) => host == address,
            _ => false,
        }
    }
}

/// The entries of the sets that drop something.
pub fn blocked(server: &Namespace) -> Result<Vec<Entry>> {
    let done = server.command("ipset").args(["save"]).output().context("cannot run ipset")?;
    ensure!(done.status.success(), "ipset save: {}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout)?;
    let entry = |line: &str| {
        let mut words = line.strip_prefix("add ")?.split(' ');
        let set =
            words.next().filter(|set| set.starts_with("smartfw_hard") || set.starts_with("smartfw_soft"))?;
        Some(Entry { set: set.to_owned(), target: words.next()?.to_owned() })
    };
    Ok(text.lines().filter_map(entry).collect())
}

/// Whether the kernel's sets hold this address, alone or within a prefix.
pub fn drops(server: &Namespace, address: IpAddr) -> Result<bool> {
    Ok(blocked(server)?.iter().any(|entry| entry.covers(address)))
}

/// Open connections of a remote address to a local port.
pub fn connections(server: &Namespace, port: u16, remote: IpAddr) -> Result<usize> {
    let IpAddr::V4(remote) = remote else { anyhow::bail!("only IPv4 connections are counted") };
    let remote = u32::from_le_bytes(remote.octets());
    // An IPv4 connection to a socket that listens on IPv6 stands in the other table, as a mapped address.
    let plain = format!("{remote:08X}:");
    let mapped = format!("0000000000000000FFFF0000{remote:08X}:");
    let count = |file: &str, remote: &str| -> Result<usize> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let open = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words[..], [_, local, far, "01" | "08", ..]
                if local.ends_with(&format!(":{port:04X}")) && far.starts_with(remote))
        };
        Ok(text.lines().filter(open).count())
    };
    server.inside(|| {
        Ok(count("/proc/thread-self/net/tcp", &plain)? + count("/proc/thread-self/net/tcp6", &mapped)?)
    })?
}

/// Runs a command in the namespace with this on its standard input.
pub fn feed(server: &Namespace, program: &str, args: &[&str], input: &str) -> Result<String> {
    let mut command: Command = server.command(program);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(input.as_bytes())?;
    let done = child.wait_with_output()?;
    ensure!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}

/// Counts packets of some sources before SmartFW's hooks and behind them, with rules of its own in the kernel.
#[derive(Debug)]
pub struct Meter<'a> {
    server: &'a Namespace,
    table: String,
}

/// Whose packets are counted.
#[derive(Clone, Copy, Debug)]
pub enum Sources {
    /// One address.
    One(IpAddr),
    /// Every IPv4 address outside of the laboratory's networks.
    Forged,
}

/// What a [`Meter`] counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Packets that came.
    pub seen: u64,
    /// Packets that went through SmartFW's hooks.
    pub passed: u64,
}

impl<'a> Meter<'a> {
    /// Installs the counters under this name, which must be one word.
    pub fn install(server: &'a Namespace, name: &str, sources: Sources) -> Result<Self> {
        let of = match sources {
            Sources::One(IpAddr::V4(v4)) => format!("ip saddr {v4}"),
            Sources::One(IpAddr::V6(v6)) => format!("ip6 saddr {v6}"),
            Sources::Forged => {
                "ip saddr != { 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 127.0.0.0/8 }".to_owned()
            }
        };
        let table = format!("lab_{name}");
        let mut text = format!("table inet {table} {{ counter a_seen {{ }}\n counter b_passed {{ }}\n");
        // raw is -300, mangle -150, the destination's translation -100.
        for (chain, priority, counter) in [("first", -350, "a_seen"), ("last", -90, "b_passed")] {
            let hook = format!("type filter hook prerouting priority {priority}; policy accept;");
            writeln!(text, "chain {chain} {{ {hook} iifname eth0 {of} counter name {counter}; }}")?;
        }
        text.push('}');
        feed(server, "nft", &["-f", "-"], &text)?;
        Ok(Self { server, table })
    }

    /// What was counted until now.
    pub fn read(&self) -> Result<Reading> {
        let text = feed(self.server, "nft", &["list", "counters", "table", "inet", &self.table], "")?;
        let mut counts = text.lines().filter_map(|line| line.trim().strip_prefix("packets "));
        let mut next = || -> Result<u64> {
            let count =
                counts.next().and_then(|rest| rest.split(' ').next()).context("nft shows no counter")?;
            Ok(count.parse()?)
        };
        Ok(Reading { seen: next()?, passed: next()? })
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        let _ = self.server.command("nft").args(["delete", "table", "inet", &self.table]).output();
    }
}

impl Reading {
    /// Packets that were dropped on the way.
    pub fn dropped(self) -> u64 {
        self.seen.saturating_sub(self.passed)
    }
}
