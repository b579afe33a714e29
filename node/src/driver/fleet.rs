//! What the driver does for the fleet, and nothing where there is none.

use std::mem;

use smartfw_core::{
    IpNet, Origin, Record, Time, enforcement::Change, fleet::Entry, gossip::Audience, protect::ProtectedSet,
};

use super::{Batch, Running, actions::matters};
use crate::{
    chance::seed,
    enforcement::Ticket,
    fleet::{Brain, FleetRefused, Input, Opening, Reply},
};

impl Running {
    /// When something is due.
    pub(super) fn poll_timeout(&self) -> Time {
        let agent = self.driver.agent.poll_timeout();
        self.driver.brain.as_ref().map_or(agent, |brain| agent.min(brain.poll_timeout(Brain::now())))
    }

    /// Something of the fleet has come.
    pub(super) fn fleet(&mut self, now: Time, input: Input) {
        let driver = &mut self.driver;
        match (&mut driver.brain, input) {
            (None, Input::Enter(opening, reply)) => self.enter(*opening, reply),
            (None, Input::Ask(question)) => question(&driver.agent, None, now),
            (None, Input::Foreigners(clusters)) => driver.agent.handle_foreign_clusters(now, clusters),
            (None, Input::Order(_, reply) | Input::Leave(reply)) => {
                drop(reply.send(Err(FleetRefused::NoCluster)));
            }
            (None, Input::Announced(_, _, reply)) => {
                drop(reply.send(Err(FleetRefused::NoCluster.to_string())));
            }
            (Some(brain), Input::Leave(reply)) => {
                brain.handle(&mut driver.agent, Brain::now(), Input::Leave(reply));
                self.leave(now);
            }
            (Some(brain), input) => brain.handle(&mut driver.agent, Brain::now(), input),
            // What was on its way when this node left.
            (None, _) => {}
        }
    }

    /// The disk has everything up to a push.
    pub(super) fn persisted(&mut self, now: Time, number: u64) {
        let upto = self.stored.persisted(number);
        self.driver.agent.handle_persisted(now, upto.records);
        self.actions.persisted(upto.records, &self.driver.logs, &self.driver.uplink);
        self.waiting.persisted(upto.records);
        if let Some(brain) = &mut self.driver.brain {
            brain.handle_persisted(Brain::now(), upto.logs);
        }
    }

    /// The disk needs everything anew.
    pub(super) fn fleet_store_lost(&mut self) {
        if let Some(brain) = &mut self.driver.brain {
            brain.handle_store_lost(Brain::now());
        }
    }

    /// What the kernel said to its tasks up to here.
    pub(super) fn fleet_enforced(
        &mut self,
        upto: Ticket,
        results: &[(IpNet, Result<(), String>)],
        trouble: Option<&str>,
    ) {
        if let Some(brain) = &mut self.driver.brain {
            brain.handle_enforced(upto, results, trouble);
        }
    }

    /// Says something to the fleet.
    pub(super) fn say(&mut self, now: Time, audience: Audience, entry: Entry) {
        if let Some(brain) = &mut self.driver.brain
            && let Some(unsaid) = brain.say(Brain::now(), audience, entry)
        {
            self.driver.agent.handle_unsaid(now, &unsaid);
        }
    }

    /// Whether coordinators hear of a record from this node: of the others' blocks they hear from them.
    pub(super) fn tells(&self, record: &Record) -> bool {
        let ours = |origin: &Origin| origin.0 == self.driver.agent.node();
        self.driver.uplink.wants()
            && match record {
                Record::Block(stored) => ours(&stored.block.origin),
                Record::BlockGone { origin, .. } => ours(origin),
                _ => matters(record),
            }
    }

    /// A target is about to be dropped: if that was decided here, the fleet is measured from now on.
    pub(super) fn decided(&mut self, change: &Change) {
        if let (Some(brain), Change::Block(entry)) = (&mut self.driver.brain, change)
            && entry.note.origin == self.driver.agent.node()
        {
            brain.decided(Brain::now(), entry.target);
        }
    }

    /// The host protects others than before.
    pub(super) fn protected(&mut self, now: Time, protected: ProtectedSet) {
        if let Some(brain) = &mut self.driver.brain {
            brain.handle(&mut self.driver.agent, Brain::now(), Input::Protected(protected.clone()));
        }
        if self.driver.protected.iter().ne(protected.iter()) {
            // Blocks of ours may be suspended by it, or in force again.
            self.driver.uplink.anew();
        }
        self.driver.protected = protected;
        self.protect_all(now);
    }

    /// The host's own, who is logged in at other members, and where coordinators are.
    fn protect_all(&mut self, now: Time) {
        let mut all = self.driver.protected.clone();
        self.elsewhere.iter().cloned().for_each(|entry| all.push(entry));
        self.driver.agent.handle_protected(now, all);
    }

    /// Lets the fleet's part do what it wants; whether the agent may want something now.
    pub(super) fn settle_fleet(&mut self) -> bool {
        let driver = &mut self.driver;
        let Some(brain) = &mut driver.brain else { return false };
        let now = Brain::now();
        let told = brain.settle(&mut driver.agent, now);
        if brain.take_carried() {
            driver.uplink.anew();
        }
        match brain.take_protected(now) {
            None => told,
            Some(elsewhere) => {
                self.elsewhere = elsewhere;
                self.driver.uplink.anew();
                self.protect_all(now.wall);
                true
            }
        }
    }

    /// Hands the rows of one input over, the fleet's among them.
    pub(super) fn store(&mut self, mut batch: Batch) {
        let logs = match &mut self.driver.brain {
            Some(brain) => {
                let (rows, ticket) = brain.take_rows();
                batch.rows.extend(rows);
                ticket
            }
            None => Default::default(),
        };
        if !batch.rows.is_empty() {
            let number = self.stored.push(batch.upto, logs);
            self.driver.backlog.push_all(number, batch.rows);
        }
    }

    /// What is among the kernel's tasks, and how many it has carried out; whether anything follows from that but words
    /// to members.
    pub(super) fn tell_fleet_of_the_kernel(&mut self) -> bool {
        let driver = &mut self.driver;
        driver.brain.as_mut().is_some_and(|brain| {
            let tickets = (driver.queue.last(), self.enforced);
            let (disk, enforces) = (self.stored.upto.logs, driver.may_change_kernel);
            brain.handle_kernel(&driver.agent, Brain::now(), tickets, disk, enforces);
            brain.settle(&mut driver.agent, Brain::now()) || brain.has_rows()
        })
    }

    fn enter(&mut self, opening: Opening, reply: Reply) {
        // Whoever asked has given up, and closed what was opened.
        if reply.is_closed() {
            return;
        }
        let seed = match seed() {
            Ok(seed) => seed,
            Err(why) => return drop(reply.send(Err(FleetRefused::System(why.to_string())))),
        };
        match Brain::begin(opening, Vec::new(), seed, Brain::now(), &mut self.driver.agent) {
            Ok(mut brain) => {
                let protected = Input::Protected(self.driver.protected.clone());
                brain.handle(&mut self.driver.agent, Brain::now(), protected);
                self.driver.brain = Some(Box::new(brain));
                if reply.send(Ok(())).is_err() {
                    self.leave(Brain::now().wall);
                }
            }
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    /// The good-byes are sent; nothing of the logs is needed any more. What they block stays until it ends.
    fn leave(&mut self, now: Time) {
        let Some(mut brain) = mem::take(&mut self.driver.brain) else { return };
        brain.settle(&mut self.driver.agent, Brain::now());
        let rows = brain.end(Brain::now());
        self.stored.forget_logs();
        let number = self.stored.push(Default::default(), Default::default());
        self.driver.backlog.push_all(number, rows);
        self.driver.agent.leave_fleet(now);
        self.elsewhere.clear();
        self.protect_all(now);
    }
}
