use std::{net::SocketAddr, time::Duration};

use smartfw_core::{BlockId, Class, Detector, Origin, Strength, order::Allowed};
use smartfw_identity::{Identity, Role};
use smartfw_proto::json;

use super::*;
use crate::testing::Cluster;

fn at(second: u64) -> Time {
    Time::from_secs(1_800_000_000 + second)
}

fn net(text: &str) -> IpNet {
    smartfw_core::prefix::parse_target(text).unwrap()
}

fn block(target: &str, expires: Option<u64>) -> Block {
    Block {
        id: BlockId(7),
        target: net(target),
        class: Class::PortScan,
        origin: Origin("web-1".into()),
        confidence: 0.5,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: None,
        reason: "many ports".into(),
        since: at(0),
        expires: expires.map(at),
        level: 1,
    }
}

fn event(id: NodeId, kind: EventKind, target: &str, body: String) -> Event {
    let (node, address) = ("web-1".to_owned(), Some(net(target)));
    Event { node, id, epoch: 1, sequence: 1, time: at(1), kind, address, class: None, body }
}

fn body(block: &Block) -> String {
    json::text(&json::block(at(1), block, 0, 0))
}

/// A view with one node that has opened its stream.
fn view() -> (View, Identity) {
    let (view, node) = (View::default(), Cluster::found("prod").admit("web-1", Role::Node));
    open(&view, &node);
    (view, node)
}

fn open(view: &View, node: &Identity) {
    let from = SocketAddr::from(([192, 0, 2, 1], 1));
    let opening = Opening { protocol: (1, 1), version: "0.1.0".into(), epoch: 1, oldest: 1, dropped: 3 };
    view.opened(node.member(), from, &opening, at(0)).unwrap();
}

fn listed(view: &View) -> Vec<Arc<FleetBlock>> {
    view.every_block(at(0)).1
}

fn targets(view: &View) -> Vec<String> {
    listed(view).iter().map(|block| block.target.to_string()).collect()
}

#[test]
fn a_block_of_an_event_is_the_block_of_a_list() {
    let (view, node) = view();
    let one = block("203.0.113.7", Some(60));
    view.listed(node.id(), 1, (vec![one.clone()], true)).unwrap();
    let before = (view.revision(), listed(&view));
    let mut events = view.subscribe_events();
    let told = event(node.id(), EventKind::Block, "203.0.113.7", body(&one));
    view.kept(vec![told], (1, 0)).unwrap();
    assert_eq!((view.revision(), listed(&view)), before, "it was known");
    assert!(events.try_recv().is_ok());
    let longer = Block { expires: None, ..one };
    let told = event(node.id(), EventKind::Block, "203.0.113.7", body(&longer));
    view.kept(vec![told], (1, 0)).unwrap();
    assert_eq!(listed(&view)[0].expires, None);
}

#[test]
fn what_a_list_does_not_name_is_over_unless_an_event_named_it_since() {
    let (view, node) = view();
    let id = node.id();
    view.listed(id, 1, (vec![block("192.0.2.1", None), block("192.0.2.2", None)], true)).unwrap();
    let old = event(id, EventKind::Block, "192.0.2.3", body(&block("192.0.2.3", None)));
    view.kept(vec![old], (1, 0)).unwrap();
    assert_eq!(targets(&view), ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"]);
    // It connects anew.
    view.listed(id, 2, (vec![block("192.0.2.2", None)], false)).unwrap();
    let new = event(id, EventKind::Block, "192.0.2.4", body(&block("192.0.2.4", None)));
    view.kept(vec![new], (2, 0)).unwrap();
    assert_eq!(targets(&view).len(), 4, "the list is not complete yet");
    view.listed(id, 2, (vec![], true)).unwrap();
    assert_eq!(targets(&view), ["192.0.2.2/32", "192.0.2.4/32"]);
}

#[test]
fn the_list_is_complete_when_every_member_that_may_block_has_told_all() {
    assert!(!View::default().is_complete(), "nobody has said who is in the fleet");
    let (view, node) = view();
    let heard = |state: &str| FleetMember {
        id: NodeId([1; 32]),
        name: "web-2".into(),
        site: "default".into(),
        address: "192.0.2.9:7470".into(),
        state: state.into(),
    };
    view.heard(&[heard("alive")]);
    assert!(!view.is_complete());
    view.heard_of(&node.id(), at(5), true);
    assert!(!view.is_complete(), "the other has not");
    view.heard(&[heard("dead")]);
    assert!(view.is_complete());
    assert_eq!(view.node(&node.id()).unwrap().heard, Some(at(5)));
}

#[test]
fn whose_key_is_no_member_s_is_known_once_a_member_has_said_who_is_in_the_fleet() {
    let (view, node) = view();
    let stranger = NodeId([9; 32]);
    assert!(view.may_be_member(&node.id()) && view.may_be_member(&stranger));
    view.heard(&[]);
    assert!(view.may_be_member(&node.id()) && !view.may_be_member(&stranger));
}

#[test]
fn the_revision_rises_with_each_change_and_with_nothing_else() {
    let (view, node) = view();
    let one = block("192.0.2.1", Some(10));
    let mut before = view.revision();
    let mut changed = || {
        let now = view.revision();
        now > std::mem::replace(&mut before, now)
    };
    view.listed(node.id(), 1, (vec![one.clone()], true)).unwrap();
    assert!(changed());
    view.listed(node.id(), 2, (vec![one.clone()], true)).unwrap();
    view.tidy(at(9));
    assert!(!changed());
    assert_eq!(view.every_block(at(9)).1.len(), 1);
    view.tidy(at(10));
    assert!(changed());
    view.kept(vec![event(node.id(), EventKind::Lift, "192.0.2.1", body(&one))], (2, 0)).unwrap();
    assert!(!changed(), "it is gone already");
}

#[test]
fn a_lifted_block_is_gone_and_another_origins_stays() {
    let (view, node) = view();
    let own = block("192.0.2.1", None);
    let ordered = Block { origin: Origin("laptop".into()), ..own.clone() };
    view.listed(node.id(), 1, (vec![own.clone(), ordered], true)).unwrap();
    view.kept(vec![event(node.id(), EventKind::Lift, "192.0.2.1", body(&own))], (1, 0)).unwrap();
    let left = listed(&view);
    assert!(left.len() == 1 && &*left[0].origin == "laptop");
    view.kept(vec![event(node.id(), EventKind::Lift, "192.0.2.1", "{}".into())], (1, 0)).unwrap();
    assert_eq!(view.blocked(), 0);
}

#[test]
fn an_event_whose_body_makes_no_sense_is_kept_and_changes_no_list() {
    let (view, node) = view();
    let other = body(&block("198.51.100.1", None));
    for nonsense in ["{}".to_owned(), "{\"target\":5}".to_owned(), other] {
        view.kept(vec![event(node.id(), EventKind::Block, "192.0.2.1", nonsense)], (1, 0)).unwrap();
    }
    assert_eq!((view.blocked(), view.node(&node.id()).unwrap().events), (0, 3));
}

#[test]
fn what_has_run_out_is_not_shown_and_is_let_go() {
    let (view, node) = view();
    let blocks = vec![block("192.0.2.1", Some(10)), block("192.0.2.2", Some(20)), block("192.0.2.3", None)];
    view.listed(node.id(), 1, (blocks, true)).unwrap();
    assert_eq!(view.every_block(at(15)).1.len(), 2);
    for (second, left) in [(9, 3), (10, 2), (19, 2), (20, 1), (1_000_000, 1)] {
        view.tidy(at(second));
        assert_eq!(view.blocked(), left, "{second}");
    }
}

#[test]
fn what_lies_within_a_prefix_is_found_and_nothing_beside_it() {
    let (view, node) = view();
    let all =
        ["192.0.2.3", "192.0.2.4", "192.0.2.4/30", "192.0.2.7", "192.0.2.8", "192.0.2.0/24", "2001:db8::4"];
    view.listed(node.id(), 1, (all.map(|target| block(target, Some(10))).to_vec(), true)).unwrap();
    let within = |target: &str, second| {
        let found = view.blocks_within(&net(target), at(second));
        found.iter().map(|block| block.target.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(within("192.0.2.4/30", 0), ["192.0.2.4/30", "192.0.2.4/32", "192.0.2.7/32"]);
    assert_eq!(within("192.0.2.4", 0), ["192.0.2.4/32"]);
    assert_eq!(within("0.0.0.0/0", 0).len(), 6);
    assert_eq!(within("::/0", 0), ["2001:db8::4/128"]);
    assert!(within("192.0.2.5", 0).is_empty() && within("0.0.0.0/0", 10).is_empty());
}

#[test]
fn there_are_no_more_blocks_than_fit_and_one_node_does_not_take_all_places() {
    let mut blocks = Blocks::bounded(10, 6);
    let mut put = |node: u8, n: u8, origin: &str| {
        let block = Block { origin: Origin(origin.into()), ..block(&format!("192.0.2.{n}"), None) };
        blocks.put(FleetBlock::new(NodeId([node; 32]), "web".into(), block), 1)
    };
    for n in 0..6 {
        assert_eq!(put(1, n, "a"), Ok(true));
    }
    assert_eq!(put(1, 6, "a"), Err(Refused::OfOne));
    assert_eq!(put(1, 5, "a"), Ok(false), "it is known");
    for n in 0..4 {
        assert_eq!(put(2, n, "a"), Ok(true));
    }
    assert_eq!(put(3, 0, "a"), Err(Refused::Full));
    blocks.forget(&NodeId([1; 32]));
    assert_eq!(blocks.len(), 4);
    blocks.expire(Time::NEVER);
    assert_eq!(blocks.len(), 4, "for ever");
    let mut together = Blocks::default();
    let put = |n: usize, blocks: &mut Blocks| {
        let block = Block { origin: Origin(format!("host-{n}")), ..block("192.0.2.1", None) };
        blocks.put(FleetBlock::new(NodeId([1; 32]), "web".into(), block), 1).is_ok()
    };
    assert!((0..TOGETHER).all(|n| put(n, &mut together)) && !put(TOGETHER, &mut together));
}

#[test]
fn rates_are_of_the_last_second_and_of_no_restart() {
    let (view, node) = view();
    let counted = |second, packets, dropped_packets| {
        let statistics = Statistics { time: at(second), packets, dropped_packets, ..Statistics::default() };
        view.counted(&node.id(), statistics);
        view.node(&node.id()).unwrap().rates
    };
    assert_eq!(counted(1, 100, 0).packets, 0.0);
    let rates = counted(3, 500, 10);
    assert_eq!((rates.packets, rates.dropped_packets), (200.0, 5.0));
    assert_eq!(view.totals().rates.packets, 200.0);
    assert_eq!(counted(4, 20, 0), Rates::default(), "it began anew");
    assert_eq!(counted(400, 2000, 0), Rates::default(), "it was silent for long");
    view.closed(&node.id(), at(5));
    assert_eq!(view.totals().rates.packets, 0.0);
}

#[test]
fn who_is_away_is_shown_and_forgotten_after_three_days_with_its_blocks() {
    let (view, node) = view();
    view.listed(node.id(), 1, (vec![block("192.0.2.1", None)], true)).unwrap();
    view.closed(&node.id(), at(10));
    let row = view.node(&node.id()).unwrap();
    assert_eq!((row.link, row.dropped, &*row.name), (Link::Away(at(10)), 3, "web-1"));
    view.tidy(at(10 + FORGOTTEN.as_secs() - 1));
    assert_eq!((view.nodes().len(), view.blocked()), (1, 1));
    view.tidy(at(10 + FORGOTTEN.as_secs()));
    assert_eq!((view.nodes().len(), view.blocked()), (0, 0));
}

#[test]
fn what_was_missed_of_a_node_still_counts_when_it_is_forgotten() {
    let (view, node) = view();
    view.kept(vec![event(node.id(), EventKind::Audit, "192.0.2.1", "{}".into())], (1, 2)).unwrap();
    view.closed(&node.id(), at(10));
    view.tidy(at(10 + FORGOTTEN.as_secs()));
    assert_eq!((view.nodes().len(), view.totals().missed), (0, 2));
}

#[test]
fn who_is_expelled_is_shown_so_and_its_blocks_are_void() {
    let (view, node) = view();
    view.listed(node.id(), 1, (vec![block("192.0.2.1", None)], true)).unwrap();
    let office = Allowed { target: net("198.51.100.7"), since: at(0), expires: None, comment: String::new() };
    let entries = vec![Allowance { allowed: office, order: None, site: None }];
    view.allowing(node.id(), 1, (entries, true)).unwrap();
    let (list, basis) = view.allowed(at(0));
    assert!(list.len() == 1 && view.still_allowed(&basis, at(0)));
    view.expel(|_| false);
    view.expel(|member| member.id == node.id());
    view.expel(|member| member.id == node.id());
    view.closed(&node.id(), at(10));
    assert_eq!(view.node(&node.id()).unwrap().link.as_str(), "expelled");
    assert!(!view.still_allowed(&basis, at(0)));
    assert_eq!((view.blocked(), view.allowed(at(0)).0.len()), (0, 0));
}

#[test]
fn members_that_do_not_report_are_shown_until_nobody_knows_them() {
    let (view, node) = view();
    let heard = |id: NodeId, name: &str, state: &str| FleetMember {
        id,
        name: name.into(),
        site: "default".into(),
        address: "192.0.2.9:7470".into(),
        state: state.into(),
    };
    let (silent, left) = (NodeId([1; 32]), NodeId([2; 32]));
    view.heard(&[
        heard(node.id(), "liar", "alive"),
        heard(silent, "web-2", "dead"),
        heard(left, "web-3", "left"),
    ]);
    assert_eq!(view.nodes().len(), 2);
    let row = view.node(&node.id()).unwrap();
    assert_eq!((&*row.name, row.address.as_str()), ("web-1", "192.0.2.9:7470"));
    let row = view.node(&silent).unwrap();
    assert_eq!((row.link, row.state.as_str()), (Link::Silent, "dead"));
    view.heard(&[]);
    assert_eq!(view.nodes().len(), 1, "who reports is known anyway");
}

#[test]
fn who_went_away_is_absent_and_who_left_or_was_expelled_is_not() {
    let (view, node) = view();
    let absent = |state: &str| {
        let (name, site, address) = ("web-1".into(), "default".into(), "192.0.2.1:7470".into());
        view.heard(&[FleetMember { id: node.id(), name, site, address, state: state.into() }]);
        view.totals().absent
    };
    assert_eq!(absent("alive"), 0, "it reports");
    view.closed(&node.id(), at(10));
    assert_eq!((absent("dead"), absent("left"), absent("alive")), (1, 0, 1));
    view.expel(|member| member.id == node.id());
    assert_eq!(absent("dead"), 0);
    assert_eq!(view.nodes().len(), 1, "it is shown all the same");
}

#[test]
fn there_are_no_more_nodes_than_the_history_takes() {
    let (view, node) = view();
    let members: Vec<FleetMember> = (0..smartfw_history::MOST_NODES as u64 + 5)
        .map(|n| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let text = String::new;
            FleetMember { id: NodeId(id), name: text(), site: text(), address: text(), state: "alive".into() }
        })
        .collect();
    view.heard(&members[..10]);
    let other = Cluster::found("other").admit("web-9", Role::Node);
    let mut roster = Roster::default();
    roster.heard(&members);
    let opening = Opening { protocol: (1, 1), version: String::new(), epoch: 1, oldest: 1, dropped: 0 };
    let from = SocketAddr::from(([192, 0, 2, 1], 1));
    assert_eq!(roster.opened(other.member(), from, &opening, at(0)).err(), Some(Full));
    assert_eq!(roster.rows().count(), smartfw_history::MOST_NODES);
    assert!(view.opened(node.member(), from, &opening, at(0)).is_ok());
}

#[test]
fn only_what_waits_is_behind() {
    let (view, node) = view();
    let lag = |waiting| {
        view.counted(&node.id(), Statistics { time: at(1), waiting, ..Statistics::default() });
        view.node(&node.id()).unwrap().lag(at(61))
    };
    view.kept(vec![event(node.id(), EventKind::Audit, "192.0.2.1", "{}".into())], (1, 2)).unwrap();
    assert_eq!((lag(0), lag(5)), (Duration::ZERO, Duration::from_secs(60)));
    assert_eq!(view.node(&node.id()).unwrap().missed, 2);
}
