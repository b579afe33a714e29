use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use smartfw_core::{
    EventKind,
    fleet::{NodeId, Version},
};
use smartfw_mirror::{Auth, Cluster, Database, Limits, Patience, Sender, Step};
use smartfw_mirror_fake::{Fake, Fault};

use super::*;
use crate::{
    clock,
    counters::Counters,
    uplink::{Happened, Uplink},
};

const COORDINATOR: NodeId = NodeId([1; 32]);
const BEGIN: Duration = Duration::from_secs(1_800_000_000);

/// A node's way to what it tells, and to the outbox.
struct Bench {
    counters: Arc<Counters>,
    uplink: Uplink,
    tail: Tail,
    outbox: Arc<Outbox>,
    health: Arc<Health>,
}

impl Bench {
    fn set_up(folder: &Path, always: bool) -> Self {
        let counters = Arc::<Counters>::default();
        let uplink = Uplink::new(folder, counters.clone(), Arc::default());
        let opened = Outbox::open(&folder.join("mirror"), Limits::default()).unwrap();
        let (tail, outbox) = (uplink.tail(always), Arc::new(opened.outbox));
        tail.begin();
        Self { counters, uplink, tail, outbox, health: Arc::default() }
    }

    fn happens(&self, kind: EventKind, body: &Value) {
        let time = clock::now();
        self.uplink.tell(Happened { time, kind, address: None, class: None, body: body.to_string() });
    }

    /// Tells until `enough`, and until nothing waits for it.
    async fn tells(&mut self, enough: impl Fn(&Outbox) -> bool) {
        let (outbox, health, uplink) = (self.outbox.clone(), self.health.clone(), self.uplink.clone());
        let telling = Telling { tail: &mut self.tail, node: "web-1.example", outbox: outbox.clone(), health };
        let look = async {
            while !enough(&outbox) || uplink.unmirrored() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            () = telling.keep() => unreachable!("it never ends"),
            () = look => {}
        }
    }

    /// Waits until so many events lie in the buffer that no coordinator has.
    async fn keeps(&self, events: u64) {
        while self.uplink.waiting() < events {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells for a while, in which nothing comes into the outbox.
    async fn is_silent(&mut self) {
        let while_long = tokio::time::timeout(Duration::from_millis(200), self.tells(|_| false));
        assert!(while_long.await.is_err());
        assert_eq!(self.outbox.counts().waiting, 0);
    }
}

fn sender(fake: &Fake, outbox: &Arc<Outbox>) -> Sender {
    let database = Database::new(&fake.url(), Auth::emulator(), Patience::default()).unwrap();
    Sender::new(Arc::new(database), outbox.clone(), Cluster::new("prod").unwrap())
}

/// The list, the number and the node of everything that was written.
fn written(fake: &Fake) -> Vec<(String, u64, String)> {
    let place = |path: &String| {
        let (list, key) = path.strip_prefix("clusters/prod/").unwrap().split_once('/').unwrap();
        let id = ItemId::from_key(key).unwrap();
        (list.to_owned(), id.sequence, id.node)
    };
    fake.lock().written.iter().map(place).collect()
}

fn place(list: &str, number: u64) -> (String, u64, String) {
    (list.to_owned(), number, "web-1.example".to_owned())
}

#[tokio::test]
async fn an_event_and_a_block_made_here_are_written_once_also_where_the_database_was_away() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut bench = Bench::set_up(folder.path(), false);
    bench.happens(EventKind::Alert, &json!({"kind": "alert", "source": "203.0.113.7"}));
    bench.happens(EventKind::Block, &json!({"kind": "block", "target": "203.0.113.7/32", "expires": null}));
    bench.tells(|outbox| outbox.counts().waiting == 2).await;
    let mut sender = sender(&fake, &bench.outbox);
    fake.lock().outage = Some(Fault::status(503));
    let Step::Wait(wait) = sender.step(BEGIN, u64::MAX).await else { panic!("it should wait") };
    bench.happens(EventKind::Lift, &json!({"kind": "unblock", "target": "203.0.113.7/32"}));
    bench.tells(|outbox| outbox.counts().waiting == 3).await;
    fake.lock().outage = None;
    assert_eq!(sender.step(BEGIN + wait, u64::MAX).await, Step::Sent(3));
    assert_eq!(written(&fake), [place("events", 1), place("blocks", 2), place("blocks", 3)]);
    let alerts = fake.at("clusters/prod/events");
    let alerts: Vec<&Value> = alerts.as_object().unwrap().values().collect();
    assert_eq!(alerts, [&json!({"kind": "alert", "source": "203.0.113.7"})]);
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    {
        let mut bench = Bench::set_up(folder.path(), false);
        bench.happens(EventKind::Alert, &json!({"n": 1}));
        bench.tells(|outbox| outbox.counts().waiting == 1).await;
        bench.happens(EventKind::Alert, &json!({"n": 2}));
        bench.uplink.end();
    }
    let fake = Fake::start().await;
    let mut bench = Bench::set_up(folder.path(), false);
    bench.tells(|outbox| outbox.counts().waiting == 2).await;
    bench.happens(EventKind::Alert, &json!({"n": 3}));
    bench.tells(|outbox| outbox.counts().waiting == 3).await;
    assert_eq!(sender(&fake, &bench.outbox).step(BEGIN, u64::MAX).await, Step::Sent(3));
    assert_eq!(written(&fake), [1, 2, 3].map(|number| place("events", number)));
    bench.uplink.end();
}

#[tokio::test]
async fn nothing_is_written_as_long_as_a_coordinator_is_known_and_then_what_it_does_not_have() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(folder.path(), false);
    bench.uplink.up(COORDINATOR, Version::default());
    bench.uplink.down(&COORDINATOR);
    bench.happens(EventKind::Alert, &json!({"n": 1}));
    bench.happens(EventKind::Block, &json!({"n": 2}));
    bench.keeps(2).await;
    bench.is_silent().await;
    bench.uplink.expelled(|id| *id == COORDINATOR);
    bench.tells(|outbox| outbox.counts().waiting == 2).await;
    bench.uplink.end();
}

#[tokio::test]
async fn a_coordinator_that_was_only_named_silences_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(folder.path(), false);
    bench.uplink.named(true);
    bench.happens(EventKind::Alert, &json!({"n": 1}));
    bench.tells(|outbox| outbox.counts().waiting == 1).await;
    bench.uplink.end();
}

#[tokio::test]
async fn where_a_person_says_so_all_is_written_although_a_coordinator_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(folder.path(), true);
    bench.uplink.up(COORDINATOR, Version::default());
    bench.happens(EventKind::Alert, &json!({"n": 1}));
    bench.tells(|outbox| outbox.counts().waiting == 1).await;
    assert_eq!(bench.uplink.waiting(), 1, "the coordinator does not have it");
    bench.uplink.end();
}

#[tokio::test]
async fn what_is_no_json_is_left_out_and_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(folder.path(), false);
    let (time, kind, body) = (clock::now(), EventKind::Alert, "no JSON".to_owned());
    bench.uplink.tell(Happened { time, kind, address: None, class: None, body });
    bench.happens(EventKind::Alert, &json!({"n": 2}));
    bench.tells(|outbox| outbox.counts().waiting == 1).await;
    let counted = &bench.counters.uplink;
    assert_eq!((counted.missed.get(), counted.dropped.get()), (1, 0), "coordinators lack nothing");
    bench.uplink.end();
}

#[tokio::test]
async fn keeping_that_ended_meanwhile_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Bench::set_up(folder.path(), false);
    let (uplink, outbox, health) = (bench.uplink.clone(), bench.outbox.clone(), bench.health.clone());
    let telling = Telling { tail: &mut bench.tail, node: "web-1.example", outbox: outbox.clone(), health };
    let script = async {
        sleep(Duration::from_millis(50)).await;
        uplink.pause();
        while !uplink.wants() {
            sleep(Duration::from_millis(5)).await;
        }
        let (time, kind, body) = (clock::now(), EventKind::Alert, r#"{"n":1}"#.to_owned());
        uplink.tell(Happened { time, kind, address: None, class: None, body });
        while outbox.counts().waiting == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = telling.keep() => unreachable!("it never ends"),
        done = tokio::time::timeout(Duration::from_secs(20), script) => done.unwrap(),
    }
    uplink.end();
}
