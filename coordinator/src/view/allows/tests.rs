use std::net::SocketAddr;

use smartfw_core::prefix::parse_target;
use smartfw_identity::Role;
use smartfw_proto::convert::Opening;

use super::*;
use crate::testing::Cluster;

fn at(second: u64) -> Time {
    Time::from_secs(1_800_000_000 + second)
}

fn entry(target: &str, order: Option<u128>) -> Allowance {
    let (target, comment) = (parse_target(target).unwrap(), "a partner".to_owned());
    Allowance { allowed: Allowed { target, since: at(0), expires: None, comment }, order, site: None }
}

/// Nodes that report, all at one site.
fn rows(count: usize) -> BTreeMap<NodeId, NodeRow> {
    let cluster = Cluster::found("prod");
    let opening = Opening { protocol: (1, 2), version: "0.1.0".into(), epoch: 1, oldest: 1, dropped: 0 };
    let row = |n: usize| {
        let member = cluster.admit(&format!("web-{n}"), Role::Node).member().clone();
        let mut row = NodeRow::heard(member.id, "", "");
        row.open(&member, SocketAddr::from(([192, 0, 2, 1], 1)), &opening, at(0));
        (row.id, row)
    };
    (0..count).map(row).collect()
}

fn all(allows: &Allows, now: Time, rows: &BTreeMap<NodeId, NodeRow>) -> (Vec<FleetAllowed>, Basis) {
    allows.lists().all(now, tellers(rows))
}

fn tellers(rows: &BTreeMap<NodeId, NodeRow>) -> Tellers {
    rows.iter().map(|(id, row)| (*id, Teller::of(row))).collect()
}

/// What is shown of these lists, one of each node: targets, with the orders.
fn shown(rows: &BTreeMap<NodeId, NodeRow>, lists: &[Vec<Allowance>]) -> Vec<(String, Option<u128>)> {
    let mut allows = Allows::default();
    for (id, list) in rows.keys().zip(lists) {
        allows.put(*id, 1, list.clone()).unwrap();
        allows.complete(id, 1);
    }
    let (all, _) = all(&allows, at(10), rows);
    all.into_iter().map(|known| (known.allowed.target.to_string(), known.order)).collect()
}

#[test]
fn an_order_stands_when_more_than_half_of_those_say_so_whom_it_concerns() {
    let mut rows = rows(4);
    let (true_one, lie) = (entry("198.51.100.7", Some(7)), entry("0.0.0.0/1", Some(8)));
    let honest = vec![true_one.clone()];
    let lists = [honest.clone(), honest.clone(), honest, vec![lie.clone(), lie]];
    assert_eq!(shown(&rows, &lists), [("198.51.100.7/32".to_owned(), Some(7))]);
    let halves = [vec![true_one.clone()], vec![true_one.clone()], vec![], vec![]];
    assert!(shown(&rows, &halves).is_empty());
    // Of one site only that site's nodes are asked.
    rows.values_mut().skip(2).for_each(|row| row.site = "east".into());
    let here = Allowance { site: Some("east".into()), ..true_one };
    let (none, one) = (Vec::new(), vec![here]);
    assert_eq!(shown(&rows, &[none.clone(), none, one.clone(), one]).len(), 1);
}

#[test]
fn no_node_invents_an_order_for_a_site_at_which_nobody_is() {
    let rows = rows(3);
    let at = |site: &str, order| Allowance { site: Some(site.into()), ..entry("0.0.0.0/1", Some(order)) };
    let lie = vec![at("nowhere", 7), at("default", 8)];
    assert!(shown(&rows, &[vec![], vec![], lie]).is_empty());
}

#[test]
fn who_is_away_says_nothing_of_orders_and_its_own_list_stays() {
    let mut rows = rows(2);
    rows.values_mut().for_each(|row| row.link = Link::Away(at(1)));
    let list = vec![entry("198.51.100.7", Some(7)), entry("198.51.100.8", None)];
    assert_eq!(shown(&rows, &[list.clone(), list]), [("198.51.100.8/32".to_owned(), None)]);
}

#[test]
fn what_is_over_is_not_shown_and_of_several_ends_the_last_counts() {
    let rows = rows(3);
    let until = |second| {
        let mut entry = entry("198.51.100.7", Some(7));
        entry.allowed.expires = Some(at(second));
        vec![entry]
    };
    assert!(shown(&rows, &[until(10), until(9), until(8)]).is_empty());
    let mut allows = Allows::default();
    for (id, second) in rows.keys().zip([20, 40, 30]) {
        allows.put(*id, 1, until(second)).unwrap();
        allows.complete(id, 1);
    }
    assert_eq!(all(&allows, at(10), &rows).0[0].allowed.expires, Some(at(40)));
}

#[test]
fn a_list_counts_once_it_is_complete_and_a_broken_one_or_one_of_an_older_stream_not_at_all() {
    let (rows, mut allows) = (rows(1), Allows::default());
    let id = *rows.keys().next().unwrap();
    let count = |allows: &Allows| all(allows, at(1), &rows).0.len();
    allows.put(id, 1, vec![entry("198.51.100.7", None)]).unwrap();
    assert_eq!(count(&allows), 0);
    // The stream broke, and another began; what came on the first may be heard later.
    allows.put(id, 2, vec![entry("198.51.100.8", None)]).unwrap();
    allows.put(id, 1, vec![entry("198.51.100.7", None); 3]).unwrap();
    allows.complete(&id, 1);
    allows.put(id, 2, vec![entry("198.51.100.9", None)]).unwrap();
    assert_eq!(count(&allows), 0);
    allows.complete(&id, 2);
    assert_eq!((count(&allows), allows.bytes), (2, 2 * weight(&entry("198.51.100.8", None))));
    allows.put(id, 3, Vec::new()).unwrap();
    allows.complete(&id, 3);
    assert_eq!((count(&allows), allows.bytes), (0, 0));
}

#[test]
fn the_list_is_the_same_until_another_is_told_or_tells_it_or_something_of_it_is_over() {
    let (mut rows, mut allows) = (rows(1), Allows::default());
    let id = *rows.keys().next().unwrap();
    assert!(Basis::default().is_same(at(0), &Tellers::new(), allows.revision()));
    let told = |allows: &mut Allows, stream, expires| {
        let mut entry = entry("198.51.100.7", None);
        entry.allowed.expires = expires;
        allows.put(id, stream, vec![entry]).unwrap();
        allows.complete(&id, stream);
    };
    told(&mut allows, 1, Some(at(20)));
    let (list, basis) = all(&allows, at(10), &rows);
    let same =
        |allows: &Allows, rows: &_, second| basis.is_same(at(second), &tellers(rows), allows.revision());
    assert!(list.len() == 1 && same(&allows, &rows, 19) && !same(&allows, &rows, 20));
    told(&mut allows, 2, Some(at(20)));
    assert!(same(&allows, &rows, 19), "it was told again");
    told(&mut allows, 3, None);
    assert!(!same(&allows, &rows, 10));
    let (_, basis) = all(&allows, at(10), &rows);
    assert!(basis.is_same(Time::from_nanos(u64::MAX - 1), &tellers(&rows), allows.revision()));
    rows.values_mut().for_each(|row| row.link = Link::Away(at(1)));
    assert!(!basis.is_same(at(10), &tellers(&rows), allows.revision()));
    allows.forget(&id);
    assert!(!basis.is_same(at(10), &basis.tellers, allows.revision()));
}

#[test]
fn no_more_is_kept_than_fits_and_one_node_does_not_take_all_room() {
    let mut allows =
        Allows::bounded((10 * weight(&entry("192.0.2.1", None)), 6 * weight(&entry("192.0.2.1", None))));
    let many = |count: usize| vec![entry("192.0.2.1", None); count];
    assert_eq!(allows.put(NodeId([1; 32]), 1, many(7)), Err(Unlisted::OfOne));
    assert_eq!(allows.told[&NodeId([1; 32])].coming.len(), 6);
    assert_eq!(allows.put(NodeId([2; 32]), 1, many(5)), Err(Unlisted::Full));
    allows.forget(&NodeId([1; 32]));
    assert_eq!(allows.put(NodeId([3; 32]), 1, many(6)), Ok(()));
    assert_eq!(allows.bytes, 10 * weight(&entry("192.0.2.1", None)));
}
