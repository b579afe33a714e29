//! What the kernel's sets hold, and how fast.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::*;
use smartfw_core::{
    IpNet, Strength, Time,
    enforcement::{Change, Enforced, Entry},
};
use smartfw_enforce::{Backend, DryRun, Enforcer, Surplus, difference, syncookies};

fn many(count: u32) -> Vec<Entry> {
    let model = entry("198.18.0.0", Strength::Hard, Some(4 * 3600));
    let target = |host| IpNet::from(IpAddr::from(Ipv4Addr::from(0x0b00_0000_u32 + host * 3)));
    (0..count).map(|host| Entry { target: target(host), ..model.clone() }).collect()
}

#[test]
fn a_hundred_thousand_blocks_are_loaded_read_and_replaced() {
    on_a_wire(|_| {
        let mut enforcer = open(Backend::Default);
        enforcer.install(&[]).unwrap();
        let entries = many(100_000);
        let changes: Vec<_> = entries.iter().cloned().map(Change::Block).collect();
        let timed = |what: &str, work: &mut dyn FnMut()| {
            let begun = Instant::now();
            work();
            println!("{what}: {:?}", begun.elapsed());
        };
        timed("100,000 blocks into the kernel", &mut || {
            let applied = enforcer.apply(now(), &changes).unwrap();
            assert_eq!((applied.changed, applied.failed.len()), (100_000, 0));
        });
        timed("one more block", &mut || block(&mut enforcer, "203.0.113.7", Strength::Soft));
        timed("a look at the counts", &mut || assert_eq!(enforcer.tally().unwrap().hard, 100_000));
        timed("read back", &mut || {
            assert_eq!(enforcer.enforced(now()).unwrap().blocks.len(), 100_001);
        });
        let desired = state(entries.clone(), &[]);
        timed("replaced as a whole", &mut || {
            assert_eq!(enforcer.replace(now(), &desired).unwrap().changed, 100_000);
        });
        let held = enforcer.enforced(now()).unwrap();
        assert_eq!(difference(&desired, &held, now(), Surplus::Remove), []);
        assert!(!sh("ipset list -n").contains("_new"));
    });
}

#[test]
fn a_refused_element_is_named_and_the_rest_is_done() {
    on_a_wire(|_| {
        sh("ipset create smartfw_hard4 hash:net timeout 0 counters comment maxelem 3");
        let mut enforcer = open(Backend::Default);
        enforcer.install(&[]).unwrap();
        block(&mut enforcer, "192.0.2.9", Strength::Soft);
        let mut changes: Vec<_> = many(5).into_iter().map(Change::Block).collect();
        changes.push(Change::Block(entry("192.0.2.9", Strength::Hard, None)));
        changes.push(Change::Block(entry("2001:db8::9", Strength::Hard, None)));
        let applied = enforcer.apply(now(), &changes).unwrap();
        assert_eq!((applied.changed, applied.failed.len()), (4, 3));
        assert!(applied.failed.iter().all(|failed| failed.why.contains("full")), "{applied:?}");
        // A move that failed leaves the target where it was.
        let held = enforcer.enforced(now()).unwrap();
        assert_eq!(held.blocks[&net("192.0.2.9")].strength, Strength::Soft);
        assert!(held.blocks.contains_key(&net("2001:db8::9")));
    });
}

#[test]
fn entries_of_others_are_tolerated_and_adopted() {
    on_a_wire(|_| {
        let mut enforcer = open(Backend::Default);
        enforcer.install(&[]).unwrap();
        sh("ipset add smartfw_hard4 198.51.100.0/24");
        sh("ipset add smartfw_soft6 2001:db8::/48 timeout 60 comment smartfw-garbage");
        sh("ipset add smartfw_hard4 198.51.100.7 nomatch");
        let held = enforcer.enforced(now()).unwrap();
        assert_eq!(held.blocks.len(), 2);
        assert!(held.blocks.values().all(|entry| entry.note.origin == "kernel"));
        let left = held.blocks[&net("2001:db8::/48")].expires.unwrap().since(now());
        assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(55));
        assert_eq!(difference(&held, &enforcer.enforced(now()).unwrap(), now(), Surplus::Remove), []);
    });
}

#[test]
fn a_missing_set_is_made_anew_by_the_next_change() {
    on_a_wire(|_| {
        let mut enforcer = open(Backend::Default);
        block(&mut enforcer, "192.0.2.9", Strength::Hard);
        assert_eq!(enforcer.enforced(now()).unwrap().blocks.len(), 1);
    });
}

#[test]
fn what_lasts_longer_than_the_kernel_counts_is_armed_with_its_longest_timeout() {
    on_a_wire(|_| {
        let mut enforcer = open(Backend::Default);
        let long = entry("192.0.2.9", Strength::Hard, Some(90 * 24 * 3600));
        let desired = state([long.clone()], &[]);
        assert_eq!(enforcer.apply(now(), &[Change::Block(long)]).unwrap().failed, []);
        let held = enforcer.enforced(now()).unwrap();
        let left = held.blocks[&net("192.0.2.9")].expires.unwrap().since(now()).as_secs();
        assert!((2_147_470..=2_147_484).contains(&left), "{left}");
        assert_eq!(difference(&desired, &held, now(), Surplus::Remove), []);
    });
}

/// A small generator of our own: the same sequence every time, printed when it fails.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn change(&mut self) -> Change {
        let v4 = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "0.0.0.0/0", "192.0.2.1/32"];
        let v6 = ["2001:db8::/32", "2001:db8::1/128", "::/0", "::ffff:192.0.2.1/128"];
        let targets: Vec<&str> = v4.into_iter().chain(v6).collect();
        let target: IpNet = targets[self.below(targets.len() as u64) as usize].parse().unwrap();
        let strength = if self.below(2) == 0 { Strength::Hard } else { Strength::Soft };
        let seconds = [None, Some(0), Some(3600), Some(9_000_000)][self.below(4) as usize];
        match self.below(6) {
            0 => Change::Unblock(target),
            1 => Change::Protect(target),
            2 => Change::Unprotect(target),
            _ => Change::Block(Entry { target, ..entry("192.0.2.1", strength, seconds) }),
        }
    }
}

fn rounded(mut enforced: Enforced, at: Time) -> Enforced {
    enforced.protected.sort();
    for entry in enforced.blocks.values_mut() {
        // To ten minutes: the two were changed and read a moment apart.
        entry.expires = entry.expires.map(|end| Time::from_secs((end.since(at).as_secs() + 300) / 600));
    }
    enforced
}

#[test]
fn the_kernel_and_the_dry_run_hold_the_same_after_any_changes() {
    on_a_wire(|_| {
        for seed in 0..40 {
            let (mut kernel, mut dry, mut chance) = (open(Backend::Default), DryRun::default(), Chance(seed));
            kernel.remove().unwrap();
            for step in 0..6 {
                let count = 1 + chance.below(5);
                let changes: Vec<_> = (0..count).map(|_| chance.change()).collect();
                let at = now();
                kernel.apply(at, &changes).unwrap();
                dry.apply(at, &changes).unwrap();
                let held = rounded(kernel.enforced(at).unwrap(), at);
                assert_eq!(
                    held,
                    rounded(dry.enforced(at).unwrap(), at),
                    "seed {seed}, step {step}: {changes:?}"
                );
            }
        }
    });
}

#[test]
fn syn_cookies_can_be_switched_on() {
    on_a_wire(|_| {
        std::fs::write("/proc/sys/net/ipv4/tcp_syncookies", "0").unwrap();
        assert!(!syncookies::enabled().unwrap());
        assert!(syncookies::enable().unwrap());
        assert!(syncookies::enabled().unwrap() && !syncookies::enable().unwrap());
    });
}

#[test]
fn a_set_that_somebody_lists_is_removed_once_he_is_done() {
    on_a_wire(|_| {
        let mut enforcer = open(Backend::Default);
        enforcer.install(&[]).unwrap();
        let changes: Vec<_> = many(50_000).into_iter().map(Change::Block).collect();
        enforcer.apply(now(), &changes).unwrap();
        // Nobody reads what it writes: it waits in the middle of the set.
        let mut reader =
            Command::new("ipset").args(["list", "smartfw_hard4"]).stdout(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let pipe = reader.stdout.take().unwrap();
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1700));
            drop(pipe);
            reader.wait().unwrap();
        });
        assert_eq!(enforcer.remove().unwrap().left, [] as [&str; 0]);
        ends.join().unwrap();
    });
}
