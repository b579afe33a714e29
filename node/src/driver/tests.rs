use std::sync::mpsc::Receiver;

use smartfw_core::{config::PolicyConfig, order::Order};

use super::*;
use crate::{
    health::Health,
    inbox::{Inbox, inbox},
    logs::{Limits, LogPaths},
};

/// A driver at work, and the ends of the ways that it uses.
struct Case {
    inbox: Inbox,
    failures: Receiver<String>,
    thread: JoinHandle<()>,
    log: std::path::PathBuf,
    logs: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Case {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (vital, failures) = Vital::new();
        let (counters, health) = (Arc::<Counters>::default(), Arc::<Health>::default());
        let (inbox, inputs) = inbox(counters.clone());
        let paths = LogPaths::new(folder.path(), folder.path());
        let limits = Limits { max_size: 1 << 20, keep: 1 };
        let (logs, logs_thread) =
            Logs::start(&paths, limits, counters.clone(), health.clone(), &vital).unwrap();
        let (boot, _) =
            BootSnapshot::start(folder.path(), Arc::new(|| None), health.clone(), &vital).unwrap();
        let uplink = Uplink::new(folder.path(), counters.clone(), health);
        let driver = Driver {
            agent: Agent::new(PolicyConfig::default(), 1, clock::now()),
            brain: None,
            protected: Default::default(),
            inputs,
            queue: Arc::default(),
            backlog: Arc::new(Backlog::new(1000)),
            feed: Arc::new(Feed::new(counters.clone())),
            followers: broadcast::Sender::new(1),
            logs,
            boot,
            recent: Arc::default(),
            may_change_kernel: false,
            uplink,
            counters,
        };
        let thread = driver.start(&vital).unwrap();
        Self { inbox, failures, thread, log: paths.alerts, logs: logs_thread, folder }
    }
}

#[test]
fn a_dead_driver_is_told_of_and_leaves_nobody_waiting() {
    let case = Case::start();
    case.inbox.send(Input::Ask(Box::new(|_, _| panic!("injected"))));
    assert_eq!(case.failures.recv().unwrap(), "the thread `driver` panicked: injected");
    case.thread.join().unwrap();
    assert!(case.inbox.ask(|_, _| ()).is_none());
}

#[test]
fn what_was_done_is_logged_once_it_is_stored() {
    let case = Case::start();
    let allow =
        Order::Allow { target: "192.0.2.1/32".parse().unwrap(), duration: None, comment: String::new() };
    case.inbox.send(Input::Order(allow, Box::new(|_| ())));
    case.inbox.ask(|_, _| ()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!case.log.exists(), "it may be forgotten yet");
    case.inbox.send(Input::Persisted(u64::MAX));
    case.inbox.send(Input::Stop);
    case.thread.join().unwrap();
    // With the driver the last who logs is gone.
    case.logs.join().unwrap();
    assert!(std::fs::read_to_string(case.log).unwrap().contains("192.0.2.1/32"));
    drop(case.folder);
}
