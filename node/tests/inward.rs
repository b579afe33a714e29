//! What comes in from outside reaches the kernel, and what is protected stays so. Needs root.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what failed by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test files")]
mod common;

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    time::{Duration, SystemTime},
};

use common::{Place, possible, wait_for};
use smartfw_proto::wire::{self, feeds_client::FeedsClient};
use tonic::{Code, transport::Channel};

async fn feeds(place: &Place) -> FeedsClient<Channel> {
    FeedsClient::new(place.channel().await.unwrap())
}

/// Everything that the kernel drops.
fn dropped(place: &Place) -> Vec<String> {
    held(place, "hard")
}

/// What is in the sets of this strength.
fn held(place: &Place, strength: &str) -> Vec<String> {
    let sets = place.inside("ipset", &["list", "-n"]);
    let sets = sets.lines().filter(|name| name.contains(strength));
    let mut all: Vec<String> = sets.flat_map(|name| place.set(name)).collect();
    all.sort();
    all
}

fn request(url: &str) -> wire::AddFeedRequest {
    wire::AddFeedRequest { url: url.to_owned(), every: 3600, max_change: 50, ..Default::default() }
}

#[tokio::test]
async fn a_feed_is_dropped_but_for_what_is_protected_and_outlives_a_kill() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let list = place.path("list.txt");
    // The node's own address is within the second network.
    fs::write(&list, "203.0.113.7\n192.0.2.0/24\n198.51.100.0/24\n10.0.0.1\nnonsense\n").unwrap();
    let node = place.start(&["--metrics", "off"]).await;
    let url = format!("file://{}", list.display());
    let row = feeds(&place).await.add_feed(request(&url)).await.unwrap().into_inner();
    assert_eq!((row.name.as_str(), row.entries, row.held, row.resting), ("list.txt", 3, 3, 1));
    assert_eq!((row.special, row.unreadable, row.trouble.as_str()), (1, 1, ""));
    assert_eq!(dropped(&place), ["198.51.100.0/24", "203.0.113.7"]);
    node.kill();
    let mut node = place.start(&["--metrics", "off"]).await;
    assert_eq!(dropped(&place), ["198.51.100.0/24", "203.0.113.7"]);
    let listed = feeds(&place).await.list_feeds(wire::ListFeedsRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.feeds.len(), 1);
    let remove = wire::RemoveFeedRequest { feed: url };
    feeds(&place).await.remove_feed(remove).await.unwrap();
    wait_for("the kernel to let go", || dropped(&place).is_empty()).await;
    assert!(node.status().await.health.iter().all(|entry| !entry.what.contains("feed")));
}

#[tokio::test]
async fn a_large_feed_is_in_the_kernel_within_seconds_and_goes_as_fast() {
    if !possible() {
        return;
    }
    const COUNT: u32 = 20_000;
    let place = Place::new();
    let list = place.path("large");
    let address = |n: u32| format!("{}\n", std::net::Ipv4Addr::from(0xC612_0000 + n));
    fs::write(&list, (0..COUNT).map(address).collect::<String>()).unwrap();
    let _node = place.start(&["--metrics", "off"]).await;
    let url = format!("file://{}", list.display());
    let begun = std::time::Instant::now();
    let row = feeds(&place).await.add_feed(request(&url)).await.unwrap().into_inner();
    eprintln!("{COUNT} entries were answered for after {:?}", begun.elapsed());
    assert_eq!((row.held, dropped(&place).len()), (COUNT.into(), COUNT as usize));
    let begun = std::time::Instant::now();
    feeds(&place).await.remove_feed(wire::RemoveFeedRequest { feed: "large".into() }).await.unwrap();
    wait_for("the kernel to let go", || dropped(&place).is_empty()).await;
    eprintln!("and gone after {:?}", begun.elapsed());
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_with_a_reason() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let _node = place.start(&["--metrics", "off"]).await;
    let refused = feeds(&place).await.add_feed(request("http://example.org/list")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("use https://"), "{}", refused.message());
    let row = feeds(&place).await.add_feed(request("file:///nowhere/list")).await.unwrap().into_inner();
    assert!(!row.trouble.is_empty() && row.entries == 0, "{row:?}");
}

#[tokio::test]
async fn another_detectors_alert_blocks_whom_policy_lets_it_block() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let (eve, events) = (place.path("eve.json"), place.path("alerts"));
    [&eve, &events].iter().for_each(|path| fs::write(path, "").unwrap());
    let config = place.path("node.toml");
    let text = format!("[external]\nsuricata = [{:?}]\nevents = [{:?}]\n", eve.display(), events.display());
    fs::write(&config, text).unwrap();
    let node = place.start(&["--metrics", "off", "--config", config.to_str().unwrap()]).await;
    let append = |path, line: String| {
        OpenOptions::new().append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap();
    };
    // Both files are open before anything is written.
    tokio::time::sleep(Duration::from_secs(1)).await;
    append(&eve, suricata("203.0.113.7"));
    append(&eve, suricata("192.0.2.1"));
    append(&events, alert("203.0.113.9"));
    // Neither ever completed a handshake with this host, whatever the others say: nobody is to be framed.
    wait_for("both attackers to be limited", || held(&place, "soft") == ["203.0.113.7", "203.0.113.9"]).await;
    assert_eq!(dropped(&place), [""; 0]);
    let log = || fs::read_to_string(place.path("log/alerts.log")).unwrap_or_default();
    wait_for("the alert about ourselves", || log().contains("\"action\":\"protected\"")).await;
    assert!(log().contains("\"detector\":\"external\""), "{}", log());
    node.end();
    assert_eq!(held(&place, "soft"), ["203.0.113.7", "203.0.113.9"]);
}

fn now() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let nanos = u64::try_from(since.as_nanos()).unwrap();
    smartfw_node::clock::rfc3339(smartfw_core::Time::from_nanos(nanos))
}

/// An alert as Suricata writes it.
fn suricata(source: &str) -> String {
    let time = now().replace('Z', "+0000");
    format!(
        "{{\"timestamp\":\"{time}\",\"event_type\":\"alert\",\"src_ip\":\"{source}\",\"src_port\":4000,\"dest_ip\":\"192.0.2.9\",\"dest_port\":80,\"proto\":\"TCP\",\"alert\":{{\"action\":\"allowed\",\"gid\":1,\"signature_id\":2018358,\"rev\":1,\"signature\":\"ET WEB_SERVER test\",\"category\":\"Web Application Attack\",\"severity\":1}},\"app_proto\":\"http\",\"flow\":{{\"pkts_toserver\":5,\"pkts_toclient\":4}}}}\n"
    )
}

/// An alert as `events.jsonl` has it.
fn alert(source: &str) -> String {
    format!(
        "{{\"kind\":\"alert\",\"time\":\"{}\",\"source\":\"{source}\",\"class\":\"brute_force\",\"confidence\":0.9,\"evidence\":\"handshake\",\"reason\":\"test\"}}\n",
        now()
    )
}
