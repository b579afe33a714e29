//! Can the kernel be told to drop, and does it hold what it shall?

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use smartfw_enforce::{Enforcer as _, Iptables, Options};

use super::{Check, number};

/// What enforcement spawns, and the package that has it.
const PROGRAMS: [(&str, &str); 5] = [
    ("iptables", "iptables"),
    ("ip6tables", "iptables"),
    ("iptables-restore", "iptables"),
    ("ipset", "ipset"),
    ("ip", "iproute2"),
];
/// Per cent of the connection table that are worth a word, and those that are as good as full.
const CONNTRACK: (u64, u64) = (75, 95);

pub(super) fn checks() -> Vec<Check> {
    let mut checks = vec![programs(), capabilities()];
    checks.extend(enforcer());
    checks.extend([ipv6(), conntrack(), syncookies()]);
    checks
}

fn programs() -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(name, _)| !folders.iter().any(|folder| folder.join(name).is_file()))
        .collect();
    if missing.is_empty() {
        return Check::ok("programs", "iptables, ip6tables and ipset are installed");
    }
    let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let remedy = format!("apt-get install {}", packages.join(" "));
    Check::fail("programs", format!("not installed: {}", names.join(", ")), remedy)
}

/// Of this process: the daemon's own are in its health.
fn capabilities() -> Check {
    const NAME: &str = "capabilities";
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if missing.is_empty() {
        return Check::ok(NAME, "CAP_NET_ADMIN and CAP_NET_RAW are here");
    }
    let what = format!("this process lacks {}: not everything can be checked", missing.join(" and "));
    Check::warn(NAME, what, "sudo smartfw-cli doctor")
}

pub(super) fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let wanted = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW")];
    wanted.into_iter().filter(|(bit, _)| mask >> bit & 1 == 0).map(|(_, name)| name).collect()
}

/// What needs the right to ask the kernel.
fn enforcer() -> Vec<Check> {
    if !nix::unistd::geteuid().is_root() {
        return Vec::new();
    }
    let mut iptables = match Iptables::open(Options::default()) {
        Ok(iptables) => iptables,
        Err(error) => return vec![Check::fail("iptables", error.to_string(), "see there")],
    };
    vec![back_ends(version().as_deref(), legacy_tables()), sets(&mut iptables), rules(&mut iptables)]
}

/// The tables that the older back end has loaded into the kernel.
fn legacy_tables() -> Vec<String> {
    let files = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"];
    let mut names: Vec<String> = Vec::new();
    for file in files {
        names.extend(fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

/// What `iptables` says of itself: `iptables v1.8.9 (nf_tables)`.
fn version() -> Option<String> {
    let output = Command::new("iptables").arg("--version").stdin(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

pub(super) fn back_ends(version: Option<&str>, legacy: Vec<String>) -> Check {
    const NAME: &str = "back ends";
    let Some(version) = version.map(str::trim) else {
        return Check::fail(NAME, "iptables does not say its version", "iptables --version");
    };
    if version.contains("nf_tables") && !legacy.is_empty() {
        let tables = legacy.join(", ");
        return Check::warn(
            NAME,
            format!("{version}, but legacy tables are loaded as well ({tables}): two sets of rules"),
            "see `iptables-legacy-save`; use one back end (update-alternatives --config iptables)",
        );
    }
    Check::ok(NAME, format!("{version} alone"))
}

fn sets(iptables: &mut Iptables) -> Check {
    match iptables.tally() {
        Ok(tally) => {
            let (hard, soft, protected) = (tally.hard, tally.soft, tally.protected);
            Check::ok("kernel sets", format!("{hard} hard, {soft} soft, {protected} protected"))
        }
        Err(error) => Check::fail("kernel sets", error.to_string(), "smartfw-cli enable"),
    }
}

fn rules(iptables: &mut Iptables) -> Check {
    const NAME: &str = "kernel rules";
    match iptables.verify() {
        Ok(findings) if findings.is_empty() => Check::ok(NAME, "all are in place"),
        Ok(findings) => {
            let first = findings.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let what = format!("{} to repair: {first}", findings.len());
            Check::warn(NAME, what, "a running daemon repairs them within 5 s; else smartfw-cli enable")
        }
        Err(error) => Check::fail(NAME, error.to_string(), "see there"),
    }
}

fn ipv6() -> Check {
    const NAME: &str = "ipv6";
    if !Path::new("/proc/net/if_inet6").exists() {
        return Check::ok(NAME, "this kernel has none: nothing to protect");
    }
    Check::ok(NAME, "the kernel has it; blocks cover it")
}

fn conntrack() -> Check {
    let folder = "/proc/sys/net/netfilter";
    let count = number(&format!("{folder}/nf_conntrack_count"));
    let max = number(&format!("{folder}/nf_conntrack_max"));
    match (count, max) {
        (Some(count), Some(max)) => fullness(count, max),
        _ => Check::ok("conntrack", "not loaded: soft blocks load it when they are needed"),
    }
}

pub(super) fn fullness(count: u64, max: u64) -> Check {
    const NAME: &str = "conntrack";
    let percent = (u128::from(count) * 100 / u128::from(max.max(1))) as u64;
    let what = format!("{count} of {max} connections ({percent}%)");
    let remedy = "sysctl -w net.netfilter.nf_conntrack_max=…; look for a flood with `smartfw-cli top`";
    match percent {
        percent if percent >= CONNTRACK.1 => Check::fail(NAME, what, remedy),
        percent if percent >= CONNTRACK.0 => Check::warn(NAME, what, remedy),
        _ => Check::ok(NAME, what),
    }
}

fn syncookies() -> Check {
    const NAME: &str = "syn cookies";
    match number("/proc/sys/net/ipv4/tcp_syncookies") {
        Some(0) => Check::warn(
            NAME,
            "off: a SYN flood from forged addresses keeps clients out",
            "sysctl -w net.ipv4.tcp_syncookies=1",
        ),
        Some(_) => Check::ok(NAME, "on"),
        None => Check::warn(NAME, "cannot be read", "run this where /proc/sys is visible"),
    }
}
