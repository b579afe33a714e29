//! What was blocked stays blocked, whatever happens to the daemon, the disk, and the kernel's tables.
//!
//! Every test has a network of its own; all need root and the built programs:
//! `cargo test -p smartfw-tests --test lasting -- --ignored`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on has failed")]

#[path = "lasting/common.rs"]
mod common;

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use common::{
    Blocked, ORDER, REPAIR, addresses, blocked, drops, files, forget, lists, ours, repaired, rules, run,
};
use smartfw_tests::{
    disk::SmallDisk,
    kernel,
    net::Side,
    process::until,
    ward::{Ward, passage, silence, silent},
};

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_daemon_killed_at_any_moment_leaves_the_kernel_dropping() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    let passed = meter.read().unwrap().passed;
    for delay in [0, 3, 10, 40, 150, 400, 900] {
        guard.kill();
        guard.spawn(&[]).unwrap();
        thread::sleep(Duration::from_millis(delay));
    }
    guard.kill();
    guard.launch().unwrap();
    assert!(silent(&meter).unwrap());
    assert_eq!(meter.read().unwrap().passed, passed, "no packet passed at any moment");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_daemon_ended_in_order_leaves_the_kernel_dropping() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    let passed = meter.read().unwrap().passed;
    guard.stop();
    assert!(silent(&meter).unwrap());
    guard.launch().unwrap();
    assert!(silent(&meter).unwrap());
    assert_eq!(meter.read().unwrap().passed, passed);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_hundred_thousand_imported_blocks_survive_a_kill() {
    const COUNT: usize = 100_000;
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let begin = Instant::now();
    let answer = guard.tell(&["import", "-"], &addresses(0, COUNT)).unwrap();
    assert_eq!(answer.code, 0, "{}", answer.err);
    let held = || kernel::blocked(ward.net.server()).unwrap().len();
    until("the kernel holds all", Duration::from_secs(10), || held() == COUNT).unwrap();
    println!("imported {COUNT} in {:.2} s", begin.elapsed().as_secs_f64());
    guard.kill();
    assert_eq!(held(), COUNT);
    guard.launch().unwrap();
    assert_eq!(held(), COUNT);
    assert_eq!(guard.json(&["status"]).unwrap()["blocked"], COUNT);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn flushed_iptables_rules_come_back() {
    repaired(|server| {
        for program in ["iptables", "ip6tables"] {
            for table in ["raw", "mangle", "filter"] {
                run(server, program, &["-t", table, "-F"]);
                let _ = server.command(program).args(["-t", table, "-X"]).output();
            }
        }
    });
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_flushed_nft_ruleset_comes_back() {
    let ward = Ward::new().unwrap();
    let guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, attacker } = blocked(&ward, &guard);
    run(ward.net.server(), "nft", &["flush", "ruleset"]);
    drop(meter);
    let meter = ward.meter(attacker.v4.into()).unwrap();
    println!("repaired after {:?}", silence(&meter, REPAIR).unwrap());
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_foreign_accept_before_our_jump_is_overtaken() {
    repaired(|server| {
        for table in ["raw", "mangle"] {
            run(server, "iptables", &["-t", table, "-I", "PREROUTING", "1", "-j", "ACCEPT"]);
        }
    });
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_flushed_set_is_refilled() {
    repaired(|server| run(server, "ipset", &["flush"]));
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_destroyed_set_is_made_again() {
    repaired(forget);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_deleted_entry_comes_back() {
    repaired(|server| {
        let entry = kernel::blocked(server).unwrap().remove(0);
        run(server, "ipset", &["del", &entry.set, &entry.target]);
    });
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_full_disk_does_not_stop_the_dropping() {
    let ward = Ward::new().unwrap();
    let state = ward.dir().join("node/state");
    let disk = SmallDisk::mount(&state);
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    guard.order(&["allow", "add", "192.0.2.99"]).unwrap();
    let passed = meter.read().unwrap().passed;
    disk.fill();
    // What the store had reserved before may still take a few records: more than those are needed.
    let refused =
        (0..30).find(|&i| guard.tell(&["import", "-"], &addresses(i * 1000, 1000)).unwrap().code != 0);
    let refused = refused.expect("a full disk must not be acknowledged");
    assert!(guard.alive(), "{}", guard.last_words());
    assert_ne!(
        guard.json(&["status"]).unwrap()["health"].as_array().unwrap().len(),
        0,
        "a full disk must show"
    );
    let all = 1 + (refused + 1) * 1000;
    let held = || kernel::blocked(ward.net.server()).unwrap().len();
    until("the kernel drops what the disk does not take", REPAIR, || held() == all).unwrap();
    assert_eq!(meter.read().unwrap().passed, passed);
    guard.kill();
    guard.launch().unwrap();
    thread::sleep(ORDER);
    assert_eq!(held(), all, "a restart on a full disk removes nothing");
    disk.empty();
    // A cache that could not be read is read by a new start.
    thread::sleep(ORDER);
    guard.kill();
    guard.launch().unwrap();
    thread::sleep(ORDER);
    assert_eq!(held(), all, "the kernel's entries were adopted");
    assert!(guard.order(&["-o", "json", "allow", "list"]).unwrap().contains("192.0.2.99"));
    assert_eq!(meter.read().unwrap().passed, passed);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn a_damaged_store_is_set_aside_and_refilled_from_the_kernel() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, attacker } = blocked(&ward, &guard);
    let passed = meter.read().unwrap().passed;
    guard.kill();
    for file in files(&guard.state().join("cache")) {
        let length = fs::metadata(&file).unwrap().len() as usize;
        fs::write(&file, vec![0xa5; length.max(64)]).unwrap();
    }
    guard.launch().unwrap();
    assert!(lists(&guard, attacker.v4.into()), "the block is listed again");
    assert!(silent(&meter).unwrap());
    assert_eq!(meter.read().unwrap().passed, passed);
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn after_a_reboot_the_saved_sets_drop_before_the_daemon_runs() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, attacker } = blocked(&ward, &guard);
    guard.stop();
    forget(ward.net.server());
    assert!(!silent(&meter).unwrap(), "the reboot forgot everything");
    guard.order(&["restore"]).unwrap();
    assert!(silent(&meter).unwrap(), "the restore unit drops again");
    let foreign = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n\
                   *mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n\
                   *filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n";
    kernel::feed(ward.net.server(), "iptables-restore", &[], foreign).unwrap();
    guard.launch().unwrap();
    silence(&meter, REPAIR).unwrap();
    assert!(lists(&guard, attacker.v4.into()));
    assert!(ours(ward.net.server(), "-A INPUT -i lo -j ACCEPT"), "the foreign ruleset stays");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn disable_works_with_the_daemon_dead_and_is_remembered() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    run(ward.net.server(), "iptables", &["-A", "INPUT", "-s", "192.0.2.77", "-j", "DROP"]);
    guard.kill();
    guard.order(&["disable"]).unwrap();
    passage(&meter, ORDER).unwrap();
    assert!(!ours(ward.net.server(), "SMARTFW"), "no rule is left");
    assert!(kernel::blocked(ward.net.server()).unwrap().is_empty(), "no set is left");
    assert!(ours(ward.net.server(), "192.0.2.77"), "another's rule stays");
    guard.launch().unwrap();
    assert_eq!(guard.json(&["status"]).unwrap()["enforcement"], "off");
    assert!(!silent(&meter).unwrap());
    guard.order(&["enable"]).unwrap();
    silence(&meter, REPAIR).unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn panic_works_with_the_daemon_dead_and_ends_by_itself() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    guard.kill();
    guard.order(&["panic", "--for", "8s"]).unwrap();
    passage(&meter, ORDER).unwrap();
    guard.launch().unwrap();
    assert_eq!(guard.json(&["status"]).unwrap()["enforcement"], "panic");
    silence(&meter, Duration::from_secs(15)).unwrap();
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn unblock_works_with_the_daemon_dead_and_is_remembered() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, attacker } = blocked(&ward, &guard);
    let other = ward.net.host(Side::Attackers).unwrap();
    guard.order(&["block", &other.v4.to_string()]).unwrap();
    guard.kill();
    guard.order(&["unblock", &attacker.v4.to_string()]).unwrap();
    passage(&meter, ORDER).unwrap();
    assert!(drops(&ward, &other), "the other stays blocked");
    guard.launch().unwrap();
    assert!(!lists(&guard, attacker.v4.into()), "the block does not come back");
    assert!(lists(&guard, other.v4.into()));
    assert!(!silent(&meter).unwrap());
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn allow_add_works_with_the_daemon_dead_and_is_remembered() {
    let ward = Ward::new().unwrap();
    let mut guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, attacker } = blocked(&ward, &guard);
    guard.kill();
    let target = attacker.v4.to_string();
    guard.order(&["allow", "add", &target]).unwrap();
    passage(&meter, ORDER).unwrap();
    guard.launch().unwrap();
    assert!(guard.order(&["-o", "json", "allow", "list"]).unwrap().contains(&target));
    assert!(!silent(&meter).unwrap());
    assert_eq!(guard.cli(&["block", &target]).unwrap().code, 1, "whoever is allowed cannot be blocked");
}

#[test]
#[ignore = "needs root: tests/run.sh runs it"]
fn disable_removes_every_rule_and_set_and_nothing_else() {
    let ward = Ward::new().unwrap();
    let server = ward.net.server();
    run(server, "iptables", &["-A", "INPUT", "-s", "192.0.2.77", "-j", "DROP"]);
    run(server, "ipset", &["create", "others", "hash:ip"]);
    let before = rules(server);
    let guard = ward.guard().unwrap();
    let Blocked { meter, _knocker, .. } = blocked(&ward, &guard);
    guard.order(&["disable"]).unwrap();
    passage(&meter, ORDER).unwrap();
    drop(meter);
    assert_eq!(rules(server), before);
    let sets = server.command("ipset").args(["list", "-n"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&sets.stdout), "others\n");
}
