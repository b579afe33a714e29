//! What the tests share.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use smartfw_mirror::{
    Auth, Cluster, Database, Item, ItemId, Limits, List, Outbox, Patience, Receiver, Sender, Step,
};
use smartfw_mirror_fake::Fake;

/// The chance of every step: no jitter at all.
pub(crate) const CHANCE: u64 = u64::MAX;

/// The instant at which tests begin.
pub(crate) const BEGIN: Duration = Duration::from_secs(1_800_000_000);

pub(crate) const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(2),
    answer: Duration::from_secs(2),
    silence: Duration::from_secs(2),
};

pub(crate) fn cluster() -> Cluster {
    Cluster::new("prod.eu").unwrap()
}

pub(crate) fn database(fake: &Fake, auth: Auth) -> Arc<Database> {
    Arc::new(Database::new(&fake.url(), auth, PATIENCE).unwrap())
}

pub(crate) fn outbox(folder: &Path, limits: Limits) -> Arc<Outbox> {
    let opened = Outbox::open(folder, limits).unwrap();
    assert_eq!(opened.set_aside, None);
    Arc::new(opened.outbox)
}

pub(crate) fn sender(fake: &Fake, outbox: &Arc<Outbox>) -> Sender {
    Sender::new(database(fake, Auth::emulator()), Arc::clone(outbox), cluster())
}

pub(crate) fn receiver(fake: &Fake, list: List) -> Receiver {
    Receiver::new(database(fake, Auth::emulator()), cluster(), list)
}

pub(crate) fn id(sequence: u64) -> ItemId {
    ItemId { millis: 1_800_000_000_000 + sequence, epoch: 7, sequence, node: "web-1".into() }
}

pub(crate) fn event(sequence: u64) -> Item {
    Item::event(&id(sequence), json!({"source": "203.0.113.7", "n": sequence})).unwrap()
}

pub(crate) fn events(sequences: std::ops::Range<u64>) -> Vec<Item> {
    sequences.map(event).collect()
}

/// Where an event ends up.
pub(crate) fn place(sequence: u64) -> String {
    format!("clusters/prod,eu/{}", event(sequence).path())
}

pub(crate) fn places(sequences: std::ops::Range<u64>) -> Vec<String> {
    sequences.map(place).collect()
}

/// Steps until nothing is left, in virtual time. How often it had to wait.
pub(crate) async fn drain(sender: &mut Sender) -> usize {
    let (mut now, mut waits) = (BEGIN, 0);
    for _ in 0..10_000 {
        match sender.step(now, CHANCE).await {
            Step::Idle => return waits,
            Step::Sent(_) | Step::Narrowed => {}
            Step::Wait(wait) => {
                now += wait;
                waits += 1;
            }
        }
    }
    panic!("it never ends");
}

pub(crate) fn run_json(sequence: u64, bytes: &[u8]) -> Value {
    serde_json::from_slice(Item::run(&id(sequence), bytes).unwrap().body()).unwrap()
}
