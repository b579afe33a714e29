//! Everything that reaches the driver, in one queue.
//!
//! Only verdicts can come faster than they are handled, because attackers make them: they are bounded, and the sensor
//! never waits. All else is bounded by who sends it: the store and the enforcer answer what they were given, the
//! control service admits only so many calls, the guard speaks once a second, members of the fleet wait for permits.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use smartfw_core::{
    Agent, IpNet, Time, Verdict,
    agent::{FeedChange, FeedDone},
    config::PolicyConfig,
    enforcement::Change,
    order::{Done, Order, Refusal},
    protect::ProtectedSet,
};

use crate::{clock, counters::Counters, enforcement::Ticket, fleet, store::Persistence};

/// Verdicts that may wait. The driver handles tens of thousands a second; more in the queue only means later.
const VERDICTS: u64 = 4096;

/// The driver's longest sleep: clocks step, and deadlines are the clock's.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Called once what an order decided is in the kernel and on disk.
pub type Reply = Box<dyn FnOnce(Result<Done, Refused>) + Send>;

/// Why an order is not answered with what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It was refused, and nothing was changed.
    Order(Refusal),
    /// It is decided and stored, and the kernel did not do it, in its words. It is tried again.
    Kernel(String),
    /// It is carried out, and not stored: too many wait for the disk.
    Unstored,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Order(refusal)
    }
}

/// Called with what was made of a feed's change, once that is in the kernel and on disk, or why it is not.
pub type Listed = Box<dyn FnOnce(FeedDone, Result<(), Refused>) + Send>;

/// A question; it is answered between two inputs.
pub type Question = Box<dyn FnOnce(&Agent, Time) + Send>;

/// What reaches the driver.
pub enum Input {
    /// Detection's word.
    Verdict(Verdict),
    /// A person's order.
    Order(Order, Reply),
    /// A question.
    Ask(Question),
    /// What the host protects now.
    Protected(ProtectedSet),
    /// The disk has everything up to the push of this number.
    Persisted(u64),
    /// The disk lost what it had: it needs everything anew.
    StoreLost,
    /// The kernel has carried out everything up to the ticket, but for what it refused.
    Enforced {
        /// Up to here.
        upto: Ticket,
        /// Each target that changed, and the kernel's words where it refused.
        results: Vec<(IpNet, Result<(), String>)>,
        /// Why all of it, or a switch, failed.
        trouble: Option<String>,
    },
    /// So many clients completed a handshake within the last second.
    Handshakes(u32),
    /// The configuration changed.
    Config(PolicyConfig),
    /// The sensor was started again and knows of no block.
    SensorRestarted,
    /// Everything is restored: make the kernel agree, and say when it does.
    Begin(Reply),
    /// The kernel seems not to hold what it shall of these targets: see to it, and say when it does.
    Recheck(Vec<Change>, Reply),
    /// What changed in a threat feed.
    Listed(FeedChange, Listed),
    /// The fleet.
    Fleet(fleet::Input),
    /// End.
    Stop,
}

/// The way to the driver. Cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    sender: Sender<Input>,
    counters: Arc<Counters>,
}

/// The driver's end.
pub struct Inputs {
    receiver: Receiver<Input>,
    counters: Arc<Counters>,
}

/// A queue to the driver.
pub fn inbox(counters: Arc<Counters>) -> (Inbox, Inputs) {
    let (sender, receiver) = channel();
    (Inbox { sender, counters: counters.clone() }, Inputs { receiver, counters })
}

impl Inbox {
    /// Hands over a verdict, or counts it where the queue is full.
    pub fn verdict(&self, verdict: Verdict) {
        self.counters.verdicts.of(verdict.class).add(1);
        if self.counters.verdicts_waiting.get() >= VERDICTS {
            return self.counters.verdicts_dropped.add(1);
        }
        self.counters.verdicts_waiting.add(1);
        self.send(Input::Verdict(verdict));
    }

    /// Hands over anything else. After the driver's end it goes nowhere.
    pub fn send(&self, input: Input) {
        drop(self.sender.send(input));
    }

    /// Asks, and waits for the answer; `None` when the driver has ended.
    pub fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Agent, Time) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, receiver) = channel();
        self.send(Input::Ask(Box::new(move |agent, now| drop(answer.send(question(agent, now))))));
        receiver.recv().ok()
    }
}

impl Persistence for Inbox {
    fn persisted(&self, upto: u64) {
        self.send(Input::Persisted(upto));
    }

    fn lost(&self) {
        self.send(Input::StoreLost);
    }
}

impl Inputs {
    /// The next input, or `None` when it is `deadline` first. [`Input::Stop`] when nobody is left to send any.
    pub fn wait(&self, deadline: Time) -> Option<Input> {
        let patience = deadline.since(clock::now()).min(LONGEST_SLEEP);
        let input = match self.receiver.recv_timeout(patience) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Input::Stop,
        };
        if matches!(input, Input::Verdict(_)) {
            self.counters.verdicts_waiting.sub(1);
        }
        Some(input)
    }
}
