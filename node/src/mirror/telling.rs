//! From the uplink's buffer to the outbox: what happened here, as the mirror of a coordinator writes it, in the same places.

use std::sync::Arc;

use smartfw_core::Event;
use smartfw_mirror::{Item, ItemId, Outbox};
use tokio::time::sleep;

use super::{LOOK, speaking::until_taken};
use crate::{health::Health, uplink::Tail};

/// Who puts what happened here into the outbox.
pub(super) struct Telling<'a> {
    pub(super) tail: &'a mut Tail,
    /// What this node is called: the places of its rows say whose they are.
    pub(super) node: &'a str,
    pub(super) outbox: Arc<Outbox>,
    pub(super) health: Arc<Health>,
}

impl Telling<'_> {
    /// Puts in what happened before and what happens from now on, for ever.
    pub(super) async fn keep(mut self) {
        loop {
            // Keeping may have ended, or not been possible.
            self.tail.begin();
            while self.tail.wants() && self.step().await {}
            tokio::select! {
                () = self.tail.more() => {}
                // Of coordinators that come and go nobody tells.
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Puts in what comes next; whether there was something.
    async fn step(&mut self) -> bool {
        let Some(piece) = self.tail.read().await else { return false };
        let items: Arc<[Item]> =
            piece.events.iter().filter_map(|event| item(self.node, piece.epoch, event)).collect();
        self.tail.left_out(piece.events.len() - items.len());
        if !items.is_empty() {
            let outbox = self.outbox.clone();
            until_taken(&self.health, move || outbox.push(&items)).await;
        }
        self.tail.has(&piece);
        true
    }
}

/// The event as the database shows it; what it would not take is left out, and told on stderr.
fn item(node: &str, epoch: u64, event: &Event) -> Option<Item> {
    let Event { sequence, time, kind, body, .. } = event;
    let millis = time.as_nanos() / 1_000_000;
    let id = ItemId { millis, epoch, sequence: *sequence, node: node.to_owned() };
    let item = Item::told(&id, *kind, body);
    item.inspect_err(|why| tracing::warn!(%why, epoch, sequence, "an event is not mirrored")).ok()
}

#[cfg(test)]
mod tests;
