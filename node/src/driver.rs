//! The thread that owns the agent: it waits, feeds what came, and drains what the agent wants done. It knows no rule of
//! the domain.

mod actions;
mod fleet;
mod recent;
mod stored;
mod waiting;

use std::{mem, ops::ControlFlow, sync::Arc, thread::JoinHandle};

use smartfw_core::{
    Agent, Alert, Effect, EventKind, IpNet, Record, Sequence, Service, Strength, Subject, Time,
    enforcement::Change,
    order::{Done, EnforcementState},
    prefix,
    protect::{Protected, ProtectedSet},
};
use smartfw_proto::json;
use tokio::sync::broadcast;

use crate::{
    clock,
    counters::Counters,
    detector::Feed,
    enforcement::{BootChange, BootSnapshot, Queue, Task, Ticket},
    fleet::Brain,
    inbox::{Input, Inputs, Reply},
    logs::{Line, Logs},
    store::{Backlog, Key, Value, encode, row_key},
    uplink::{Happened, Uplink},
    vital::Vital,
};
use actions::{Actions, To};
pub use recent::Recent;
use stored::Stored;
use waiting::{Order, Waiting};

/// The agent, and everything that it reaches.
pub struct Driver {
    /// The control plane, restored.
    pub agent: Agent,
    /// The fleet's part, restored; `None` outside of a fleet.
    pub brain: Option<Box<Brain>>,
    /// What the host protects.
    pub protected: ProtectedSet,
    /// What comes.
    pub inputs: Inputs,
    /// The way to the kernel.
    pub queue: Arc<Queue>,
    /// The way to the disk.
    pub backlog: Arc<Backlog>,
    /// The way to the sensor.
    pub feed: Arc<Feed>,
    /// The way to those who follow alerts.
    pub followers: broadcast::Sender<Arc<Alert>>,
    /// The way to the log files.
    pub logs: Logs,
    /// The way to coordinators.
    pub uplink: Uplink,
    /// The way to the next boot.
    pub boot: BootSnapshot,
    /// The blocks made last, for the live view.
    pub recent: Arc<Recent>,
    /// Whether the kernel may be changed at all.
    pub may_change_kernel: bool,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl Driver {
    /// Starts the thread; it ends by [`Input::Stop`].
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, vital: &Vital) -> std::io::Result<JoinHandle<()>> {
        let (waiting, actions) = (Waiting::default(), Actions::default());
        let mut running = Running {
            driver: self,
            waiting,
            actions,
            stored: Stored::default(),
            enforced: Ticket::default(),
            elsewhere: Vec::new(),
            deciding: None,
            touched: Vec::new(),
        };
        vital.spawn("driver", move || running.run())
    }
}

struct Running {
    driver: Driver,
    waiting: Waiting,
    actions: Actions,
    stored: Stored,
    /// The kernel has carried out everything up to here.
    enforced: Ticket,
    /// Who is logged in at other members of the fleet, and its coordinators.
    elsewhere: Vec<Protected>,
    /// When the packet was seen whose verdict is being handled.
    deciding: Option<Time>,
    /// The targets that the order being handled changes.
    touched: Vec<IpNet>,
}

impl Running {
    fn run(&mut self) {
        self.drain(clock::now());
        loop {
            let input = self.driver.inputs.wait(self.poll_timeout());
            let now = clock::now();
            self.driver.agent.handle_timeout(now);
            let flow = input.map_or(ControlFlow::Continue(()), |input| self.feed(now, input));
            self.drain(now);
            if flow.is_break() {
                return;
            }
        }
    }

    fn feed(&mut self, now: Time, input: Input) -> ControlFlow<()> {
        self.touched.clear();
        let agent = &mut self.driver.agent;
        match input {
            Input::Verdict(verdict) => {
                self.deciding = Some(verdict.at);
                agent.handle_verdict(now, verdict);
            }
            Input::Order(order, reply) => {
                self.actions.order(&order);
                let before = self.driver.queue.last();
                match agent.handle_order(now, order) {
                    Ok((done, sequence)) => {
                        self.drain(now);
                        self.wait(sequence, before, done, reply);
                    }
                    Err(refusal) => reply(Err(refusal.into())),
                }
            }
            Input::Ask(question) => question(agent, now),
            Input::Protected(protected) => self.protected(now, protected),
            Input::Persisted(upto) => self.persisted(now, upto),
            Input::StoreLost => {
                self.actions.anew();
                agent.handle_store_lost(now);
                self.fleet_store_lost();
                self.drain(now);
                self.driver.backlog.everything_came();
            }
            Input::Enforced { upto, results, trouble } => {
                self.enforced = self.enforced.max(upto);
                self.waiting.enforced(upto, &results, trouble.as_deref());
                self.fleet_enforced(upto, &results, trouble.as_deref());
                for (target, result) in results {
                    self.driver.agent.handle_enforced(now, target, result);
                }
            }
            Input::Handshakes(clients) => agent.handle_handshakes(now, clients),
            Input::Config(config) => agent.set_config(now, config),
            Input::SensorRestarted => {
                agent.entries().for_each(|entry| self.driver.feed.block(entry.target, Some(entry.strength)));
            }
            Input::Begin(reply) => {
                let before = self.driver.queue.last();
                self.switch(self.driver.agent.enforcement());
                self.wait(Sequence(0), before, Done::Confirmed, reply);
            }
            Input::Recheck(changes, reply) => {
                let before = self.driver.queue.last();
                let changes: Vec<Change> =
                    changes.into_iter().filter_map(|change| current(agent, change)).collect();
                self.touched = changes.iter().map(Change::target).collect();
                self.driver.queue.push_all(changes.into_iter().map(|change| Task::Change(change, None)));
                self.wait(Sequence(0), before, Done::Confirmed, reply);
            }
            Input::Listed(change, reply) => {
                self.actions.feed();
                let before = self.driver.queue.last();
                let (made, sequence) = agent.handle_feed(now, change);
                self.drain(now);
                let reply = Box::new(move |result: Result<Done, _>| reply(made, result.map(drop)));
                self.wait(sequence, before, Done::Confirmed, reply);
            }
            Input::Fleet(input) => self.fleet(now, input),
            Input::Stop => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Answers once kernel and disk have what was queued behind `before`.
    fn wait(&mut self, sequence: Sequence, before: Ticket, done: Done, reply: Reply) {
        let tickets = (before, self.driver.queue.last());
        let touched = mem::take(&mut self.touched);
        self.waiting.push(Order { sequence, tickets, touched, done, reply, refused: None });
    }

    /// Hands over what the agent wants done: what goes to the kernel before anything else.
    fn drain(&mut self, now: Time) {
        loop {
            let mut batch = Batch::default();
            self.drain_agent(now, &mut batch);
            while self.settle_fleet() {
                self.drain_agent(now, &mut batch);
            }
            self.store(batch);
            if !self.tell_fleet_of_the_kernel() {
                break;
            }
        }
        self.deciding = None;
        let driver = &self.driver;
        let to = To { counters: &driver.counters, uplink: &driver.uplink };
        self.actions.finish(now, to);
        self.driver.counters.changes_waiting.set(self.driver.queue.len() as u64);
        self.driver.counters.records_waiting.set(self.driver.backlog.len() as u64);
    }

    fn drain_agent(&mut self, now: Time, batch: &mut Batch) {
        while let Some(effect) = self.driver.agent.poll_effect() {
            match effect {
                Effect::Enforce(change) => {
                    self.decided(&change);
                    self.touched.push(change.target());
                    batch.tasks.push(self.task(change));
                }
                Effect::Destroy(target) => batch.tasks.push(Task::Cut(target)),
                Effect::Enforcement(state) => {
                    self.flush(batch);
                    self.switch(state);
                }
                Effect::Persist(sequence, record) => {
                    self.flush(batch);
                    self.persist(now, sequence, &record, batch);
                }
                Effect::Report(alert) => self.report(alert),
                Effect::Forget(target, strength) => batch.forget.push((target, strength)),
                Effect::Acquit(target) => self.driver.feed.acquittal(target),
                Effect::ProtectService(service) => self.protect(service),
                Effect::Say(audience, entry) => self.say(now, audience, entry),
            }
        }
        // What the fleet's part does next, it does while the kernel is busy.
        self.flush(batch);
    }

    fn flush(&self, batch: &mut Batch) {
        if !batch.tasks.is_empty() {
            self.driver.queue.push_all(batch.tasks.drain(..));
            self.driver.boot.changed(BootChange::Entries);
        }
        if !batch.forget.is_empty() {
            self.driver.feed.blocks(batch.forget.drain(..));
        }
    }

    fn task(&self, change: Change) -> Task {
        let decided = self.deciding.filter(|_| matches!(change, Change::Block(_)));
        Task::Change(change, decided)
    }

    fn switch(&self, state: EnforcementState) {
        let agent = &self.driver.agent;
        let until = agent.enforcement_detail().now.resume.map(|(_, until)| until);
        let change = agent.fleet_panic().map_or(BootChange::State(state, until), BootChange::FleetPanic);
        self.driver.boot.changed(change);
        let task = match state {
            EnforcementState::On => Task::On(self.driver.agent.desired()),
            EnforcementState::Off | EnforcementState::Panic => Task::Off,
        };
        self.driver.queue.push(task);
    }

    fn persist(&mut self, now: Time, sequence: Sequence, record: &Record, batch: &mut Batch) {
        let value = (!record.removes()).then(|| encode(record));
        batch.rows.push((row_key(record), value));
        batch.upto = sequence;
        let told = self.tells(record);
        let driver = &self.driver;
        let to = To { counters: &driver.counters, uplink: &driver.uplink };
        self.actions.record(now, (sequence, record), told, to);
        if let Record::Block(stored) = record {
            self.driver.recent.push(stored.block.target);
        }
    }

    fn report(&self, alert: Alert) {
        self.driver.counters.alerts.of(alert.class).add(1);
        let line = json::alert(&alert).to_string();
        if self.driver.uplink.wants() {
            let address = match alert.subject {
                Subject::Source(source) => Some(prefix::host(source)),
                Subject::Destination { .. } => None,
            };
            let (time, class, body) = (alert.time, Some(alert.class), line.clone());
            self.driver.uplink.tell(Happened { time, kind: EventKind::Alert, address, class, body });
        }
        self.driver.logs.write(Line::Event(line.clone()));
        self.driver.logs.write(Line::Alert(line));
        // Nobody may be following.
        let _ = self.driver.followers.send(Arc::new(alert));
    }

    fn protect(&self, service: Service) {
        if !self.driver.may_change_kernel {
            return;
        }
        match smartfw_enforce::syncookies::enable() {
            Ok(true) => tracing::warn!(%service, "SYN cookies were off and are on now"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%service, %error, "SYN cookies could not be switched on"),
        }
    }
}

/// What one input brought about, on its way: handed over together, because a lock for each of a hundred thousand blocks
/// would take longer than deciding upon them.
#[derive(Default)]
struct Batch {
    tasks: Vec<Task>,
    forget: Vec<(IpNet, Option<Strength>)>,
    rows: Vec<(Key, Value)>,
    upto: Sequence,
}

/// How a target that somebody found to be wrong shall be by now; `None` where nothing is to be done.
fn current(agent: &Agent, change: Change) -> Option<Change> {
    if agent.enforcement() != EnforcementState::On {
        return None;
    }
    let target = match change {
        Change::Block(entry) => entry.target,
        Change::Unblock(target) => target,
        // The kernel holds half of a prefix of everybody: what covers it counts.
        Change::Protect(net) => {
            return agent.passing().any(|passing| passing.contains(&net)).then_some(Change::Protect(net));
        }
        Change::Unprotect(net) => {
            return (!agent.passing().any(|passing| *passing == net)).then_some(Change::Unprotect(net));
        }
    };
    Some(agent.enforced_entry(&target).map_or(Change::Unblock(target), Change::Block))
}

#[cfg(test)]
mod tests;
