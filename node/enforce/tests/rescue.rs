//! Without the daemon: after a reboot, and when a person needs a way out.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{path::Path, time::Duration};

use common::*;
use nix::sched::{CloneFlags, unshare};
use smartfw_core::{Strength, enforcement::Enforced};
use smartfw_enforce::{
    Backend, Enforcer, Options, Reconciler, preflight,
    rescue::{self, Action, take_notes},
    snapshot::{self, Restored, Suspension},
};

const FOREIGN: &str = "*filter\n:INPUT ACCEPT [0:0]\n:MINE - [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j MINE\n\
    -A INPUT -m set --match-set other src -j DROP\nCOMMIT\n\
    *raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 198.51.100.7/32 -j DROP\nCOMMIT\n";

fn desired() -> Enforced {
    let entries = [
        entry(PEER[0], Strength::Hard, Some(600)),
        entry("2001:db8:77::/64", Strength::Hard, None),
        entry("198.51.100.0/24", Strength::Soft, Some(90 * 24 * 3600)),
    ];
    state(entries, &[OTHER[0], OTHER[1]])
}

fn enforce(backend: Backend) {
    let mut enforcer = open(backend);
    reconcile(&mut Reconciler::default(), &mut enforcer, &desired());
}

/// Every rule, chain and set that somebody made, without counters and dates. Empty tables are nobody's.
fn made_by_anybody() -> String {
    let programs = ["iptables-nft-save", "iptables-legacy-save", "ip6tables-nft-save", "ipset save"];
    let mut made = String::new();
    for program in programs {
        let text = sh(program);
        let mut table = "";
        for line in text.lines() {
            match line.split_at_checked(1) {
                Some(("*", name)) => table = name,
                Some((":", chain)) if chain.contains(" - ") => {
                    made += &format!("{program} {table} {}\n", chain.split(' ').next().unwrap())
                }
                Some(("-" | "a" | "c", _)) => made += &format!("{program} {table} {line}\n"),
                _ => {}
            }
        }
    }
    made
}

fn mentions_us(state: &str) -> bool {
    state.to_lowercase().contains("smartfw")
}

#[test]
fn disable_removes_everything_of_ours_and_nothing_else() {
    for backend in [Backend::Nft, Backend::Legacy] {
        on_a_wire(move |wire| {
            let state = tempfile::tempdir().unwrap();
            sh("ipset create other hash:net");
            sh("ipset add other 198.51.100.9");
            feed("iptables-nft-restore", FOREIGN);
            feed("iptables-legacy-restore", FOREIGN);
            let before = made_by_anybody();
            enforce(backend);
            assert!(!wire.pings(PEER[0], HOST[0]) && mentions_us(&made_by_anybody()));

            let rescued = rescue::disable(state.path(), now()).unwrap();
            assert!(rescued.not_noted.is_none() && rescued.done.left.is_empty(), "{rescued:?}");
            assert_eq!(rescued.done.removed.len(), 4);
            assert_eq!(made_by_anybody(), before);
            assert!(wire.pings(PEER[0], HOST[0]));
            assert_eq!(take_notes(state.path()).unwrap().notes[0].action, Action::Disable);
            // Once more does no harm.
            assert_eq!(rescue::disable(state.path(), now()).unwrap().done.removed, [] as [&str; 0]);
        });
    }
}

#[test]
fn a_set_that_foreign_rules_use_is_emptied_and_named() {
    on_a_wire(|_| {
        let state = tempfile::tempdir().unwrap();
        enforce(Backend::Nft);
        sh("iptables-nft -A INPUT -m set --match-set smartfw_hard4 src -j DROP");
        sh("iptables-nft -t raw -A OUTPUT -p tcp -j SMARTFW");
        let rescued = rescue::disable(state.path(), now()).unwrap();
        assert_eq!(rescued.done.left, ["smartfw_hard4"]);
        assert!(sh("iptables-nft-save").contains("-A INPUT -m set --match-set smartfw_hard4 src -j DROP"));
        assert!(!sh("iptables-nft-save").contains("SMARTFW"));
        assert_eq!(sh("ipset list -n"), "smartfw_hard4\n");
        assert!(sh("ipset list smartfw_hard4").contains("Number of entries: 0"));
    });
}

#[test]
fn panic_ends_with_what_was_enforced_before() {
    on_a_wire(|wire| {
        let state = tempfile::tempdir().unwrap();
        enforce(Backend::Default);
        rescue::panic(state.path(), now(), Duration::from_secs(2)).unwrap();
        assert!(wire.pings(PEER[0], HOST[0]));
        // A reboot meanwhile restores nothing.
        let restored = snapshot::restore(state.path(), now(), Options::default()).unwrap();
        assert!(matches!(restored, Restored::Suspended(Suspension::Panic(_))), "{restored:?}");
        assert!(rescue::wait_for_end(state.path(), now()).unwrap());
        rescue::enable(state.path(), now(), Options::default()).unwrap();
        assert!(!wire.pings(PEER[0], HOST[0]) && wire.pings(OTHER[0], HOST[0]));
        let actions: Vec<_> = take_notes(state.path()).unwrap().notes.iter().map(|n| n.action).collect();
        assert_eq!(actions, [Action::Panic, Action::Enable]);
    });
}

#[test]
fn unblock_ends_every_block_that_touches_the_target_even_after_a_reboot() {
    on_a_wire(|wire| {
        let state = tempfile::tempdir().unwrap();
        enforce(Backend::Default);
        snapshot::save(state.path(), now(), &desired()).unwrap();
        for family in [0, 1] {
            assert!(!wire.pings(PEER[family], HOST[family]));
            let rescued = rescue::unblock(state.path(), now(), net(PEER[family]), false).unwrap();
            assert_eq!(rescued.done.len(), 1);
            assert!(wire.pings(PEER[family], HOST[family]));
        }
        assert_eq!(rescue::unblock(state.path(), now(), net("203.0.113.1"), false).unwrap().done, []);
        open(Backend::Default).remove().unwrap();
        snapshot::restore(state.path(), now(), Options::default()).unwrap();
        assert!(wire.pings(PEER[0], HOST[0]));
        assert_eq!(open(Backend::Default).enforced(now()).unwrap().blocks.len(), 1);
    });
}

#[test]
fn allow_lets_a_blocked_target_through_at_once() {
    on_a_wire(|wire| {
        let state = tempfile::tempdir().unwrap();
        let hour = Some(Duration::from_secs(3600));
        let allow =
            |family: usize| rescue::allow(state.path(), now(), net(PEER[family]), hour, "me").unwrap();
        assert!(!allow(0).done, "nothing is enforced yet");
        enforce(Backend::Default);
        for family in [0, 1] {
            assert!(!wire.pings(PEER[family], HOST[family]));
            assert!(allow(family).done);
            assert!(wire.pings(PEER[family], HOST[family]));
        }
        assert!(sh("ipset list smartfw_pass4").contains("10.77.0.2 timeout 3"));
        let notes = take_notes(state.path()).unwrap().notes;
        assert_eq!((notes.len(), notes[2].duration, notes[2].comment.as_str()), (3, Some(3600), "me"));
    });
}

#[test]
fn a_full_disk_does_not_keep_a_person_locked_out() {
    on_a_wire(|wire| {
        enforce(Backend::Default);
        // No file can be made below a file.
        let nowhere = Path::new("/proc/version");
        let rescued = rescue::unblock(nowhere, now(), net(PEER[0]), false).unwrap();
        assert!(rescued.done.len() == 1 && rescued.not_noted.is_some());
        assert!(rescue::disable(nowhere, now()).unwrap().not_noted.is_some());
        assert!(wire.pings(PEER[1], HOST[1]));
    });
}

#[test]
fn a_reboot_brings_everything_back_and_a_saved_foreign_ruleset_does_not_stay_in_front() {
    for backend in [Backend::Nft, Backend::Legacy] {
        on_a_wire(move |wire| {
            let state = tempfile::tempdir().unwrap();
            snapshot::save(state.path(), now(), &desired()).unwrap();
            let options = Options { backend, ..Options::default() };
            let Restored::Done(loaded) = snapshot::restore(state.path(), now(), options).unwrap() else {
                panic!("suspended");
            };
            assert_eq!((loaded.blocks, loaded.protected, loaded.damaged), (3, 2, 0));
            assert!(!wire.pings(PEER[0], HOST[0]) && wire.pings(OTHER[0], HOST[0]));

            sh("ipset create other hash:net");
            feed(
                if backend == Backend::Nft { "iptables-nft-restore" } else { "iptables-legacy-restore" },
                FOREIGN,
            );
            let mut enforcer = open(backend);
            let repair = reconcile(&mut Reconciler::default(), &mut enforcer, &desired());
            assert!(!repair.findings.is_empty());
            assert!(!wire.pings(PEER[0], HOST[0]) && wire.pings(OTHER[0], HOST[0]));
            assert_eq!(enforcer.enforced(now()).unwrap().blocks.len(), 3);
        });
    }
}

#[test]
fn the_snapshot_can_be_loaded_by_hand() {
    on_a_wire(|wire| {
        let state = tempfile::tempdir().unwrap();
        snapshot::save(state.path(), now(), &desired()).unwrap();
        let boot = state.path().join("boot").display().to_string();
        sh(&format!("ipset restore -exist -file {boot}/sets.ipset"));
        sh(&format!("iptables-restore -n {boot}/rules.v4"));
        sh(&format!("ip6tables-restore -n {boot}/rules.v6"));
        assert!(!wire.pings(PEER[0], HOST[0]) && wire.pings(OTHER[0], HOST[0]));
        assert!(!wire.pings(PEER[1], HOST[1]) && wire.pings(OTHER[1], HOST[1]));
        assert_eq!(open(Backend::Default).verify().unwrap(), []);
        let mut enforcer = open(Backend::Default);
        let repair = reconcile(&mut Reconciler::default(), &mut enforcer, &desired());
        assert!(repair.is_clean(), "{repair:?}");
    });
}

#[test]
fn a_hundred_thousand_blocks_are_restored() {
    on_a_wire(|_| {
        let state = tempfile::tempdir().unwrap();
        let entries = (0..100_000_u32).map(|host| {
            let target = std::net::Ipv4Addr::from(0x0b00_0000 + host).to_string();
            entry(&target, Strength::Hard, Some(600))
        });
        let enforced = common::state(entries, &[]);
        let begun = std::time::Instant::now();
        snapshot::save(state.path(), now(), &enforced).unwrap();
        println!("saved in {:?}", begun.elapsed());
        let begun = std::time::Instant::now();
        let restored = snapshot::restore(state.path(), now(), Options::default()).unwrap();
        println!("restored in {:?}", begun.elapsed());
        assert!(matches!(restored, Restored::Done(loaded) if loaded.blocks == 100_000));
    });
}

#[test]
fn this_host_passes_its_preflight() {
    on_a_wire(|_| preflight().unwrap());
}

#[test]
fn notes_on_a_read_only_file_system_are_given_all_the_same() {
    on_a_wire(|_| {
        let state = tempfile::tempdir().unwrap();
        enforce(Backend::Default);
        rescue::unblock(state.path(), now(), net(PEER[0]), false).unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        sh("mount --make-rprivate /");
        let path = state.path().display();
        sh(&format!("mount --bind {path} {path}"));
        sh(&format!("mount -o remount,bind,ro {path}"));
        let taken = take_notes(state.path()).unwrap();
        assert_eq!((taken.notes.len(), taken.leaving), (1, 0));
        assert!(taken.stuck.is_some());
    });
}
