//! What a coordinator answers: what it has kept, what operators order through it, and what they ask before.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use smartfw_core::fleet::{NodeId, SignedOrder, Version};
use smartfw_proto::{
    convert::{Answer, Question, Report, decode_order},
    wire,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep},
};
use tonic::Streaming;

use super::{Ended, Link, Shared, UNDER_WAY, Way, Word, next};
use crate::fleet::asked;

/// Questions of one coordinator that wait for their answer.
const ASKED: usize = 32;
/// Each question is followed by a rest so many times as long as it took: the thread that answers is the one that decides.
const REST: u32 = 9;
/// No rest is longer: it took so long because the thread had other things to do.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How often one is taken, or what was kept before is heard again: a signature is checked by the thread that decides, and two hundred a second are a hundredth
/// of its time.
const PACE: Duration = Duration::from_millis(5);

/// Listens to one coordinator.
pub(super) struct Ear<'a> {
    way: &'a Way,
    id: NodeId,
    shared: &'a Shared,
    inbound: Streaming<wire::CoordinatorAnswer>,
    outcomes: mpsc::Sender<Word>,
    /// A permit for each question that may wait.
    room: Arc<Semaphore>,
    alone: Arc<Semaphore>,
}

impl<'a> Ear<'a> {
    pub(super) fn new(
        link: &'a Link,
        shared: &'a Shared,
        inbound: Streaming<wire::CoordinatorAnswer>,
        outcomes: mpsc::Sender<Word>,
    ) -> Self {
        let Link { way, id, alone, .. } = link;
        let room = Arc::new(Semaphore::new(ASKED));
        Self { way, id: *id, shared, inbound, outcomes, room, alone: alone.clone() }
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
                Answer::Question(number, question) => {
                    self.answer(number, question);
                    sleep(PACE).await;
                }
            }
        }
    }

    /// Looks up what is asked, one thing after the other; who asks more than may wait is not answered.
    fn answer(&self, number: u64, question: Question) {
        if let Ok(turn) = self.room.clone().try_acquire_owned() {
            let (way, outcomes, alone) = (self.way.clone(), self.outcomes.clone(), self.alone.clone());
            tokio::spawn(look_up(way, (number, question), outcomes, alone, turn));
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
        if outcomes.is_closed() {
            return Ok(()); // nobody would hear what becomes of it: it is passed on again on the next stream
        }
        match self.shared.orders.clone().try_acquire_owned() {
            Ok(turn) => {
                tokio::spawn(carry_out(self.way.clone(), id, order, outcomes, turn));
                Ok(())
            }
            Err(_) => {
                let refused = Some(format!("{UNDER_WAY} orders are being seen to already"));
                let report = Report::Outcome { id, refused };
                outcomes.try_send(Word { report, turn: None }).map_err(|_| Ended::Flooded)
            }
        }
    }
}

async fn look_up(
    way: Way,
    (number, question): (u64, Question),
    outcomes: mpsc::Sender<Word>,
    alone: Arc<Semaphore>,
    turn: OwnedSemaphorePermit,
) {
    let Ok(_alone) = alone.acquire().await else { return };
    if outcomes.is_closed() {
        return; // the stream has ended, and nobody would hear it
    }
    let begun = Instant::now();
    let Some(reply) = asked::reply(&way.inbox, question).await else { return };
    let took = begun.elapsed();
    let _ = outcomes.send(Word { report: Report::Reply(number, reply), turn: None }).await;
    drop(turn); // who is answered waits no more
    sleep((took * REST).min(LONGEST_REST)).await;
}

async fn carry_out(
    way: Way,
    id: [u8; 16],
    order: SignedOrder,
    outcomes: mpsc::Sender<Word>,
    turn: OwnedSemaphorePermit,
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
    let _ = outcomes.send(Word { report: Report::Outcome { id, refused }, turn: Some(turn) }).await;
}
