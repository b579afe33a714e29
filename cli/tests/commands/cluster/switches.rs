//! A panic of the whole cluster, and what is ordered for one site alone.

use std::{path::Path, time::Duration};

use smartfw_core::{
    fleet::OrderKind,
    order::{EnforcementState, Order, Refusal},
};
use smartfw_proto::{convert::decode_order, view::Answer};

use super::{orders, with_operator};
use crate::{
    daemon::{Daemon, Script},
    program::smartfw,
};

/// A daemon that switches as it is told.
fn switching() -> Script {
    let answer = Some(Ok(Answer::Changed { reverts: None }));
    Script { cluster: Some("prod".into()), answer, ..Script::default() }
}

const TEN_MINUTES: OrderKind = OrderKind::Panic { duration: Duration::from_secs(600) };

#[test]
fn a_panic_of_the_cluster_stops_this_node_first_and_is_signed_for_all() {
    let daemon = with_operator(switching());
    let said = daemon.run(&["panic", "--cluster", "--for", "10m"]).worked();
    assert!(said.contains("All of cluster prod is told to stop, for 10m (3 members alive"), "{said}");
    assert_eq!(daemon.orders().len(), 1, "and this node by itself");
    daemon.run(&["enable", "--cluster"]).worked();
    assert_eq!(orders(&daemon), [TEN_MINUTES, OrderKind::Resume]);
    daemon.run(&["panic", "--cluster", "--for", "25h"]).failed_with(1);
    assert_eq!((orders(&daemon).len(), daemon.orders().len()), (2, 2), "nothing is stopped by mistake");
}

#[test]
fn without_a_key_a_panic_stops_this_node_and_says_that_the_cluster_was_not_told() {
    let daemon = Daemon::start(switching());
    let failed = daemon.run(&["panic", "--cluster"]);
    failed.failed_with(1);
    let why = failed.stderr;
    assert!(why.contains("only this node has stopped") && why.contains("--role operator"), "{why}");
    assert_eq!((daemon.orders().len(), daemon.given().len()), (1, 0));
}

#[test]
fn what_the_daemon_says_of_an_order_it_was_given_is_not_called_untold() {
    let daemon = with_operator(Script { calls: Some(0), ..switching() });
    for command in ["panic", "enable"] {
        let failed = daemon.run(&[command, "--cluster"]);
        failed.failed_with(1);
        let why = &failed.stderr;
        assert!(why.contains("too many orders wait") && why.contains("status` on the others"), "{why}");
        assert!(!why.contains("not told") && !why.contains("only this node"), "{why}");
    }
}

#[test]
fn the_cluster_is_told_where_this_node_fails() {
    let daemon = with_operator(Script { answer: Some(Err(Refusal::NotFound)), ..switching() });
    for (command, refused) in [
        (&["panic", "--cluster", "--for", "10m"][..], "enforcement is not stopped"),
        (&["enable", "--cluster"], "enforcement is not switched on"),
    ] {
        let ran = daemon.run(command);
        ran.failed_with(1);
        assert!(ran.stderr.contains(refused) && ran.stdout.contains("ll of cluster prod"), "{ran:?}");
    }
    assert_eq!(orders(&daemon), [TEN_MINUTES, OrderKind::Resume]);
}

#[test]
fn with_the_daemon_dead_a_switch_of_the_cluster_has_failed() {
    for command in ["panic", "enable"] {
        let ran = smartfw(Path::new("/nonexistent/node.sock"), &[command, "--cluster"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("the cluster was not told"), "{ran:?}");
        assert!(!ran.stderr.contains("only this node"), "{ran:?}");
    }
}

#[test]
fn the_end_of_a_panic_of_the_cluster_leaves_off_a_node_that_was_switched_off() {
    let daemon = with_operator(Script { off: true, ..switching() });
    let said = daemon.run(&["enable", "--cluster"]).worked();
    assert!(said.contains("switched off on this node, and stays so"), "{said}");
    assert_eq!((daemon.orders().len(), orders(&daemon)), (0, vec![OrderKind::Resume]));
    daemon.run(&["enable"]).worked();
    let on = Order::Enforcement { state: EnforcementState::On, confirm: None, resume: None };
    assert_eq!(daemon.orders(), [on]);

    let without_key = Daemon::start(Script { off: true, ..switching() }).run(&["enable", "--cluster"]);
    without_key.failed_with(1);
    assert!(without_key.stderr.contains("this node stays off, the cluster was not told"), "{without_key:?}");
}

#[test]
fn a_private_address_is_ordered_for_the_site_of_this_node() {
    let daemon = with_operator(Script::default());
    daemon.run(&["block", "10.9.0.1"]).worked();
    daemon.run(&["block", "203.0.113.7"]).worked();
    let sites: Vec<Option<String>> =
        daemon.given().iter().map(|given| decode_order(&given.orders[0].bytes).unwrap().site).collect();
    assert!(sites[0].is_some() && sites[1].is_none(), "{sites:?}");
}
