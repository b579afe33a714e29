mod fleetwide;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use smartfw_core::{
    Time,
    fleet::{COVERED, NodeId, Version},
    order::Allowed,
};
use smartfw_proto::view::Covers;

use super::{ending::Found, *};
use crate::view::FleetAllowed;

const fn node(n: u8) -> NodeId {
    NodeId([n; 32])
}

const fn said(of: u8, sequence: u64) -> (NodeId, Version) {
    (node(of), Version { epoch: 1, sequence })
}

fn covers(covers: &[(NodeId, Version)], orders: &[u128], lasts: Option<u64>) -> Covers {
    let lasts = lasts.map(Duration::from_secs);
    Covers {
        covers: covers.to_vec(),
        orders: orders.to_vec(),
        lasts,
        targets: Vec::new(),
        total: 0,
        more: false,
    }
}

/// Of a fleet whose members are below 100.
fn found(answers: &[(u8, Covers)]) -> Found {
    found_of("203.0.113.0/24", answers)
}

fn found_of(target: &str, answers: &[(u8, Covers)]) -> Found {
    let answers = answers.iter().map(|(of, covers)| (node(*of), covers.clone()));
    Found::of(&target.parse().unwrap(), &answers.collect::<BTreeMap<_, _>>(), |id| *id < node(100))
}

#[test]
fn what_most_say_is_named_and_what_a_node_says_of_itself() {
    let honest = covers(&[said(1, 5), said(2, 7)], &[9], Some(6000));
    let lie = covers(&[said(1, 5), said(7, 1), said(2, 8), said(2, 8)], &[66, 66], None);
    let own = covers(&[said(4, 2)], &[9], Some(5000));
    let known = found(&[(2, honest.clone()), (3, lie), (4, own)]);
    assert_eq!(known.covers, [said(1, 5), said(2, 7), said(4, 2)].into());
    assert_eq!((known.orders, known.lasts), ([9].into(), Some(Duration::from_secs(6000))));
    assert_eq!(found(&[(2, honest)]).covers.len(), 2, "whoever is alone is believed");
}

#[test]
fn what_a_node_says_of_itself_is_over_as_late_as_it_says_also_where_most_hold_nothing() {
    let lasts = |own, other: &Covers| {
        let own = covers(&[said(1, 5)], &[], own);
        found(&[(1, own), (2, other.clone()), (3, other.clone())]).lasts.map(|lasts| lasts.as_secs())
    };
    let nothing = covers(&[], &[], Some(0));
    assert_eq!(lasts(Some(14_400), &nothing), Some(14_400));
    assert_eq!(lasts(Some(0), &nothing), Some(3600), "what comes late is still ended");
    assert_eq!(lasts(None, &nothing), Some(30 * 86_400), "no single one has it remembered for ever");
    assert_eq!(lasts(Some(14_400), &covers(&[], &[], None)), None, "most may");
}

#[test]
fn what_another_cluster_says_is_named_although_one_node_alone_follows_it() {
    let follower = covers(&[said(1, 5), said(3, 9), said(100, 7)], &[], Some(86_400));
    let other = || covers(&[said(1, 5)], &[], Some(6000));
    let known = found(&[(1, other()), (2, follower), (3, other())]);
    assert_eq!((&known.covers, &known.abroad), (&[said(1, 5)].into(), &[said(100, 7)].into()));
    let orders = known.orders_to("203.0.113.7/32".parse().unwrap(), &[node(1), node(100)].into(), true);
    let orders: Vec<_> = orders
        .into_iter()
        .map(|(kind, lasts)| {
            let OrderKind::Unblock { covers, false_positive, .. } = kind else { panic!() };
            (covers, false_positive, lasts.unwrap().as_secs())
        })
        .collect();
    assert_eq!(orders, [(vec![said(1, 5)], true, 6000), (vec![said(100, 7)], false, 86_400)]);
}

#[test]
fn who_invents_words_has_no_more_of_them_named_than_it_could_hold_and_none_for_ever() {
    let invented = |of| (0..5000).map(move |n| said(of, n));
    let lie = covers(&invented(2).chain(invented(100)).collect::<Vec<_>>(), &[], None);
    let honest = || covers(&[said(1, 5), said(101, 1)], &[], Some(6000));
    for (target, own, abroad) in [
        ("203.0.113.7/32", 1, 128),
        ("203.0.113.6/31", 3, 200),
        ("203.0.0.0/16", 200, 200),
        ("2001:db8::7/128", 1, 128),
        ("2001:db8::/64", 200, 200),
        ("2001:db8::/65", 200, 200),
        ("::/0", 200, 200),
    ] {
        let known = found_of(target, &[(1, honest()), (2, lie.clone()), (3, honest())]);
        assert_eq!((known.covers.len(), known.abroad.len()), (own + 1, abroad + 1), "{target}");
        let month = Duration::from_secs(30 * 86_400);
        assert_eq!((known.lasts, known.abroad_lasts), (Some(month), month));
    }
}

#[test]
fn whatever_most_say_is_named_however_much_it_is() {
    let many: Vec<_> = (0..5000).flat_map(|n| [said(1, n), said(100, n)]).collect();
    let many = || covers(&many, &[], Some(6000));
    let known = found(&[(1, many()), (2, many()), (3, covers(&[], &[], Some(0)))]);
    assert_eq!((known.covers.len(), known.abroad.len()), (5000, 5000));
}

#[test]
fn there_is_too_much_once_most_say_so() {
    let whole = covers(&[said(1, 5)], &[], None);
    let part = Covers { more: true, ..whole.clone() };
    assert!(!found(&[(1, whole.clone()), (2, whole.clone()), (3, part.clone())]).more, "one may lie");
    assert!(found(&[(1, whole), (2, part.clone()), (3, part)]).more);
}

#[test]
fn blame_is_on_those_who_say_so_themselves_and_on_nobody_where_it_was_no_mistake() {
    let target = "203.0.113.7/32".parse().unwrap();
    let wanted = |false_positive| {
        let known = found(&[(1, covers(&[said(1, 5), said(2, 7)], &[9], None))]);
        let orders = known.orders_to(target, &[node(1), node(3)].into(), false_positive);
        let parts = orders.into_iter().map(|(kind, lasts)| {
            let OrderKind::Unblock { covers, orders, false_positive, .. } = kind else { panic!() };
            assert_eq!(lasts, None);
            (covers, orders, false_positive)
        });
        parts.collect::<Vec<_>>()
    };
    assert_eq!(wanted(false), [(vec![said(1, 5), said(2, 7)], vec![9], false)]);
    assert_eq!(wanted(true), [(vec![said(1, 5)], vec![], true), (vec![said(2, 7)], vec![9], false)]);
}

#[test]
fn an_order_that_is_told_of_two_targets_is_ended_by_nobody() {
    let known = |target: &str, order, site: Option<&str>| {
        let target = target.parse().unwrap();
        let comment = "a partner".to_owned();
        let allowed = Allowed { target, since: Time::from_secs(1), expires: None, comment };
        FleetAllowed { allowed, order, site: site.map(ToOwned::to_owned), nodes: vec!["web-1".into()] }
    };
    let (here, there) = ("203.0.113.7/32", "198.51.100.0/24");
    let ended = |listed: Vec<FleetAllowed>| {
        let wanted = ending::disallowing_of(listed, &here.parse().unwrap()).map_err(|why| why.kind)?;
        Ok(wanted.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>())
    };
    let two = vec![known(here, Some(7), None), known(here, Some(8), None), known(there, Some(9), None)];
    assert_eq!(ended(two), Ok(vec![OrderKind::Disallow { id: 7 }, OrderKind::Disallow { id: 8 }]));
    let lie = vec![known(here, Some(7), Some("east")), known(there, Some(7), None)];
    assert_eq!(ended(lie), Err(Refused::Conflict));
    let lie = vec![known(here, Some(7), Some("east")), known(here, Some(7), None)];
    assert_eq!(ended(lie), Err(Refused::Conflict));
}

#[tokio::test]
async fn who_asked_for_several_orders_hears_which_are_given_once_one_fails() {
    let order = || {
        let (bytes, certificate) = ([1].as_slice().into(), [].as_slice().into());
        SignedOrder { bytes, signature: [0; 64], certificate, lasts: None }
    };
    let asked = &AtomicUsize::new(0);
    let carry = |fails: usize| {
        asked.store(0, Ordering::Relaxed);
        let signed = (1..=40_u128).map(|id| (id, order())).collect();
        carry_all(signed, move |_| {
            let number = asked.fetch_add(1, Ordering::Relaxed) + 1;
            async move { if number >= fails { Err(NotCarried::Silent) } else { Ok(node(1)) } }
        })
    };
    let mut ids = carry(41).await.unwrap();
    ids.sort_unstable();
    assert_eq!(ids, (1..=40).collect::<Vec<u128>>());
    let part = carry(3).await.unwrap_err();
    assert_eq!((part.kind, &*part.what), (Refused::Unavailable, "only 2 of 40 orders are known to be given"));
    for id in [1, 2] {
        assert!(part.why.contains(&format!("{id:032x}")), "{}", part.why);
    }
    assert!(asked.load(Ordering::Relaxed) < 40, "no other is begun");
    assert_eq!(carry(1).await.unwrap_err().what, "the order is not given");
}

#[test]
fn everything_is_named_in_as_few_orders_as_hold_it() {
    let many: Vec<_> = (0..2 * COVERED as u64 + 1).map(|n| said(1, n)).collect();
    let target = "203.0.113.0/24".parse().unwrap();
    let orders = found(&[(1, covers(&many, &[7], Some(1)))]).orders_to(target, &BTreeSet::new(), false);
    let sizes: Vec<_> = orders
        .iter()
        .map(|(kind, _)| match kind {
            OrderKind::Unblock { covers, orders, .. } => (covers.len(), orders.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [(COVERED, 1), (COVERED, 0), (1, 0)]);
}
