use std::{
    fs,
    path::Path,
    sync::atomic::Ordering::SeqCst,
    thread,
    time::{Duration, Instant},
};

use smartfw_core::{Agent, IpNet, config::PolicyConfig, order::Order};

use super::*;
use crate::{
    clock,
    inbox::{Input, inbox},
};

/// Feeds that are followed, and an agent that holds what they list.
struct Case {
    feeds: Feeds,
    inbox: Inbox,
    health: Arc<Health>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Case {
    fn start(folder: &Path, configured: Vec<FeedSettings>, config: PolicyConfig) -> Self {
        let (inbox, inputs) = inbox(Arc::default());
        let mut agent = Agent::new(config, 1, clock::now());
        let driver = thread::spawn(move || {
            loop {
                let now = clock::now();
                match inputs.wait(now.after(Duration::from_secs(1))) {
                    Some(Input::Ask(question)) => question(&agent, now),
                    Some(Input::Order(order, reply)) => {
                        reply(agent.handle_order(now, order).map(|(done, _)| done).map_err(Into::into));
                    }
                    Some(Input::Listed(change, reply)) => reply(agent.handle_feed(now, change).0, Ok(())),
                    Some(Input::Stop) => return,
                    _ => {}
                }
                while agent.poll_effect().is_some() {}
            }
        });
        let (health, ending) = (Arc::<Health>::default(), Arc::<AtomicBool>::default());
        let setup = Setup {
            configured,
            geo: GeoFiles::default(),
            folder: folder.join("feeds"),
            inbox: inbox.clone(),
            health: health.clone(),
            ending: ending.clone(),
        };
        let (feeds, keeper) = start(setup, &Vital::new().0).unwrap();
        Self { feeds, inbox, health, ending, threads: vec![keeper, driver] }
    }

    fn end(self) {
        self.ending.store(true, SeqCst);
        let mut threads = self.threads.into_iter();
        threads.next().unwrap().join().unwrap();
        self.inbox.send(Input::Stop);
        threads.next().unwrap().join().unwrap();
    }

    fn held(&self) -> Vec<String> {
        let entries = self.inbox.ask(|agent, _| agent.feeds_after(None, usize::MAX).1).unwrap();
        entries.iter().map(|entry| format!("{} {}", entry.feed, entry.target)).collect()
    }
}

fn feed(name: &str, path: &Path) -> FeedSettings {
    let url = format!("file://{}", path.display());
    FeedSettings::new(name, &url, "plain", Duration::from_secs(3600), 50).unwrap()
}

fn addresses(count: u32) -> String {
    (0..count).map(|n| format!("{}\n", std::net::Ipv4Addr::from(0xC612_0000 + n))).collect()
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "waited too long");
        thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_feed_is_followed_from_its_first_list_to_its_removal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, "192.0.2.1\n198.51.100.0/24 # net\n10.0.0.1\n").unwrap();
    let case = Case::start(folder.path(), Vec::new(), PolicyConfig::default());
    let row = case.feeds.add(feed("drop", &path)).await.unwrap();
    assert_eq!((row.entries, row.held, row.special, row.trouble.as_str()), (2, 2, 1, ""));
    assert_eq!(case.held(), ["drop 192.0.2.1/32", "drop 198.51.100.0/24"]);
    assert!(matches!(case.feeds.add(feed("drop", &path)).await, Err(FeedRefused::Taken(_))));
    fs::write(&path, "192.0.2.2\n198.51.100.0/24\n").unwrap();
    let rows = case.feeds.refresh(Some("drop".into()), false).await.unwrap();
    assert_eq!((rows[0].held, case.feeds.list()), (2, rows));
    assert_eq!(case.held(), ["drop 192.0.2.2/32", "drop 198.51.100.0/24"]);
    case.feeds.remove(format!("file://{}", path.display())).await.unwrap();
    assert!(case.held().is_empty() && case.feeds.list().is_empty());
    assert!(matches!(case.feeds.remove("drop".into()).await, Err(FeedRefused::Unknown)));
    case.end();
}

#[tokio::test]
async fn when_the_source_is_gone_the_last_list_holds_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, addresses(2500)).unwrap();
    let case = Case::start(folder.path(), Vec::new(), PolicyConfig::default());
    assert_eq!(case.feeds.add(feed("drop", &path)).await.unwrap().held, 2500);
    fs::remove_file(&path).unwrap();
    let rows = case.feeds.refresh(None, false).await.unwrap();
    assert_eq!((rows[0].entries, rows[0].trouble.is_empty()), (2500, false));
    assert!(case.health.list()[0].what.starts_with("the feed drop: "), "{:?}", case.health.list());
    case.end();
    let again = Case::start(folder.path(), Vec::new(), PolicyConfig::default());
    wait_for(|| again.feeds.list().first().is_some_and(|row| row.held == 2500));
    again.end();
}

#[tokio::test]
async fn a_change_that_is_too_large_is_enforced_once_a_person_has_looked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, addresses(300)).unwrap();
    let case = Case::start(folder.path(), Vec::new(), PolicyConfig::default());
    case.feeds.add(feed("drop", &path)).await.unwrap();
    fs::write(&path, addresses(100)).unwrap();
    let rows = case.feeds.refresh(None, false).await.unwrap();
    assert!(rows[0].remedy.contains("--force"), "{rows:?}");
    assert_eq!(case.held().len(), 300);
    let rows = case.feeds.refresh(None, true).await.unwrap();
    assert_eq!((rows[0].held, rows[0].trouble.as_str(), case.held().len()), (100, "", 100));
    case.end();
}

#[tokio::test]
async fn the_configuration_has_the_last_word_and_what_it_drops_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, "192.0.2.1\n").unwrap();
    let case = Case::start(folder.path(), vec![feed("a", &path)], PolicyConfig::default());
    wait_for(|| case.held() == ["a 192.0.2.1/32"]);
    assert!(matches!(case.feeds.remove("a".into()).await, Err(FeedRefused::Configured(_))));
    case.feeds.add(feed("b", &path)).await.unwrap();
    case.feeds.configured(vec![feed("c", &path)]);
    wait_for(|| case.held() == ["b 192.0.2.1/32", "c 192.0.2.1/32"]);
    case.feeds.configured(Vec::new());
    wait_for(|| case.held() == ["b 192.0.2.1/32"]);
    case.end();
}

#[tokio::test]
async fn what_rests_and_what_a_person_unblocked_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, "192.0.2.1\n192.0.2.2\n192.0.2.3\n").unwrap();
    let allow: Vec<IpNet> = vec!["192.0.2.1/32".parse().unwrap()];
    let config = PolicyConfig { allow, ..PolicyConfig::default() };
    let case = Case::start(folder.path(), Vec::new(), config);
    case.feeds.add(feed("drop", &path)).await.unwrap();
    let unblock = Order::Unblock { target: "192.0.2.2/32".parse().unwrap(), false_positive: false };
    case.inbox.send(Input::Order(unblock, Box::new(|result| drop(result.unwrap()))));
    fs::write(&path, "192.0.2.1\n192.0.2.2\n192.0.2.3\n192.0.2.4\n").unwrap();
    let rows = case.feeds.refresh(None, false).await.unwrap();
    assert_eq!((rows[0].held, rows[0].resting, rows[0].refused), (3, 1, 1));
    case.end();
}

#[tokio::test]
async fn no_more_feeds_are_followed_than_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, "").unwrap();
    let configured = (0..FEEDS).map(|n| feed(&format!("f{n}"), &path)).collect();
    let case = Case::start(folder.path(), configured, PolicyConfig::default());
    assert!(matches!(case.feeds.add(feed("more", &path)).await, Err(FeedRefused::Full)));
    case.end();
}
