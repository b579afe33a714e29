//! A panic of the whole cluster, and what is ordered for one site alone.

use std::time::Duration;

use smartfw_core::fleet::OrderKind;
use smartfw_proto::{convert::decode_order, view::Answer};

use super::{orders, with_operator};
use crate::daemon::{Daemon, Script};

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
fn a_private_address_is_ordered_for_the_site_of_this_node() {
    let daemon = with_operator(Script::default());
    daemon.run(&["block", "10.9.0.1"]).worked();
    daemon.run(&["block", "203.0.113.7"]).worked();
    let sites: Vec<Option<String>> =
        daemon.given().iter().map(|given| decode_order(&given.orders[0].bytes).unwrap().site).collect();
    assert!(sites[0].is_some() && sites[1].is_none(), "{sites:?}");
}
