use std::{net::Ipv4Addr, time::Duration};

use proptest::prelude::*;
use smartfw_core::IpNet;

use super::*;
use crate::{
    event::tests::alert,
    settings::{Bounded, Span},
};

fn limits() -> Limits {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    Limits {
        repeat: Span::new(minutes(10)).unwrap(),
        messages: Bounded::new(5).unwrap(),
        per: Span::new(minutes(10)).unwrap(),
        digest: Span::new(minutes(5)).unwrap(),
    }
}

/// An alert about a source of its own, on one of ten nodes.
fn about(number: u32) -> Arc<NodeEvent> {
    let mut told = alert();
    let source = Ipv4Addr::from(0x0a00_0000 + number);
    told.node = format!("web-{}", number % 10);
    told.event.address = Some(IpNet::from(std::net::IpAddr::from(source)));
    told.event.body = told.event.body.replace("203.0.113.7", &source.to_string());
    told.event.time = Time::from_secs(1_000_000 + u64::from(number));
    Arc::new(told)
}

fn at(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

fn sum(message: Option<Message>) -> Summary {
    match message {
        Some(Message::Digest(sum)) => *sum,
        other => panic!("no digest: {other:?}"),
    }
}

#[test]
fn the_same_source_and_class_is_told_once_and_then_counted() {
    let mut digest = Digest::new(limits());
    assert!(matches!(digest.handle(&about(1), at(0)), Some(Message::Single { repeats: 0, .. })));
    (1..=42).for_each(|second| assert_eq!(digest.handle(&about(1), at(second)), None));
    assert!(digest.handle(&about(2), at(50)).is_some(), "another source is another matter");
    assert_eq!(digest.poll(at(599)), None);
    assert!(matches!(digest.handle(&about(1), at(600)), Some(Message::Single { repeats: 42, .. })));
}

#[test]
fn another_class_of_the_same_source_is_another_matter() {
    let mut digest = Digest::new(limits());
    assert!(digest.handle(&about(1), at(0)).is_some());
    let mut other = (*about(1)).clone();
    other.event.class = Some(Class::BruteForce);
    assert!(digest.handle(&Arc::new(other), at(1)).is_some());
}

#[test]
fn beyond_the_rate_the_rest_is_summed_up_and_told_once_an_interval() {
    let mut digest = Digest::new(limits());
    let singles = (0..100).filter(|number| digest.handle(&about(*number), at(10)).is_some()).count();
    assert_eq!((singles, digest.poll_timeout()), (5, Some(at(310))));
    (0..7).for_each(|_| assert_eq!(digest.handle(&about(50), at(20)), None));
    assert_eq!(digest.poll(at(309)), None);
    let sum = sum(digest.poll(at(310)));
    assert_eq!((sum.total, sum.repeats), (95, 7));
    assert_eq!((sum.first, sum.last), (at(1_000_005), at(1_000_099)));
    assert_eq!(sum.classes.line(), "port scan (95)");
    assert!(sum.nodes.line().starts_with("web-5 (10), web-6 (10)"), "{}", sum.nodes.line());
    assert!(sum.sources.line().ends_with("others (90)"), "{}", sum.sources.line());
    assert_eq!((digest.poll(at(10_000)), digest.poll_timeout()), (None, None), "a sum is told once");
}

#[test]
fn ten_thousand_alerts_a_minute_make_a_digest_and_not_ten_thousand_messages() {
    let mut digest = Digest::new(Limits::default());
    let (mut singles, mut sums) = (0, Vec::new());
    // Twenty minutes: 200,000 sources, each new.
    for number in 0..200_000_u32 {
        let now = Time::from_nanos(u64::from(number) * 6_000_000);
        singles += u64::from(digest.handle(&about(number), now).is_some());
        sums.extend(digest.poll(now).map(|message| sum(Some(message))));
    }
    sums.push(sum(digest.poll(at(1201))));
    assert_eq!((singles, sums.len()), (20, 2));
    let told: u64 = sums.iter().map(|sum| sum.total).sum();
    assert_eq!(told + singles, 200_000, "every alert is counted");
}

#[test]
fn no_table_outgrows_its_bound() {
    let mut digest = Digest::new(limits());
    let nanos = |number: u32| Time::from_nanos(number.into());
    (0..REMEMBERED as u32 + 500).for_each(|number| drop(digest.handle(&about(number), nanos(number))));
    assert_eq!((digest.seen.len(), digest.oldest.len()), (REMEMBERED, REMEMBERED));
    assert!(digest.told.len() <= 5);
    // The first ones are forgotten, the last ones are not.
    let before = digest.sum.clone().unwrap().0;
    digest.handle(&about(REMEMBERED as u32 + 499), at(1));
    digest.handle(&about(0), at(1));
    let sum = sum(digest.poll(at(301)));
    assert_eq!((sum.total - before.total, sum.repeats - before.repeats), (1, 1));
    let (top, others) = sum.sources.top();
    assert_eq!(top.len(), 5);
    assert_eq!(top.iter().map(|(_, count)| count).sum::<u64>() + others, sum.total);
}

#[test]
fn the_most_frequent_source_leads_the_list() {
    let mut sum = Summary::default();
    for (number, times) in [(1, 3), (2, 9), (3, 1)] {
        let event = about(number);
        (0..times).for_each(|_| sum.add(&Facts::of(&event)));
    }
    assert_eq!(sum.sources.line(), "10.0.0.2 (9), 10.0.0.1 (3), 10.0.0.3 (1)");
}

#[test]
fn two_complaints_of_a_nodes_health_are_two_matters() {
    let mut digest = Digest::new(limits());
    let complaint = |what: &str| {
        let mut told = alert();
        told.event = smartfw_core::Event {
            kind: EventKind::Health,
            address: None,
            class: None,
            body: format!(r#"{{"level":"warn","what":"{what}","do":"x"}}"#),
            ..told.event
        };
        Arc::new(told)
    };
    assert!(digest.handle(&complaint("disk full"), at(0)).is_some());
    assert!(digest.handle(&complaint("clock off"), at(0)).is_some());
    assert!(digest.handle(&complaint("disk full"), at(1)).is_none());
}

proptest! {
    #[test]
    fn nothing_is_lost_and_the_rate_is_kept_whatever_comes(
        steps in prop::collection::vec((0_u32..40, 0_u64..200), 1..400),
    ) {
        let mut digest = Digest::new(limits());
        let (mut now, mut singles, mut told, mut repeats) = (0, Vec::new(), 0_u64, 0_u64);
        for (number, wait) in &steps {
            now += wait;
            if let Some(message) = digest.poll(at(now)) {
                told += sum(Some(message)).total;
            }
            let before = digest.seen.values().map(|seen| seen.repeats).sum::<u64>();
            if digest.handle(&about(*number), at(now)).is_some() {
                singles.push(now);
                told += 1;
            }
            repeats += u64::from(digest.seen.values().map(|seen| seen.repeats).sum::<u64>() > before);
        }
        if let Some(message) = digest.poll(Time::NEVER) {
            told += sum(Some(message)).total;
        }
        prop_assert_eq!(told + repeats, steps.len() as u64);
        for window in singles.windows(6) {
            prop_assert!(window[5] - window[0] >= 600, "six messages within ten minutes: {:?}", window);
        }
    }
}
