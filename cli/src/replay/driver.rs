//! The same core as on a server, driven by the time of the packets.

use std::{collections::BTreeMap, sync::Arc};

use smartfw_capture::{CaptureError, Captured, FileSource, Source as _};
use smartfw_config::NodeConfig;
use smartfw_core::{
    Agent, Alert, Block, BlockId, Effect, IpNet, Origin, Record, Strength, Time,
    model::Model,
    sensor::{Models, Sensor, View},
};
use smartfw_proto::json::Summary;

use crate::failure::Failure;

/// Any constant: two replays of a file give the same.
const SEED: u64 = 0x5aa7_f13e;
/// Deadlines that are met one by one between two packets. A capture whose clock jumps by years would have millions;
/// after these, time jumps too.
const STEPS: usize = 4096;

/// What happened, in the order of the packets.
pub(super) enum Event {
    /// Something was reported.
    Alert(Alert),
    /// Somebody would have been dropped from then on.
    Block(Time, Block),
}

/// A sensor and an agent of their own for each file.
pub(super) struct Driver {
    sensor: Sensor,
    agent: Option<Agent>,
    config: NodeConfig,
    now: Time,
    agent_due: Time,
    /// The blocks that were told already: a renewed one is no news.
    told: BTreeMap<(IpNet, Origin), (BlockId, Strength)>,
    events: Vec<Event>,
}

impl Driver {
    pub(super) fn new(config: &NodeConfig, view: View, model: Option<Arc<Model>>) -> Self {
        let mut sensor = Sensor::new(config.sensor.clone(), view, SEED);
        sensor.set_models(Models { used: model, shadow: None });
        Self {
            sensor,
            agent: None,
            config: config.clone(),
            now: Time::ZERO,
            agent_due: Time::NEVER,
            told: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Reads the source to its end, and tells what happened as it happens. A source that is damaged further on ends
    /// there, and the damage is the answer.
    pub(super) fn run(
        &mut self,
        source: &mut FileSource,
        mut tell: impl FnMut(Event) -> Result<(), Failure>,
    ) -> Result<Option<CaptureError>, Failure> {
        loop {
            match source.next_frame() {
                Ok(Some(captured)) => self.packet(&captured),
                Ok(None) => return Ok(None),
                Err(damage) => return Ok(Some(damage)),
            }
            for event in self.events.drain(..) {
                tell(event)?;
            }
        }
    }

    /// What the file gave.
    pub(super) fn summary(&self, source: &mut FileSource) -> Summary {
        let (seen, read) = (self.sensor.stats(), source.stats());
        Summary {
            suppressed: seen.suppressed,
            packets: read.frames + read.unusable,
            bytes: read.bytes,
            malformed: seen.malformed + read.unusable,
            sources: seen.sources,
            flows: seen.flows,
            ..Summary::default()
        }
    }

    #[inline]
    fn packet(&mut self, captured: &Captured<'_>) {
        self.now = self.now.max(captured.at);
        if self.sensor.poll_timeout().min(self.agent_due) <= self.now {
            self.deadlines();
        }
        // What cannot be parsed is counted by the sensor.
        let _ = self.sensor.observe(self.now, &captured.frame);
        self.verdicts(self.now);
    }

    /// Meets the deadlines up to now in their order.
    #[cold]
    fn deadlines(&mut self) {
        for step in 0.. {
            let due = self.sensor.poll_timeout().min(self.agent_due);
            if due > self.now {
                return;
            }
            let at = if step < STEPS { due } else { self.now };
            self.sensor.handle_timeout(at);
            self.verdicts(at);
            if let Some(agent) = &mut self.agent {
                agent.handle_timeout(at);
                self.effects(at);
            }
            if step > STEPS {
                return;
            }
        }
    }

    #[inline]
    fn verdicts(&mut self, at: Time) {
        while let Some(verdict) = self.sensor.poll_verdict() {
            let policy = &self.config.policy;
            let agent = self.agent.get_or_insert_with(|| Agent::of_captures(policy.clone(), SEED, at));
            agent.handle_verdict(at, verdict);
            self.effects(at);
        }
    }

    /// Everything is enforced and kept at once; what is told waits for nobody. The report of a block comes after it in
    /// the agent's order and before it in ours: first what was seen, then what was done.
    fn effects(&mut self, at: Time) {
        let Some(agent) = &mut self.agent else { return };
        let mut blocks = Vec::new();
        while let Some(effect) = agent.poll_effect() {
            match effect {
                Effect::Forget(target, strength) => self.sensor.handle_block(target, strength),
                Effect::Acquit(target) => self.sensor.handle_acquittal(target),
                Effect::Persist(sequence, record) => {
                    agent.handle_persisted(at, sequence);
                    blocks.extend(news(&mut self.told, record));
                }
                Effect::Report(alert) => self.events.push(Event::Alert(alert)),
                Effect::Enforce(_)
                | Effect::Enforcement(_)
                | Effect::Destroy(_)
                | Effect::Say(..)
                | Effect::ProtectService(_) => {}
            }
        }
        self.events.extend(blocks.into_iter().map(|block| Event::Block(at, block)));
        self.agent_due = agent.poll_timeout();
    }
}

/// The block in a record, unless it was told before.
fn news(told: &mut BTreeMap<(IpNet, Origin), (BlockId, Strength)>, record: Record) -> Option<Block> {
    match record {
        Record::Block(stored) => {
            let block = stored.block;
            let (key, what) = ((block.target, block.origin.clone()), (block.id, block.strength));
            (told.insert(key, what) != Some(what)).then_some(block)
        }
        Record::BlockGone { target, origin } => {
            told.remove(&(target, origin));
            None
        }
        _ => None,
    }
}
