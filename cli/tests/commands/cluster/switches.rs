//! A panic of the whole cluster, and what is ordered for one site alone.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    time::Duration,
};

use smartfw_core::fleet::OrderKind;
use smartfw_proto::{convert::decode_order, view::Answer};

use super::{orders, with_operator};
use crate::{
    daemon::{Daemon, Script},
    program::without_rights,
};

/// A daemon that switches as it is told, for somebody who may change nothing himself: as root these commands reach for
/// the host's own kernel when the daemon fails them.
fn switching(key: bool) -> Daemon {
    let answer = Some(Ok(Answer::Changed { reverts: None }));
    let script = Script { cluster: Some("prod".into()), answer, ..Script::default() };
    let daemon = if key { with_operator(script) } else { Daemon::start(script) };
    let socket = daemon.socket();
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    if nix::unistd::geteuid().is_root() && key {
        give_to_nobody(&socket.with_file_name("operator"));
    }
    daemon
}

fn give_to_nobody(path: &Path) {
    chown(path, Some(65_534), Some(65_534)).unwrap();
    let inner = fs::read_dir(path).into_iter().flatten();
    inner.for_each(|entry| give_to_nobody(&entry.unwrap().path()));
}

#[test]
fn a_panic_of_the_cluster_stops_this_node_first_and_is_signed_for_all() {
    let daemon = switching(true);
    let run = |arguments: &[&str]| without_rights(&daemon.socket(), arguments);
    let Some(ran) = run(&["panic", "--cluster", "--for", "10m"]) else { return };
    let told = "All of cluster prod is told to stop, for 10m (3 members alive";
    assert!(ran.stdout.contains(told), "{ran:?}");
    assert_eq!(daemon.orders().len(), 1, "and this node by itself");
    run(&["enable", "--cluster"]).unwrap().worked();
    let stop = OrderKind::Panic { duration: Duration::from_secs(600) };
    assert_eq!(orders(&daemon), [stop, OrderKind::Resume]);
    run(&["panic", "--cluster", "--for", "25h"]).unwrap().failed_with(1);
    assert_eq!((orders(&daemon).len(), daemon.orders().len()), (2, 2), "nothing is stopped by mistake");
}

#[test]
fn without_a_key_a_panic_stops_this_node_and_says_that_the_cluster_was_not_told() {
    let daemon = switching(false);
    let Some(failed) = without_rights(&daemon.socket(), &["panic", "--cluster"]) else { return };
    assert_eq!(failed.code, Some(1), "{failed:?}");
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
