//! A history in a real Redis of its own, on loopback.

use std::{
    env,
    io::{self, Write as _},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use smartfw_history::{Event, History, HistoryError, Query, Redis};
use tempfile::TempDir;

use crate::{
    Site,
    cases::all,
    events::{NOW, ago, event, node},
};

/// Has the tests fail where there is no redis-server.
const DEMANDED: &str = "SMARTFW_REDIS";

/// Says that a test was skipped: past the test runner, which keeps what passing tests print to itself.
pub(crate) fn tell_skipped() {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let told = format!("SKIPPED {test}: there is no redis-server on this machine; {DEMANDED}=1 demands it\n");
    io::stderr().write_all(told.as_bytes()).unwrap();
}

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
        self.of("prod")
    }
}

impl InRedis {
    /// Starts a server; `None` where there is none and none is demanded.
    fn with(settings: &'static [&'static str]) -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut site = Self { folder: TempDir::new().unwrap(), port, settings, server: None };
        let started = site.start();
        let demanded = env::var_os(DEMANDED).is_some_and(|value| value == "1");
        assert!(started || !demanded, "{DEMANDED}=1, and there is no redis-server on this machine");
        started.then_some(site)
    }

    /// The history of a cluster.
    fn of(&self, cluster: &str) -> Redis {
        Redis::open(&format!("redis://127.0.0.1:{}", self.port), cluster).unwrap()
    }

    fn start(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(self.settings).current_dir(self.folder.path()).stdout(Stdio::null());
        self.server = command.spawn().ok();
        self.server.is_some()
    }

    /// Sends a command of its own.
    async fn ask(&self, name: &str, words: &[&str]) {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut raw = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd(name).arg(words).exec_async(&mut raw).await.unwrap();
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
            None => return tell_skipped(),
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
            let append = || history.append(NOW, (part * 10 + 1..=part * 10 + 10).map(event).collect());
            let (mut result, mut repeated) = (append().await, 0);
            // A busy machine starts redis so slowly that it is often not there: then as the error advises.
            while matches!(result, Err(HistoryError::Redis(_))) && repeated < 20 {
                (result, repeated) = (append().await, repeated + 1);
            }
            result.unwrap();
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
async fn two_clusters_in_one_redis_neither_see_nor_let_go_of_each_others_events() {
    let site = server_or_skip!(SAFE);
    let (one, other) = (site.of("prod"), site.of("prod.eu"));
    one.append(NOW, (1..=10).map(event).collect()).await.unwrap();
    other.append(NOW, (1..=5).map(event).collect()).await.unwrap();
    let known = other.append(NOW, (1..=6).map(event).collect()).await.unwrap();
    assert_eq!((known.kept, known.known), (1, 5), "the same node of another cluster is another one");
    assert_eq!((one.size().await.unwrap().events, other.size().await.unwrap().events), (10, 6));
    one.retain(NOW, Duration::from_secs(10_000_000), 0).await.unwrap();
    assert_eq!(all(&one, Query::default()).await.len(), 0);
    assert_eq!(all(&other, Query::default()).await.len(), 6);
}

#[tokio::test]
async fn a_name_is_looked_for_among_the_events_of_whom_nobody_wrote_down_what_they_are_called() {
    let mut site = server_or_skip!(SAFE);
    let history = site.open().await;
    let other = Event { id: node(2), node: "web-2".to_owned(), ..event(1) };
    history.append(NOW, vec![event(1), other]).await.unwrap();
    let named = || Query { name: Some("web-1".to_owned()), ..Query::default() };
    assert_eq!(all(&history, named()).await.len(), 1);
    site.ask("DEL", &["smartfw:2:prod:names"]).await;
    assert_eq!(all(&history, named()).await.len(), 1);
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
async fn an_entry_that_makes_no_sense_is_named_and_without_it_the_rest_is_read() {
    let mut site = server_or_skip!(SAFE);
    let history = site.open().await;
    history.append(NOW, vec![event(1), Event { id: node(2), ..event(1) }]).await.unwrap();
    let key = format!("smartfw:2:prod:events:{:#}", node(1));
    site.ask("XADD", &[&key, "1799900001000000000-9", "event", "nonsense"]).await;
    let error = history.query(Query::default()).await.unwrap_err();
    let HistoryError::DamagedEntry { key: named, id } = &error else { panic!("{error}") };
    assert_eq!((named.as_str(), id.as_str()), (key.as_str(), "1799900001000000000-9"));
    let other = Query { node: Some(node(2)), ..Query::default() };
    assert_eq!(history.query(other).await.unwrap().events.len(), 1);
    assert!(error.to_string().contains(&format!("XDEL {key} {id}")), "{error}");
    site.ask("XDEL", &[&key, id]).await;
    assert_eq!(history.query(Query::default()).await.unwrap().events.len(), 2);
}

#[tokio::test]
async fn a_last_that_makes_no_sense_is_named_and_what_is_advised_mends_it() {
    let mut site = server_or_skip!(SAFE);
    let history = site.open().await;
    history.append(NOW, vec![event(1), Event { id: node(2), ..event(1) }]).await.unwrap();
    let (name, key) = (format!("{:#}", node(1)), format!("smartfw:2:prod:events:{:#}", node(1)));
    site.ask("HSET", &["smartfw:2:prod:lasts", &name, "nonsense"]).await;
    let error = history.query(Query::default()).await.unwrap_err();
    assert!(matches!(&error, HistoryError::DamagedLast { node, .. } if *node == name), "{error}");
    assert!(error.to_string().contains(&format!("delete it together with {key}")), "{error}");
    site.ask("HDEL", &["smartfw:2:prod:lasts", &name]).await;
    site.ask("DEL", &[&key]).await;
    assert_eq!(all(&history, Query::default()).await.len(), 1);
    assert_eq!(history.append(NOW, vec![event(1)]).await.unwrap().kept, 1);
    assert_eq!(all(&history, Query::default()).await.len(), 2);
}

#[test]
fn an_address_that_makes_no_sense_is_told_as_such_without_its_password() {
    let error = Redis::open("redis//name:secret@host", "prod").unwrap_err();
    assert!(matches!(error, HistoryError::Address(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("redis://HOST:PORT") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn bytes_let_no_more_go_than_they_must_whenever_events_happened() {
    let mut site = server_or_skip!(SAFE);
    let history = site.open().await;
    // Half of the events happened within seconds, long before the others, which took a day.
    let burst = |sequence| Event { time: ago(2_000_000 - sequence), ..event(sequence) };
    let spread = |sequence| Event { time: ago(100_000 - (sequence - 4_000) * 20), ..event(sequence) };
    for part in 0..8 {
        let sequences = part * 1_000 + 1..=part * 1_000 + 1_000;
        let events = sequences.map(|sequence| if part < 4 { burst(sequence) } else { spread(sequence) });
        history.append(NOW, events.collect()).await.unwrap();
    }
    let before = history.size().await.unwrap();
    let bytes = before.bytes / 5 * 4;
    history.retain(NOW, Duration::from_secs(10_000_000), bytes).await.unwrap();
    let after = history.size().await.unwrap();
    assert!(after.bytes <= bytes, "{before:?}, {after:?}");
    assert!(after.events >= before.events / 4 * 3, "{before:?}, {after:?}");
    let left = history.query(Query { limit: 1, ..Query::default() }).await.unwrap();
    assert_eq!(left.events[0].event.sequence, 8_000, "the newest is there");
}
