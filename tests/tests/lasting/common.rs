//! What the tests of lasting protection share.

use std::{
    fmt::Write as _,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use smartfw_tests::{
    daemon::Guard,
    kernel::{self, Meter},
    namespace::Namespace,
    net::{Host, Side},
    ward::{Knocker, Ward, silence},
};

/// How long a repair may take.
pub(super) const REPAIR: Duration = Duration::from_secs(5);
/// How long an order may take until the kernel does as it says.
pub(super) const ORDER: Duration = Duration::from_secs(2);

/// An attacker who knocks in vain.
pub(super) struct Blocked<'a> {
    pub(super) meter: Meter<'a>,
    pub(super) _knocker: Knocker,
    pub(super) attacker: Host,
}

/// Blocks an attacker by order, and waits until nothing of his knocking passes.
pub(super) fn blocked<'a>(ward: &'a Ward, guard: &Guard<'_>) -> Blocked<'a> {
    let attacker = ward.net.host(Side::Attackers).unwrap();
    let _knocker = Knocker::v4(&attacker).unwrap();
    let meter = ward.meter(attacker.v4.into()).unwrap();
    guard.order(&["block", &attacker.v4.to_string(), "--for", "1h"]).unwrap();
    silence(&meter, ORDER).unwrap();
    Blocked { meter, _knocker, attacker }
}

/// Lets somebody do damage to the kernel's tables, and waits for the repair.
pub(super) fn repaired(damage: impl FnOnce(&Namespace)) {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    damage(ward.net.server());
    println!("repaired after {:?}", silence(&meter, REPAIR).unwrap());
}

/// A list of addresses that differ from those of every other part.
pub(super) fn addresses(from: usize, count: usize) -> String {
    let mut list = String::new();
    for i in from..from + count {
        writeln!(list, "20.{}.{}.{}", i / 65536, i / 256 % 256, i % 256).unwrap();
    }
    list
}

pub(super) fn drops(ward: &Ward, host: &Host) -> bool {
    kernel::drops(ward.net.server(), host.v4.into()).unwrap()
}

pub(super) fn lists(guard: &Guard<'_>, address: IpAddr) -> bool {
    let blocks = guard.json(&["blocks"]).unwrap();
    blocks.as_array().unwrap().iter().any(|block| block["target"] == format!("{address}/32"))
}

pub(super) fn run(server: &Namespace, program: &str, args: &[&str]) {
    let done = server.command(program).args(args).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Every iptables rule and policy, without counters.
pub(super) fn rules(server: &Namespace) -> String {
    let mut text = String::new();
    for program in ["iptables-save", "ip6tables-save", "iptables-legacy-save"] {
        let done = server.command(program).output().unwrap();
        let rules = String::from_utf8_lossy(&done.stdout).into_owned();
        rules.lines().filter(|line| line.starts_with("-A")).for_each(|line| text.extend([line, "\n"]));
    }
    text
}

pub(super) fn ours(server: &Namespace, mark: &str) -> bool {
    rules(server).contains(mark)
}

/// What a reboot does to the kernel's tables.
pub(super) fn forget(server: &Namespace) {
    for program in ["iptables", "ip6tables", "iptables-legacy", "ip6tables-legacy"] {
        for table in ["raw", "mangle", "filter"] {
            let _ = server.command(program).args(["-t", table, "-F"]).output();
            let _ = server.command(program).args(["-t", table, "-X"]).output();
        }
    }
    let sets = server.command("ipset").args(["list", "-n"]).output().unwrap();
    for set in String::from_utf8_lossy(&sets.stdout).lines() {
        // The daemon may be faster: then this set is in use again, which is what is asked for.
        let _ = server.command("ipset").args(["destroy", set]).output();
    }
}

pub(super) fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
