//! Links to coordinators that are honest, slow, confused and hostile.

mod orders;

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use smartfw_core::{
    Agent, Class, EventKind,
    config::PolicyConfig,
    fleet::{OperatorOrder, OrderKind, SignedOrder, Version},
    order::{BlockOrder, Order, Refusal},
};
use smartfw_identity::{Current, Identity, sign_order};
use smartfw_proto::{
    convert::{Question, Reply},
    limits,
    view::{Coordinator, Covers},
};
use tokio::sync::watch;

use super::{
    super::{
        Happened,
        conversation::UNANSWERED,
        fake::{Fake, Heard, Mood},
    },
    *,
};
use crate::{
    clock,
    counters::Counters,
    fleet::{Input as FleetInput, PeerCodec},
    health::{Health, Level, Matter},
    inbox::{Input, inbox},
    testing::Authority,
};

/// A node's side: its buffer, its network, and a driver that obeys.
struct Node {
    uplink: Uplink,
    health: Arc<Health>,
    inbox: Inbox,
    places: watch::Sender<Places>,
    /// How often its driver was asked something.
    asked: Arc<AtomicUsize>,
    /// How many orders were given.
    given: Arc<AtomicUsize>,
    driver: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

impl Node {
    fn start(identity: &Identity) -> Self {
        let (counters, health) = (Arc::<Counters>::default(), Arc::<Health>::default());
        let folder = tempfile::tempdir().unwrap();
        let uplink = Uplink::new(folder.path(), counters.clone(), health.clone());
        let (inbox, inputs) = inbox(counters);
        let (changing, asked) = (uplink.clone(), Arc::<AtomicUsize>::default());
        let given = Arc::<AtomicUsize>::default();
        let counted = (asked.clone(), given.clone());
        let driver = std::thread::spawn(move || {
            let config = PolicyConfig { node: "web-1".into(), ..PolicyConfig::default() };
            let mut agent = Agent::new(config, 1, clock::now());
            loop {
                match inputs.wait(clock::now().after(Duration::from_secs(1))) {
                    Some(Input::Ask(question)) => question(&agent, clock::now()),
                    Some(Input::Order(order, reply)) => {
                        agent.handle_order(clock::now(), order).unwrap();
                        reply(Ok(smartfw_core::order::Done::Confirmed));
                    }
                    Some(Input::Fleet(FleetInput::Ask(question))) => {
                        counted.0.fetch_add(1, Ordering::Relaxed);
                        question(&agent, None, clock::now());
                    }
                    Some(Input::Fleet(FleetInput::Order(_, reply))) => {
                        counted.1.fetch_add(1, Ordering::Relaxed);
                        // What it blocks is another before disk and kernel have it.
                        changing.anew();
                        std::thread::sleep(Duration::from_millis(20));
                        drop(reply.send(Ok(())));
                    }
                    Some(Input::Stop) => return,
                    _ => {}
                }
            }
        });
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let net = Arc::new(Net::new(Current::new(identity.clone()), revocations.clone()));
        let places = watch::Sender::<Places>::default();
        let way = Way { uplink: uplink.clone(), net, revocations, inbox: inbox.clone() };
        tokio::spawn(follow(way, places.subscribe()));
        Self { uplink, health, inbox, places, asked, given, driver: Some(driver), folder }
    }

    /// Its driver does nothing else until it is let go.
    fn is_busy(&self, hold: std::sync::mpsc::Receiver<()>) {
        let busy = Box::new(move |_: &Agent, _: Option<&crate::fleet::Brain>, _| {
            let _ = hold.recv();
        });
        self.inbox.send(Input::Fleet(FleetInput::Ask(busy)));
    }

    fn named(&self, coordinators: &[(&Identity, SocketAddr)]) {
        self.places.send_replace(coordinators.iter().map(|(who, at)| (who.id(), vec![*at])).collect());
    }

    fn happens(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let (time, kind, mut body) = (clock::now(), EventKind::Alert, String::new());
            write!(body, "{{\"n\":{number}}}").unwrap();
            self.uplink.tell(Happened { time, kind, address: None, class: Some(Class::PortScan), body });
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.inbox.send(Input::Stop);
        self.driver.take().unwrap().join().unwrap();
        self.uplink.end();
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A node and a coordinator that it is told of, and can tell things.
async fn pair(mood: Mood) -> (Authority, Identity, Node, Fake) {
    let authority = Authority::found();
    let (node, coordinator) = (authority.member("web-1"), authority.admit("view", Role::Coordinator));
    let fake = Fake::new(mood);
    let address = fake.serve(&coordinator).await;
    let node = Node::start(&node);
    assert_eq!(node.uplink.state(), Coordinator::None);
    node.named(&[(&coordinator, address)]);
    until("events are kept", || node.uplink.wants() && node.uplink.0.index.borrow().next > 0).await;
    (authority, coordinator, node, fake)
}

fn bodies(fake: &Fake) -> Vec<String> {
    fake.heard().events.iter().map(|event| event.body.clone()).collect()
}

fn expected(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("{{\"n\":{n}}}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_arrives_once_and_in_order_although_streams_break_and_answers_are_late() {
    let mood = Mood { drops: 4, late: Duration::from_millis(3), ..Mood::default() };
    let (_authority, _, node, fake) = pair(mood).await;
    for n in 0..60 {
        node.happens(n * 50..(n + 1) * 50);
        sleep(Duration::from_millis(20)).await;
    }
    until("all have arrived", || fake.heard().events.len() >= 3000).await;
    assert_eq!(bodies(&fake), expected(0..3000));
    assert!(fake.heard().openings.len() > 4, "{} streams", fake.heard().openings.len());
    until("nothing waits", || node.uplink.waiting() == 0).await;
    assert_eq!(node.uplink.state(), Coordinator::Connected);
    assert_eq!(node.uplink.all_dropped(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_leaves_at_once() {
    let (_authority, _, node, fake) = pair(Mood::default()).await;
    until("it is connected", || fake.heard().lists == 1).await;
    sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    node.happens(0..1);
    while fake.heard().events.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(1), "nothing wakes it");
        tokio::task::yield_now().await;
    }
    println!("an event took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_blocks_come_whole_after_each_opening() {
    let authority = Authority::found();
    let (node, coordinator) = (authority.member("web-1"), authority.admit("view", Role::Coordinator));
    let fake = Fake::default();
    let (address, node) = (fake.serve(&coordinator).await, Node::start(&node));
    for n in 0..1200_u32 {
        let target = smartfw_core::prefix::host(std::net::Ipv4Addr::from(0xc633_6400 + n).into());
        let (duration, class) = (Some(Duration::from_secs(600)), Class::Manual);
        let order = BlockOrder { target, duration, reason: String::new(), class, force: true };
        node.inbox.send(Input::Order(Order::Block(order), Box::new(|_| ())));
    }
    node.named(&[(&coordinator, address)]);
    until("the list has come", || fake.heard().lists == 1).await;
    let mut targets: Vec<_> = fake.heard().blocks.iter().map(|block| block.target).collect();
    targets.dedup();
    assert_eq!(targets.len(), 1200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_coordinator_cannot_have_kept_is_not_believed_and_nothing_goes_because_of_it() {
    let more: fn(Version) -> Answer = |upto| Answer::Kept(Version { sequence: upto.sequence + 1000, ..upto });
    let less: fn(Version) -> Answer = |upto| Answer::Kept(Version { epoch: upto.epoch - 1, ..upto });
    let again: fn(Version) -> Answer = |upto| Answer::Opening(1, Some(upto));
    for nonsense in [more, less, again] {
        let (_authority, _, node, fake) = pair(Mood { nonsense: Some(nonsense), ..Mood::default() }).await;
        node.happens(0..100);
        until("the stream is closed and opened again", || fake.heard().openings.len() >= 2).await;
        until("all wait", || node.uplink.waiting() == 100).await;
        fake.heard().mood = Mood::default();
        until("it is honest now", || node.uplink.waiting() == 0).await;
        assert_eq!(bodies(&fake), expected(0..100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_knows_more_than_the_disk_gets_everything_under_new_numbers() {
    let (_authority, _, node, fake) = pair(Mood { silent: true, drops: 1, ..Mood::default() }).await;
    let epoch = node.uplink.0.index.borrow().epoch;
    until("it is connected", || fake.heard().lists == 1).await;
    // The disk was set back: what was told since has numbers that are given again.
    let claims = Some(Version { epoch, sequence: 500 });
    fake.heard().mood = Mood { claims, ..Mood::default() };
    node.happens(0..1);
    until("it was told", || fake.heard().events.len() == 1).await;
    node.happens(1..2);
    until("all is told again", || fake.heard().events.len() == 4 && node.uplink.waiting() == 0).await;
    assert!(node.uplink.0.index.borrow().epoch > epoch);
    assert_eq!(bodies(&fake)[2..], expected(0..2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_never_answers_is_sent_a_few_batches_and_costs_no_more() {
    let (_authority, _, node, fake) = pair(Mood { silent: true, ..Mood::default() }).await;
    for n in 0..8 {
        node.happens(n * 1000..(n + 1) * 1000);
        until("the disk has them", || node.uplink.waiting() == (n + 1) * 1000).await;
    }
    until("it has its batches", || fake.heard().unanswered == UNANSWERED).await;
    sleep(Duration::from_millis(300)).await;
    let heard = fake.heard().events.len();
    assert!(fake.heard().unanswered == UNANSWERED && heard <= UNANSWERED * limits::EVENTS, "{heard}");
    assert_eq!(node.uplink.waiting(), 8000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_too_long_or_no_order_ends_the_stream() {
    let long = SignedOrder {
        bytes: vec![1; 2 * ANSWER].into(),
        signature: [0; 64],
        certificate: [].into(),
        lasts: None,
    };
    let rubbish = SignedOrder { bytes: [255; 9].into(), ..long.clone() };
    for order in [long, rubbish] {
        let (_authority, _, _node, fake) = pair(Mood { orders: vec![order], ..Mood::default() }).await;
        until("it is opened again", || fake.heard().openings.len() >= 2).await;
        assert!(fake.heard().outcomes.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_that_one_of_two_coordinators_does_not_have() {
    let (authority, first, node, fast) = pair(Mood::default()).await;
    let second = authority.admit("view-2", Role::Coordinator);
    let slow = Fake::new(Mood { silent: true, ..Mood::default() });
    let at = node.places.borrow()[&first.id()][0];
    node.named(&[(&first, at), (&second, slow.serve(&second).await)]);
    until("both are connected", || node.uplink.connected() == 2).await;
    node.happens(0..100);
    until("one has all", || fast.heard().events.len() == 100).await;
    until("the other, too", || slow.heard().events.len() == 100).await;
    assert_eq!(node.uplink.waiting(), 100, "nobody knows that it keeps them");
    // It is expelled: nothing waits for it.
    node.uplink.expelled(|id| *id == second.id());
    until("nothing waits", || node.uplink.waiting() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_coordinator_is_reported_to() {
    let authority = Authority::found();
    let (node, other) = (authority.member("web-1"), authority.member("web-2"));
    let fake = Fake::default();
    let address = fake.serve(&other).await;
    let node = Node::start(&node);
    node.named(&[(&other, address)]);
    until("it is looked for", || node.uplink.state() == Coordinator::Away).await;
    node.happens(0..10);
    sleep(Duration::from_millis(700)).await;
    assert!(fake.heard().openings.is_empty() && node.uplink.state() == Coordinator::Away);
    assert!(node.uplink.troubles().is_none(), "it may be back within a minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_it_was_away_is_told_after_a_restart() {
    let (_authority, coordinator, node, fake) = pair(Mood::default()).await;
    node.happens(0..10);
    until("all have arrived", || node.uplink.waiting() == 0 && fake.heard().events.len() == 10).await;
    let address = node.places.borrow()[&coordinator.id()][0];
    node.named(&[(&coordinator, "127.0.0.1:1".parse().unwrap())]);
    fake.hang_up();
    until("it is away", || node.uplink.state() == Coordinator::Away).await;
    node.happens(10..30);
    node.uplink.pause();
    assert!(!node.uplink.wants());
    assert_eq!(fake.heard().events.len(), 10);
    node.uplink.resume();
    node.named(&[(&coordinator, address)]);
    until("all have arrived", || fake.heard().events.len() == 30).await;
    assert_eq!(bodies(&fake), expected(0..30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_node_is_told_and_who_leaves_forgets_all() {
    let (_authority, _, node, fake) = pair(Mood::default()).await;
    node.health.set(Matter::Disk, Level::Error, "full", "make room");
    node.health.clear(Matter::Disk);
    until("both are told", || fake.heard().events.len() == 2).await;
    let right: Vec<serde_json::Value> =
        bodies(&fake).iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!((&right[0]["right"], &right[1]["right"]), (&false.into(), &true.into()));
    assert_eq!((&right[0]["kind"], &right[0]["what"]), (&"health".into(), &"full".into()));
    node.uplink.forget();
    assert!(!node.folder.path().join("uplink").exists());
    assert_eq!(node.uplink.waiting(), 0);
}
