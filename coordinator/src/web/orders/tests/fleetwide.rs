//! Orders about members, canaries and panics: what is signed, and what is refused.

use std::sync::Arc;

use smartfw_core::{
    Block, BlockId, Detector, Origin, Strength,
    fleet::{LONGEST_PANIC, OrderVerifier as _},
};
use smartfw_identity::{Judge, Member, Revocations, Role};
use smartfw_proto::convert::{FleetMember, Opening};

use super::*;
use crate::{
    announcing::NotExpelled,
    testing::Cluster,
    view::{FleetBlock, View},
};

/// A member as its own stream shows it.
fn open(view: &View, node: &Identity) {
    let opening = Opening { protocol: (1, 1), version: "0.1.0".into(), epoch: 1, oldest: 1, dropped: 0 };
    view.opened(node.member(), ([192, 0, 2, 1], 1).into(), &opening, clock::now()).unwrap();
}

/// A member that others speak of.
fn heard(view: &View, id: NodeId) {
    let (name, site) = ("far-1".to_owned(), "default".to_owned());
    let (address, state) = ("192.0.2.7:7470".to_owned(), "alive".to_owned());
    view.heard(&[FleetMember { id, name, site, address, state }]);
}

fn text(id: NodeId) -> String {
    format!("{id:#}")
}

fn kinds(wanted: Result<Vec<Wanted>, Refusal>) -> Vec<OrderKind> {
    wanted.unwrap().into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn a_member_is_believed_or_not_by_its_id_and_who_is_none_is_missing() {
    let (cluster, view) = (Cluster::found("prod"), View::default());
    let member = cluster.admit("web-1", Role::Node);
    open(&view, &member);
    heard(&view, node(7));
    for id in [member.id(), node(7)] {
        for believed in [true, false] {
            let wanted = members::believing(&view.nodes(), &text(id), believed);
            assert_eq!(kinds(wanted), [OrderKind::Trust { node: id, believed }]);
        }
    }
    for wrong in ["web-1", "", &text(node(9)), &text(cluster.founded.operator.id())] {
        let refused = members::believing(&view.nodes(), wrong, false).unwrap_err();
        assert_eq!(refused.kind, Refused::Missing, "{wrong}");
        assert!(refused.remedy.contains("--root"), "{refused}");
    }
    view.expel(|known| known.id == member.id());
    let refused = members::believing(&view.nodes(), &text(member.id()), true).unwrap_err();
    assert_eq!(refused.kind, Refused::Conflict);
    assert!(refused.why.contains("web-1 is expelled"), "{refused}");
}

fn whom(view: &View, id: NodeId, me: &Member, with: bool) -> Result<(NodeId, Role), Refusal> {
    members::whom(&view.nodes(), &text(id), me, with).map(|whom| (whom.id, whom.role))
}

#[test]
fn who_is_expelled_goes_alone_unless_those_whom_it_signed_are_meant() {
    let (cluster, elsewhere, view) = (Cluster::found("prod"), Cluster::found("prod"), View::default());
    // Its certificate is by a signer that is none of these.
    let me = elsewhere.admit("view", Role::Coordinator).member().clone();
    let (one, two) = (cluster.admit("web-1", Role::Node), cluster.admit("web-2", Role::Node));
    let signer = &cluster.founded.identity;
    for member in [signer, &one, &two] {
        open(&view, member);
    }
    assert_eq!(whom(&view, one.id(), &me, false), Ok((one.id(), Role::Node)));
    let refused = whom(&view, signer.id(), &me, false).unwrap_err();
    assert_eq!(refused.kind, Refused::Conflict);
    let (why, remedy) = (&refused.why, &refused.remedy);
    assert!(why.contains("2 whose certificates it signed") && why.contains("web-1"), "{why}");
    assert!(remedy.contains("with_its_members=true"), "{remedy}");
    assert_eq!(whom(&view, signer.id(), &me, true), Ok((signer.id(), Role::Signer)));
    // Who is out already goes with nobody.
    view.expel(|known| [one.id(), two.id()].contains(&known.id));
    assert_eq!(whom(&view, signer.id(), &me, false), Ok((signer.id(), Role::Signer)));
}

#[test]
fn where_it_is_not_known_who_signed_whom_a_signer_is_not_expelled_by_mistake() {
    let (cluster, elsewhere, view) = (Cluster::found("prod"), Cluster::found("prod"), View::default());
    let me = elsewhere.admit("view", Role::Coordinator).member().clone();
    let (signer, one) = (&cluster.founded.identity, cluster.admit("web-1", Role::Node));
    heard(&view, node(7));
    open(&view, signer);
    let refused = whom(&view, signer.id(), &me, false).unwrap_err();
    assert!(refused.why.contains("of 1 it is not known here who signed them"), "{refused}");
    open(&view, &one);
    assert!(whom(&view, one.id(), &me, false).is_ok(), "a node has signed nobody");
    assert!(whom(&view, node(7), &me, false).is_ok(), "the others are known, and not by it");
}

#[test]
fn a_coordinator_expels_neither_itself_nor_whoever_signed_it() {
    let (cluster, view) = (Cluster::found("prod"), View::default());
    let me = cluster.admit("view", Role::Coordinator);
    let signer = &cluster.founded.identity;
    open(&view, signer);
    open(&view, &me);
    for (id, part) in [(me.id(), "the coordinator that you ask"), (signer.id(), "signed this coordinator's")]
    {
        for with in [false, true] {
            let refused = whom(&view, id, me.member(), with).unwrap_err();
            assert_eq!(refused.kind, Refused::Conflict);
            assert!(refused.why.contains(part), "{refused}");
        }
    }
}

fn block(target: &str, class: Class, origin: &str) -> Arc<FleetBlock> {
    let view = View::default();
    let member = Cluster::found("prod").admit("web-1", Role::Node);
    open(&view, &member);
    let block = Block {
        id: BlockId(1),
        target: target.parse().unwrap(),
        class,
        origin: Origin(origin.into()),
        confidence: 1.0,
        strength: Strength::Hard,
        detector: Detector::Rules,
        evidence: None,
        reason: String::new(),
        since: clock::now(),
        expires: None,
        level: 1,
    };
    view.listed(member.id(), 1, (vec![block], true)).unwrap();
    view.every_block(clock::now()).1.remove(0)
}

#[test]
fn a_canary_is_an_address_or_a_narrow_prefix_that_is_meant() {
    let watching = |target: &str, wide| steering::watching(target.parse().unwrap(), wide, false, &[]);
    for (target, wide) in [
        ("192.0.2.1/32", false),
        ("2001:db8::1/128", false),
        ("192.0.2.0/24", true),
        ("10.1.0.0/16", true),
        ("2001:db8::/64", true),
    ] {
        let canary = OrderKind::Canary { target: target.parse().unwrap(), watched: true };
        assert_eq!(kinds(watching(target, wide)), [canary], "{target}");
    }
    for (target, wide, part) in [
        ("10.0.0.0/15", true, "too wide"),
        ("2001:db8::/63", true, "at least 64 bits"),
        ("0.0.0.0/0", true, "at least 16 bits"),
        ("192.0.2.0/31", false, "more than one address"),
    ] {
        let refused = watching(target, wide).unwrap_err();
        assert_eq!(refused.kind, Refused::Invalid, "{target}");
        assert!(refused.to_string().contains(part), "{refused}");
    }
    let target = "192.0.2.1/32".parse().unwrap();
    assert_eq!(kinds(Ok(steering::releasing(target))), [OrderKind::Canary { target, watched: false }]);
}

#[test]
fn what_a_canary_would_end_is_told_before_it_is_one() {
    let blocks = [
        block("192.0.2.0/24", Class::PortScan, "web-1"),
        block("192.0.2.1/32", Class::PortScan, "web-1"),
        block("192.0.2.1/32", Class::Manual, "operator"),
        block("198.51.100.0/24", Class::PortScan, "web-1"),
    ];
    let watching = |target: &str, yes| steering::watching(target.parse().unwrap(), true, yes, &blocks);
    let refused = watching("192.0.2.1/32", false).unwrap_err();
    assert_eq!(refused.kind, Refused::Conflict);
    for part in ["192.0.2.0/24 (port_scan, on the word of web-1)", "192.0.2.1/32 (port_scan", "\"yes\": true"]
    {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert!(!refused.why.contains("manual") && !refused.why.contains("198.51"), "{refused}");
    assert!(watching("192.0.2.1/32", true).is_ok());
    assert!(watching("203.0.113.1/32", false).is_ok(), "it ends nothing");
    let scan: Vec<_> = (0..21).map(|n| block(&format!("192.0.2.{n}/32"), Class::PortScan, "web-1")).collect();
    let refused = steering::watching("192.0.2.0/24".parse().unwrap(), true, false, &scan).unwrap_err();
    assert!(refused.why.contains("192.0.2.19/32") && refused.why.contains(", …"), "{refused}");
    assert!(!refused.why.contains("192.0.2.20/32"), "{refused}");
}

#[test]
fn no_panic_lasts_longer_than_a_day_and_the_api_says_the_same() {
    assert_eq!(smartfw_api::LONGEST_PANIC, LONGEST_PANIC);
    let panic = OrderKind::Panic { duration: LONGEST_PANIC };
    assert_eq!(kinds(steering::stopping(LONGEST_PANIC)), [panic]);
    let refused = steering::stopping(LONGEST_PANIC + Duration::from_secs(1)).unwrap_err();
    assert_eq!(refused.kind, Refused::Invalid);
    assert!(refused.why.contains("86400 s") && refused.remedy.contains("prolong"), "{refused}");
    assert_eq!(kinds(Ok(steering::resuming())), [OrderKind::Resume]);
}

#[test]
fn what_is_signed_holds_as_long_as_smartfw_cli_has_it_hold_and_where_it_should() {
    let cluster = Cluster::found("prod");
    let operator = &cluster.founded.operator;
    let orders = Orders::new(PathBuf::new(), "east".into());
    let trust = operator.trust().clone();
    let judge = Judge::new(trust.clone(), Arc::new(Revocations::in_memory(trust)), Wire);
    let day = Duration::from_secs(86_400);
    let canary = |target: &str| OrderKind::Canary { target: target.parse().unwrap(), watched: true };
    let longer = Some(day + Duration::from_secs(3600));
    let cases = [
        ((OrderKind::Trust { node: node(1), believed: false }, None), None, None),
        ((OrderKind::Revoke { node: node(1) }, None), None, None),
        ((canary("192.0.2.1/32"), None), None, None),
        ((canary("10.0.0.1/32"), None), None, Some("east")),
        (
            steering::stopping(Duration::from_secs(900)).unwrap().remove(0),
            Some(Duration::from_secs(900)),
            None,
        ),
        (steering::resuming().remove(0), longer, None),
    ];
    for (wanted, lasts, site) in cases {
        let kind = wanted.0.clone();
        let (id, signed) = orders.sign(operator, wanted).unwrap();
        let known = judge.verify_order(&signed).unwrap();
        assert_eq!((known.order.id, &known.order.kind, known.signer), (id, &kind, operator.id()));
        assert_eq!((known.order.lasts(), known.order.site.as_deref()), (lasts, site), "{kind:?}");
    }
}

#[test]
fn half_a_revocation_says_which_half_is_done() {
    let silent = not_carried(NotCarried::Silent);
    let half = after_expulsion(silent.clone());
    assert_eq!((half.kind, half.remedy), (silent.kind, silent.remedy));
    assert!(half.why.starts_with("it is expelled, and the order beside that"), "{}", half.why);
    for (why, kind, part) in [
        (NotExpelled::Nobody, Refused::Unavailable, "on a node"),
        (NotExpelled::Older, Refused::Conflict, "smartfw-cli cluster revoke"),
        (NotExpelled::Refused("it is forged".into()), Refused::Conflict, "it is forged"),
        (NotExpelled::Unkept("the disk is full".into()), Refused::Unavailable, "members expel it"),
    ] {
        let refused = not_expelled(why);
        assert_eq!(refused.kind, kind);
        assert!(refused.to_string().contains(part), "{refused}");
    }
}
