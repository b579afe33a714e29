use std::time::Duration;

use proptest::prelude::*;
use smartfw_core::{
    BlockId, Class, Strength,
    enforcement::{Entry, Note},
};

use super::*;
use crate::{Surplus, difference};

const NOW: Time = Time::from_secs(1_000_000);

fn entry(target: &str, strength: Strength, seconds: Option<u64>) -> Entry {
    let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web-1".into() };
    let expires = seconds.map(|seconds| NOW.after(Duration::from_secs(seconds)));
    Entry { target: target.parse().unwrap(), strength, expires, note }
}

#[test]
fn a_block_ends_when_its_time_is_over() {
    let mut dry = DryRun::default();
    dry.apply(NOW, &[Change::Block(entry("203.0.113.7/32", Strength::Hard, Some(300)))]).unwrap();
    let held =
        |dry: &mut DryRun, after| dry.enforced(NOW.after(Duration::from_secs(after))).unwrap().blocks.len();
    assert_eq!((held(&mut dry, 299), dry.tally().unwrap().hard), (1, 1));
    assert_eq!((held(&mut dry, 300), dry.tally().unwrap().hard), (0, 0));
}

#[test]
fn a_full_set_refuses_one_more_and_keeps_what_it_has() {
    let mut dry = DryRun { capacity: 1, ..DryRun::default() };
    let soft = Change::Block(entry("203.0.113.8/32", Strength::Soft, None));
    let first = Change::Block(entry("203.0.113.7/32", Strength::Hard, None));
    dry.apply(NOW, &[soft, first]).unwrap();
    let moved = Change::Block(entry("203.0.113.8/32", Strength::Hard, None));
    let applied = dry.apply(NOW, &[moved]).unwrap();
    assert_eq!(applied.failed.len(), 1);
    let enforced = dry.enforced(NOW).unwrap();
    assert_eq!(
        enforced.blocks.values().map(|entry| entry.strength).collect::<Vec<_>>(),
        [Strength::Hard, Strength::Soft]
    );
}

fn net() -> impl Strategy<Value = IpNet> {
    // Few targets, so that changes meet; every length, so that prefixes overlap.
    let v4 = (0_u8..4, prop_oneof![Just(0_u8), Just(1), Just(8), Just(32)])
        .prop_map(|(host, length)| IpNet::new([10, 0, 0, host].into(), length).unwrap());
    let v6 = (0_u16..4, prop_oneof![Just(0_u8), Just(64), Just(128)])
        .prop_map(|(host, length)| IpNet::new([0x2001, 0xdb8, 0, 0, 0, 0, 0, host].into(), length).unwrap());
    prop_oneof![v4, v6].prop_map(|net| net.trunc())
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let seconds = prop_oneof![Just(None), (0_u64..4_000_000).prop_map(Some)];
    (net(), any::<bool>(), seconds, any::<u64>(), ".{0,5}").prop_map(|(target, hard, seconds, id, origin)| {
        let strength = if hard { Strength::Hard } else { Strength::Soft };
        let note = Note { id: BlockId(id), class: Class::NetFlood, origin };
        Entry { note, ..entry(&target.to_string(), strength, seconds) }
    })
}

fn any_state() -> impl Strategy<Value = Enforced> {
    let blocks = prop::collection::vec(any_entry(), 0..12);
    (blocks, prop::collection::vec(net(), 0..6)).prop_map(|(blocks, protected)| {
        let blocks: BTreeMap<_, _> = blocks.into_iter().map(|entry| (entry.target, entry)).collect();
        // The two halves of everything, blocked one by one beside the whole, are one entry to the kernel.
        let whole = |net: &IpNet| net.prefix_len() > 1;
        Enforced { blocks: blocks.into_iter().filter(|(net, _)| whole(net)).collect(), protected }
    })
}

proptest! {
    #[test]
    fn the_difference_leads_to_the_desired_state(before in any_state(), desired in any_state()) {
        let mut dry = DryRun::default();
        dry.replace(NOW, &before).unwrap();
        let actual = dry.enforced(NOW).unwrap();
        dry.apply(NOW, &difference(&desired, &actual, NOW, Surplus::Remove)).unwrap();
        let reached = dry.enforced(NOW).unwrap();
        prop_assert_eq!(difference(&desired, &reached, NOW, Surplus::Remove), []);
        dry.replace(NOW, &desired).unwrap();
        let replaced = dry.enforced(NOW).unwrap();
        prop_assert_eq!(difference(&desired, &replaced, NOW, Surplus::Remove), []);
    }

    #[test]
    fn an_incomplete_desired_state_unprotects_nobody(before in any_state(), desired in any_state()) {
        let mut dry = DryRun::default();
        dry.replace(NOW, &before).unwrap();
        let actual = dry.enforced(NOW).unwrap();
        dry.apply(NOW, &difference(&desired, &actual, NOW, Surplus::Keep)).unwrap();
        let reached = dry.enforced(NOW).unwrap();
        prop_assert!(actual.blocks.keys().all(|target| reached.blocks.contains_key(target)));
        prop_assert!(actual.protected.iter().all(|net| reached.protected.contains(net)));
    }
}
