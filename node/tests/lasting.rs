//! What was blocked stays blocked, whatever happens to the daemon.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what failed by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test files")]
mod common;

use std::{fs, time::Duration};

use common::{Place, block_order, possible, wait_for};
use smartfw_core::order::{EnforcementState, Order};
use smartfw_proto::{convert::import_chunks, wire};
use tokio_stream::StreamExt as _;

#[tokio::test]
async fn an_acknowledged_block_outlives_the_daemon_s_violent_death_and_its_restart() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    node.block("2001:db8:1::/48").await;
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
    node.kill();
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
    let mut node = place.start(&[]).await;
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
    assert_eq!(place.set("smartfw_hard6"), ["2001:db8:1::/48"]);
    assert_eq!(node.status().await.blocked, 2);
    node.end();
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
}

#[tokio::test]
async fn a_damaged_cache_is_set_aside_and_refilled_from_the_kernel() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    node.kill();
    for entry in fs::read_dir(place.path("state/cache")).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            fs::write(&file, vec![0x5a; 8192]).unwrap();
        }
    }
    let mut node = place.start(&[]).await;
    node.wait_for_health("set aside", true).await;
    assert_eq!(node.status().await.blocked, 1);
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
    // What was adopted is stored again: this time even without the kernel.
    node.kill();
    for table in ["raw", "mangle", "filter"] {
        place.inside("iptables", &["-t", table, "-F"]);
        place.inside("ip6tables", &["-t", table, "-F"]);
    }
    // nf_tables lets go of the sets a moment later.
    let destroyed = || place.try_inside("ipset", &["destroy"]);
    wait_for("the sets to be gone", destroyed).await;
    let mut node = place.start(&[]).await;
    assert_eq!(node.status().await.blocked, 1);
}

#[tokio::test]
async fn a_cache_that_cannot_be_read_changes_nothing_and_is_read_when_it_can() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    let target = "198.51.100.0/24".parse().unwrap();
    node.order(Order::Allow { target, duration: None, comment: String::new() }).await.unwrap();
    node.kill();
    // Only the kernel knows of this one: it was blocked when the disk took nothing.
    place.inside("ipset", &["add", "smartfw_hard4", "203.0.113.8"]);
    let held = fs::File::open(place.path("state/cache/db")).unwrap();
    held.lock().unwrap();
    let mut node = place.start(&[]).await;
    node.wait_for_health("what was stored cannot be read", true).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // the repairer has looked
    assert_eq!(place.set("smartfw_hard4").len(), 2);
    assert!(place.set("smartfw_pass4").contains(&"198.51.100.0/24".to_owned()), "it is still let through");
    assert_eq!(node.status().await.blocked, 2);
    drop(held);
    node.ends_by_itself("can be read again").await;
    let mut node = place.start(&[]).await;
    let allowed = node.client().list_allowed(wire::ListAllowedRequest {}).await.unwrap().into_inner();
    assert_eq!(allowed.collect::<Vec<_>>().await.len(), 1);
    assert_eq!(node.status().await.blocked, 2);
    assert_eq!(place.set("smartfw_hard4").len(), 2);
}

#[tokio::test]
async fn a_cache_that_cannot_be_read_does_not_switch_enforcement_on() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    let (state, off) = (EnforcementState::Off, EnforcementState::Off);
    node.order(Order::Enforcement { state, confirm: None, resume: None }).await.unwrap();
    node.end();
    let held = fs::File::open(place.path("state/cache/db")).unwrap();
    held.lock().unwrap();
    let mut node = place.start(&[]).await;
    assert_eq!(node.status().await.enforcement, off);
    assert!(!place.inside("ipset", &["list", "-n"]).contains("smartfw"));
}

#[tokio::test]
async fn a_full_disk_acknowledges_nothing_and_recovers_by_itself() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let state = place.path("state");
    fs::create_dir_all(&state).unwrap();
    // In a mount namespace of its own, as `ip netns exec` makes one.
    let script = "mount -t tmpfs -o size=6m tmpfs \"$0\" && exec \"$@\"";
    let mut node = place.start_by(&["sh", "-c", script, state.to_str().unwrap()], &[]).await;
    node.block("203.0.113.1").await;
    let filler = format!("/proc/{}/root{}/filler", node.pid(), state.display());
    let _ = fs::write(&filler, vec![1; 8 << 20]);
    // What the database has set aside for itself is filled first.
    let (mut ordered, mut answered) = (1, true);
    while answered && ordered < 60_000 {
        let orders = (0..1000_u32)
            .map(|n| block_order(&std::net::Ipv4Addr::from(0x0b00_0000 + ordered + n).to_string()));
        let order = Order::Import(orders.collect());
        answered = tokio::time::timeout(Duration::from_secs(3), import(&mut node, order)).await.is_ok();
        ordered += 1000;
    }
    assert!(!answered, "a block was acknowledged although the disk was full");
    assert_eq!(
        place.set("smartfw_hard4").len(),
        ordered as usize,
        "what cannot be stored is dropped all the same"
    );
    node.wait_for_health("cannot be stored", true).await;
    fs::remove_file(&filler).unwrap();
    node.block("203.0.113.3").await;
    node.wait_for_health("cannot be stored", false).await;
    assert_eq!(node.status().await.blocked, u64::from(ordered) + 1);
}

/// Imports one chunk and waits for its answer.
async fn import(node: &mut common::Node, order: Order) {
    let Order::Import(orders) = order else { return };
    let chunks = tokio_stream::iter(import_chunks(orders).collect::<Vec<_>>());
    let mut answers = node.client().import(chunks).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
}

#[tokio::test]
async fn a_hundred_thousand_blocks_are_imported_and_there_again_after_a_restart() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    let orders =
        (0..100_000_u32).map(|n| block_order(&std::net::Ipv4Addr::from(0x0b00_0000 + n).to_string()));
    let begun = std::time::Instant::now();
    let chunks = tokio_stream::iter(import_chunks(orders.collect()).collect::<Vec<_>>());
    let mut answers = node.client().import(chunks).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    eprintln!("imported in {:?}", begun.elapsed());
    assert_eq!(place.set("smartfw_hard4").len(), 100_000);
    node.kill();
    let begun = std::time::Instant::now();
    let mut node = place.start(&[]).await;
    eprintln!("restarted in {:?}", begun.elapsed());
    assert_eq!(node.status().await.blocked, 100_000);
    assert_eq!(place.set("smartfw_hard4").len(), 100_000);
    let mut rows = 0;
    let request = wire::ListBlocksRequest { all: true, ..wire::ListBlocksRequest::default() };
    let mut list = node.client().list_blocks(request).await.unwrap().into_inner();
    while let Some(chunk) = list.message().await.unwrap() {
        rows += chunk.rows.len();
    }
    assert_eq!(rows, 100_000);
}

#[tokio::test]
async fn what_others_remove_comes_back() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    place.inside("iptables", &["-t", "raw", "-F"]);
    place.inside("ipset", &["flush", "smartfw_hard4"]);
    wait_for("the set to be filled", || place.set("smartfw_hard4").len() == 1).await;
    let rules = || place.inside("iptables", &["-t", "raw", "-S", "PREROUTING"]);
    wait_for("the rule to be there", || rules().contains("SMARTFW")).await;
}

#[tokio::test]
async fn enforcement_that_is_off_stays_off_over_a_restart() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    let switch = |state| Order::Enforcement { state, confirm: None, resume: None };
    node.order(switch(EnforcementState::Off)).await.unwrap();
    assert!(!place.inside("ipset", &["list", "-n"]).contains("smartfw"));
    node.kill();
    let mut node = place.start(&[]).await;
    assert_eq!(node.status().await.enforcement, EnforcementState::Off);
    assert!(!place.inside("ipset", &["list", "-n"]).contains("smartfw"));
    node.order(switch(EnforcementState::On)).await.unwrap();
    assert_eq!(place.set("smartfw_hard4"), ["203.0.113.7"]);
}

#[tokio::test]
async fn a_panic_ends_by_itself_also_over_a_restart() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let mut node = place.start(&[]).await;
    node.block("203.0.113.7").await;
    let (state, resume) = (EnforcementState::Panic, Some(Duration::from_secs(4)));
    node.order(Order::Enforcement { state, confirm: None, resume }).await.unwrap();
    node.kill();
    let _node = place.start(&[]).await;
    let back = || place.inside("ipset", &["list", "-n"]).contains("smartfw_hard4");
    wait_for("the panic to end", || back() && place.set("smartfw_hard4").len() == 1).await;
}
