//! Whoever takes the protection away, it comes back.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::time::Duration;

use common::*;
use nix::sched::{CloneFlags, unshare};
use smartfw_core::{Strength, enforcement::Enforced};
use smartfw_enforce::{Backend, Enforcer, Iptables, Reconciler, Trouble, Watch};

/// Something foreign that takes protection away: its command lines, `{}` standing for the engine.
type Harm = &'static [&'static str];

const HARM: &[Harm] = &[
    &["iptables-{} -t raw -F", "ip6tables-{} -t raw -F"],
    &["iptables-{} -t mangle -F", "ip6tables-{} -t mangle -F"],
    &["iptables-{} -t raw -D PREROUTING 1", "ip6tables-{} -t raw -D PREROUTING 1"],
    &["iptables-{} -t raw -F", "iptables-{} -t raw -X"],
    &["iptables-{} -t raw -I PREROUTING 1 -j ACCEPT", "ip6tables-{} -t mangle -I PREROUTING 1 -j ACCEPT"],
    &["iptables-{} -t raw -I SMARTFW 1 -j RETURN", "ip6tables-{} -t raw -I SMARTFW 1 -j RETURN"],
    &["iptables-{} -t raw -D SMARTFW 3", "iptables-{} -t raw -I PREROUTING 1 -j SMARTFW"],
    &["ipset flush"],
    &["ipset flush smartfw_hard4"],
    &["ipset flush smartfw_soft6"],
    &["ipset del smartfw_hard4 10.77.0.2"],
    &["ipset del smartfw_pass4 10.77.0.3"],
    &[
        "iptables-{} -t raw -F",
        "iptables-{} -t mangle -F",
        "ip6tables-{} -t raw -F",
        "ip6tables-{} -t mangle -F",
        "ipset destroy",
    ],
    &[
        "iptables-{} -t raw -F SMARTFW",
        "iptables-{} -t mangle -F SMARTFW",
        "ipset destroy smartfw_hard4",
        "ipset create smartfw_hard4 hash:ip",
    ],
];

fn desired() -> Enforced {
    let entries = [
        entry("10.77.0.0/24", Strength::Hard, None),
        entry(PEER[0], Strength::Hard, Some(600)),
        entry(PEER[1], Strength::Soft, Some(600)),
        entry("198.51.100.0/24", Strength::Soft, Some(90 * 24 * 3600)),
    ];
    state(entries, &[OTHER[0]])
}

fn protects(wire: &Wire, enforcer: &mut Iptables) -> bool {
    let dropped = !wire.pings(PEER[0], HOST[0]) && !wire.pings(PEER[1], HOST[1]);
    let whole = enforcer.verify().unwrap().is_empty();
    dropped && whole && wire.pings(OTHER[0], HOST[0])
}

fn harm(line: &str, engine: &str) {
    // The kernel lets go of sets a moment after the rules of nf_tables are gone.
    let line = line.replace("{}", engine);
    let done = (0..100).any(|_| {
        let done = succeeds(&line);
        if !done {
            std::thread::sleep(Duration::from_millis(10));
        }
        done
    });
    assert!(done, "{line}");
}

fn each_harm_is_repaired(backend: Backend, engine: &'static str) {
    on_a_wire(move |wire| {
        let (mut enforcer, mut reconciler) = (open(backend), Reconciler::default());
        let desired = desired();
        reconcile(&mut reconciler, &mut enforcer, &desired);
        assert!(protects(wire, &mut enforcer));
        for lines in HARM {
            let mut fresh = Reconciler::default();
            reconcile(&mut fresh, &mut enforcer, &desired);
            lines.iter().for_each(|line| harm(line, engine));
            // The daemon looks every two seconds.
            std::thread::sleep(Duration::from_millis(2000));
            let repair = reconcile(&mut fresh, &mut enforcer, &desired);
            assert!(!repair.is_clean() && repair.failed.is_empty(), "{lines:?}: {repair:?}");
            assert!(protects(wire, &mut enforcer), "{lines:?}: {repair:?}");
            assert!(reconcile(&mut fresh, &mut enforcer, &desired).is_clean(), "{lines:?}");
        }
    });
}

#[test]
fn every_harm_is_repaired_on_nft() {
    each_harm_is_repaired(Backend::Nft, "nft");
}

#[test]
fn every_harm_is_repaired_on_legacy() {
    each_harm_is_repaired(Backend::Legacy, "legacy");
}

#[test]
fn a_flushed_ruleset_wakes_the_watch_and_is_repaired() {
    on_a_wire(|wire| {
        let (mut enforcer, mut reconciler) = (open(Backend::Nft), Reconciler::default());
        let mut watch = Watch::open().unwrap();
        reconcile(&mut reconciler, &mut enforcer, &desired());
        assert!(watch.clear().unwrap());
        assert!(!watch.wait(Duration::from_millis(50)).unwrap());
        sh("nft flush ruleset");
        assert!(watch.wait(Duration::from_secs(1)).unwrap());
        assert_eq!(reconcile(&mut reconciler, &mut enforcer, &desired()).findings.len(), 8);
        assert!(protects(wire, &mut enforcer));
    });
}

#[test]
fn a_foreign_ruleset_loaded_as_a_whole_is_kept_behind_ours() {
    on_a_wire(|wire| {
        for backend in [Backend::Nft, Backend::Legacy] {
            let (mut enforcer, mut reconciler) = (open(backend), Reconciler::default());
            reconcile(&mut reconciler, &mut enforcer, &desired());
            let restore =
                if backend == Backend::Nft { "iptables-nft-restore" } else { "iptables-legacy-restore" };
            feed(restore, "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n");
            let repair = reconcile(&mut reconciler, &mut enforcer, &desired());
            assert_eq!(repair.findings.len(), 2, "{repair:?}");
            assert!(protects(wire, &mut enforcer));
            let rules = sh(&restore.replace("restore", "save"));
            assert!(
                rules.contains("-A PREROUTING -j SMARTFW\n-A PREROUTING -s 10.0.0.0/8 -j ACCEPT\n"),
                "{rules}"
            );
            enforcer.remove().unwrap();
        }
    });
}

#[test]
fn the_other_engines_leftovers_are_removed_once_ours_protect() {
    on_a_wire(|wire| {
        for (old, new) in [(Backend::Legacy, Backend::Nft), (Backend::Nft, Backend::Legacy)] {
            open(old).install(&[]).unwrap();
            let mut enforcer = open(new);
            let installed = enforcer.install(&[]).unwrap();
            let foreign = installed.mended.iter().filter(|f| f.trouble == Trouble::Foreign).count();
            assert_eq!(foreign, 4, "{installed:?}");
            block(&mut enforcer, PEER[0], Strength::Hard);
            assert!(!wire.pings(PEER[0], HOST[0]));
            enforcer.remove().unwrap();
        }
    });
}

#[test]
fn what_is_in_order_is_left_untouched() {
    on_a_wire(|wire| {
        for backend in [Backend::Nft, Backend::Legacy] {
            let mut enforcer = open(backend);
            enforcer.install(&[]).unwrap();
            block(&mut enforcer, PEER[0], Strength::Hard);
            assert!(!wire.pings(PEER[0], HOST[0]));
            let before = sh("iptables-save -c -t raw");
            let installed = enforcer.install(&[]).unwrap();
            assert_eq!(installed.mended, [], "{installed:?}");
            let counted = |text: &str| {
                text.lines().filter(|line| line.starts_with('[')).map(String::from).collect::<Vec<_>>()
            };
            assert_eq!(counted(&sh("iptables-save -c -t raw")), counted(&before));
            enforcer.remove().unwrap();
        }
    });
}

#[test]
fn who_finds_a_table_missing_learns_it_by_installing() {
    on_a_wire(|wire| {
        without_legacy_raw();
        open(Backend::Legacy).install(&[]).unwrap();
        // Another instance, as the repairer has one.
        let (mut enforcer, mut reconciler) = (open(Backend::Legacy), Reconciler::default());
        reconcile(&mut reconciler, &mut enforcer, &desired());
        assert!(protects(wire, &mut enforcer));
        sh("iptables-legacy -t mangle -F");
        assert!(!reconcile(&mut reconciler, &mut enforcer, &desired()).is_clean());
        assert!(protects(wire, &mut enforcer));
    });
}

/// Puts programs before the old engine's, for this thread and its children, that know no table `raw`.
fn without_legacy_raw() {
    const PROGRAM: &str = "#!/bin/sh\ninput=$(cat)\ncase \"$*$input\" in *'-t raw'*|*'*raw'*) exit 1;; esac\n\
        printf '%s\\n' \"$input\" | exec \"/usr/sbin/${0##*/}\" \"$@\"\n";
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    sh("mount --make-rprivate /");
    sh("mount -t tmpfs none /usr/local/sbin");
    for name in ["iptables", "ip6tables"]
        .map(|family| ["save", "restore"].map(|verb| format!("{family}-legacy-{verb}")))
        .concat()
    {
        let path = format!("/usr/local/sbin/{name}");
        std::fs::write(&path, PROGRAM).unwrap();
        sh(&format!("chmod +x {path}"));
    }
}
