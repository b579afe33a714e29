//! What a coordinator answers: what it has kept, and what operators order through it.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::{NodeId, SignedOrder, Version};
use smartfw_proto::{
    convert::{Answer, Report, decode_order},
    wire,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::sleep,
};
use tonic::Streaming;

use super::{Ended, Shared, Way, next};

/// Orders of one coordinator that are being carried out: as many as a fleet's people give at once.
const UNDER_WAY: usize = 32;
/// How often one is taken, or what was kept before is heard again: a signature is checked by the thread that decides, and two hundred a second are a hundredth
/// of its time.
const PACE: Duration = Duration::from_millis(5);

/// Listens to one coordinator.
pub(super) struct Ear<'a> {
    way: &'a Way,
    id: NodeId,
    shared: &'a Shared,
    inbound: Streaming<wire::CoordinatorAnswer>,
    outcomes: mpsc::Sender<Report>,
    room: Arc<Semaphore>,
}

impl<'a> Ear<'a> {
    pub(super) fn new(
        way: &'a Way,
        id: NodeId,
        shared: &'a Shared,
        inbound: Streaming<wire::CoordinatorAnswer>,
        outcomes: mpsc::Sender<Report>,
    ) -> Self {
        Self { way, id, shared, inbound, outcomes, room: Arc::new(Semaphore::new(UNDER_WAY)) }
    }

    /// Until the stream ends.
    pub(super) async fn listen(mut self) -> Result<(), Ended> {
        loop {
            match next(&mut self.inbound).await? {
                Answer::Opening(..) => return Err(Ended::Unopened),
                Answer::Kept(upto) if self.answered(upto)? => {
                    self.way.uplink.kept(&self.id, upto);
                    self.shared.kept.notify_one();
                }
                // What is said again is not passed on: nobody else shall be kept busy by it.
                Answer::Kept(_) => sleep(PACE).await,
                Answer::Order(order) => {
                    self.carry(order)?;
                    sleep(PACE).await;
                }
            }
        }
    }

    fn answered(&self, upto: Version) -> Result<bool, Ended> {
        let mut conversation = self.shared.conversation.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(conversation.answered(upto)?)
    }

    /// Gives an operator's order as if it had come from this host: who signed it is looked at there.
    fn carry(&self, order: SignedOrder) -> Result<(), Ended> {
        let id = decode_order(&order.bytes)?.id.to_be_bytes();
        let outcomes = self.outcomes.clone();
        match self.room.clone().try_acquire_owned() {
            Ok(turn) => {
                tokio::spawn(carry_out(self.way.clone(), id, order, outcomes, turn));
                Ok(())
            }
            Err(_) => {
                let refused = Some(format!("{UNDER_WAY} orders are being carried out already"));
                outcomes.try_send(Report::Outcome { id, refused }).map_err(|_| Ended::Flooded)
            }
        }
    }
}

async fn carry_out(
    way: Way,
    id: [u8; 16],
    order: SignedOrder,
    outcomes: mpsc::Sender<Report>,
    _turn: OwnedSemaphorePermit,
) {
    let refused = crate::fleet::give(&way.inbox, order).await.err().map(|why| why.to_string());
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    match &refused {
        None => tracing::info!(order = hex, "audit: an order that a coordinator passed on was given"),
        Some(why) => {
            tracing::warn!(order = hex, why, "audit: an order that a coordinator passed on was refused")
        }
    }
    // Whoever does not read what became of it may ask again.
    let _ = outcomes.send(Report::Outcome { id, refused }).await;
}
