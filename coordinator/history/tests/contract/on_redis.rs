//! A history in a real Redis of its own, on loopback.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use smartfw_history::{Event, History, HistoryError, Query, Redis};
use tempfile::TempDir;

use crate::{
    Site,
    cases::all,
    events::{NOW, event, node},
};

/// A redis-server with its files in a temporary folder.
pub(crate) struct InRedis {
    folder: TempDir,
    port: u16,
    settings: &'static [&'static str],
    server: Option<Child>,
}

const SAFE: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

impl Site for InRedis {
    type Of = Redis;

    async fn begin() -> Option<Self> {
        Self::with(SAFE)
    }

    async fn open(&mut self) -> Redis {
        Redis::open(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }
}

impl InRedis {
    /// Starts a server; `None` where there is none.
    fn with(settings: &'static [&'static str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut site = Self { folder: TempDir::new().unwrap(), port, settings, server: None };
        site.start().then_some(site)
    }

    fn start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(self.settings).current_dir(self.folder.path()).stdout(Stdio::null());
        self.server = command.spawn().ok();
        self.server.is_some()
    }

    /// Kills it, as a crash would.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

impl Drop for InRedis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server with these settings, or the reason why there is none is told.
macro_rules! server_or_skip {
    ($settings:expr) => {
        match InRedis::with($settings) {
            Some(site) => site,
            None => return println!("skipped: there is no redis-server on this machine"),
        }
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_or_doubled_while_redis_is_killed_again_and_again() {
    let mut site = server_or_skip!(SAFE);
    let (first, second) = (site.open().await, site.open().await);
    // Two coordinators to which the same node sends everything.
    let send = |history: Redis| async move {
        for part in 0..150u64 {
            history.append(NOW, (part * 10 + 1..=part * 10 + 10).map(event).collect()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let senders = [tokio::spawn(send(first.clone())), tokio::spawn(send(second))];
    let mut kills = 0;
    while !senders.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let acknowledged = first.last(node(1)).await.unwrap();
        site.kill();
        kills += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(site.start());
        assert!(first.last(node(1)).await.unwrap() >= acknowledged);
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert!(kills >= 3, "it was killed {kills} times while events flowed");
    let rows = all(&first, Query { limit: 1_000, ..Query::default() }).await;
    let sequences: Vec<u64> = rows.iter().map(|row| row.event.sequence).collect();
    assert_eq!(sequences, (1..=1_500).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn settings_that_endanger_what_is_acknowledged_are_told() {
    let mut safe = server_or_skip!(SAFE);
    assert!(safe.open().await.warnings().await.unwrap().is_empty());
    let mut bare = server_or_skip!(&["--appendonly", "no", "--maxmemory-policy", "allkeys-lru"]);
    let warnings = bare.open().await.warnings().await.unwrap();
    for (warning, setting) in warnings.iter().zip(["appendonly no", "appendfsync everysec", "allkeys-lru"]) {
        assert!(warning.contains(setting), "{warning}");
    }
    assert_eq!(warnings.len(), 3);
}

#[tokio::test]
async fn without_redis_the_error_says_that_the_call_can_be_repeated() {
    let mut site = server_or_skip!(SAFE);
    let history = site.open().await;
    history.append(NOW, vec![event(1)]).await.unwrap();
    site.kill();
    let error = history.append(NOW, vec![event(2)]).await.unwrap_err();
    assert!(error.to_string().contains("can be repeated"), "{error}");
    assert!(site.start());
    assert_eq!(history.append(NOW, vec![event(2)]).await.unwrap().kept, 1);
}

#[tokio::test]
async fn what_makes_no_sense_in_redis_is_named() {
    let mut site = server_or_skip!(SAFE);
    let history = site.open().await;
    history.append(NOW, vec![event(1), Event { id: node(2), ..event(1) }]).await.unwrap();
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", site.port)).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let key = format!("smartfw:1:events:{:#}", node(1));
    for (name, words) in [("DEL", [].as_slice()), ("XADD", &["1700000000000000000-0", "event", "nonsense"])] {
        let mut command = redis::cmd(name);
        command.arg(&key).arg(words).exec_async(&mut raw).await.unwrap();
    }
    let damaged = history.query(Query::default()).await.unwrap_err();
    assert!(matches!(&damaged, HistoryError::DamagedKey { key: named, .. } if *named == key), "{damaged}");
    let other = Query { node: Some(node(2)), ..Query::default() };
    assert_eq!(history.query(other).await.unwrap().events.len(), 1);
}
