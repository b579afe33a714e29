//! From a verdict to what is done about it.

use alloc::{format, string::String};
use core::{net::IpAddr, time::Duration};

use ipnet::IpNet;

use crate::{
    Action, Alert, Block, BlockId, Reason, Strength, Subject, Time, Verdict,
    blocklist::Held,
    order::Mode,
    policy::{self, Circumstances, Veto},
    prefix,
    record::{Incident, Pending},
    verdict::{Protocol, Service},
};

use super::{
    Agent, TEXT, clip,
    effects::{Followup, Key},
    episodes::EpisodeKey,
};

/// A queued decision older than a day says nothing about now.
const PENDING: Duration = Duration::from_secs(24 * 3600);
/// A soft block is renewed at most this often: every renewal costs a change of the kernel's and a record.
const RENEWAL: Duration = Duration::from_secs(60);

impl Agent {
    /// Takes detection's word about somebody.
    pub fn handle_verdict(&mut self, now: Time, verdict: Verdict) {
        self.handle_timeout(now);
        self.counters.verdicts += 1;
        let verdict = bounded(verdict);
        let key = EpisodeKey::new(&verdict.subject, verdict.class);
        let id = self.episodes.id(&key).unwrap_or_else(|| self.chance.id());
        let (action, note) = match verdict.subject {
            Subject::Source(address) if self.dropped_hard(&prefix::host(address)) => {
                self.counters.suppressed += 1;
                return self.episodes.count(&key);
            }
            Subject::Source(address) => self.answer(now, id, address, &verdict),
            Subject::Destination { .. } => (Action::Report, String::new()),
        };
        let subject = verdict.subject;
        let alert = self.alert(id, verdict, action, note);
        let Some(alert) = self.episodes.tell(now, key, alert, self.config.limits.offenders) else { return };
        self.counters.alerts += u64::from(alert.count == 1);
        self.publish(now, alert);
        if let Subject::Destination { service: service @ Service { protocol: Protocol::Tcp, .. }, .. } =
            subject
        {
            self.outbox.followups.push_back(Followup::ProtectService(service));
        }
    }

    /// Keeps an alert and reports it once it is kept.
    pub(super) fn publish(&mut self, now: Time, alert: Alert) {
        let limits = &self.config.limits;
        if let Subject::Source(address) = alert.subject {
            let target = prefix::host(address);
            let gone = self.offenders.note(now, target, incident(&alert), limits.offenders);
            for target in gone.into_iter().chain([target]) {
                self.outbox.persist(now, Key::Offender(target));
            }
        }
        for gone in self.history.insert(alert.clone(), limits.alerts) {
            self.outbox.persist(now, Key::Alert(gone));
        }
        self.outbox.persist(now, Key::Alert(alert.id));
        self.outbox.report(alert, limits.alerts);
    }

    /// Drops a target on the word of a verdict.
    pub(super) fn carry_out(
        &mut self,
        now: Time,
        id: BlockId,
        target: IpNet,
        strength: Strength,
        verdict: &Verdict,
    ) -> Block {
        let (expires, level) = self.term(now, target, strength);
        let words = self.blocks.words(&self.config.node, &verdict.reason.text);
        let held = Held {
            id,
            since: now,
            expires,
            words: words.clone(),
            confidence: verdict.confidence,
            class: verdict.class,
            strength,
            detector: verdict.detector,
            evidence: verdict.evidence,
            level,
            forced: false,
            withheld: None,
        };
        let block = held.to_block(target);
        self.changing(target, |blocks| blocks.insert(target, held));
        self.outbox.persist(now, Key::Block(target, words));
        self.tell(target, expires);
        *self.counters.made.entry(verdict.class).or_default() += 1;
        self.blast.made(now, target, verdict);
        block
    }

    /// Whether everything of `target` is dropped already.
    fn dropped_hard(&self, target: &IpNet) -> bool {
        self.switches.on() && self.held_hard(target)
    }

    /// Whether everything of `target` is dropped as soon as enforcement is on.
    pub(super) fn held_hard(&self, target: &IpNet) -> bool {
        let hard = |target: &IpNet| self.in_force(target).is_some_and(|held| held.strength == Strength::Hard);
        self.blocks.covering(target).any(hard)
    }

    /// What is done about a source, and why no more.
    fn answer(&mut self, now: Time, id: BlockId, address: IpAddr, verdict: &Verdict) -> (Action, String) {
        let host = prefix::host(address);
        let known = self.circumstances(&host);
        let strength = match policy::answer(verdict, &known, &self.config.blast) {
            Ok(strength) => strength,
            Err(veto) => return self.refuse(veto, &known),
        };
        if strength == Strength::Soft && self.renew(now, &host, verdict) {
            return (Action::Block, String::new());
        }
        let (target, strength) = self.widen(now, address, strength, verdict).unwrap_or((host, strength));
        if self.switches.mode == Mode::Manual {
            return self.ask(now, id, target, strength, verdict);
        }
        match self.admit(now, verdict) {
            Ok(()) => {
                self.carry_out(now, id, target, strength, verdict);
                (Action::Block, String::new())
            }
            Err(veto) => self.refuse(veto, &known),
        }
    }

    fn circumstances(&self, target: &IpNet) -> Circumstances {
        Circumstances {
            protected: self.shield.overlapping(target).or_else(|| self.fleet.canary_protecting(target)),
            off: !self.switches.on(),
            held_back: self.held_back.until(target).is_some(),
            proxy: self.proxies.overlapping(target).next().map(|(net, ())| *net),
        }
    }

    fn refuse(&mut self, veto: Veto, known: &Circumstances) -> (Action, String) {
        *self.counters.refused.entry(veto).or_default() += 1;
        match &known.protected {
            Some(protected) if veto == Veto::Protected => {
                let detail = if protected.detail.is_empty() { "" } else { ": " };
                let note =
                    format!("{} is protected: {}{detail}{}", protected.net, protected.why, protected.detail);
                (Action::Protected, note)
            }
            _ => (Action::Report, String::from(veto.text())),
        }
    }

    /// Prolongs detection's soft blocks that hold the source; says whether there are any. That of a whole /64 is left to
    /// end once somebody in it is known.
    fn renew(&mut self, now: Time, host: &IpNet, verdict: &Verdict) -> bool {
        let node = &self.config.node;
        let soft = |target: &&IpNet| {
            let ours = self.blocks.get(target, node);
            let guests = *target != host && verdict.standing.network_known;
            !guests
                && ours.is_some_and(|held| held.automatic() && held.strength == Strength::Soft)
                && self.in_force(target).is_some()
        };
        let targets: alloc::vec::Vec<IpNet> = self.blocks.covering(host).filter(soft).copied().collect();
        for target in &targets {
            self.prolong(now, *target);
        }
        !targets.is_empty()
    }

    fn prolong(&mut self, now: Time, target: IpNet) {
        let (node, soft) = (self.config.node.clone(), self.config.soft);
        let Some(held) = self.blocks.get(&target, &node) else { return };
        let words = held.words.clone();
        if held.expires.since(now) + RENEWAL.min(soft / 2) > soft {
            return;
        }
        self.changing(target, |blocks| blocks.extend(&target, &node, now.after(soft)));
        self.outbox.persist(now, Key::Block(target, words));
        self.tell(target, now.after(soft));
    }

    /// The whole /64, when enough of its addresses have offended and nobody in it is protected, excused or a proxy. On
    /// what anybody can forge, nobody who is known is cut off with his neighbours.
    fn widen(
        &mut self,
        now: Time,
        address: IpAddr,
        strength: Strength,
        verdict: &Verdict,
    ) -> Option<(IpNet, Strength)> {
        let limit = self.config.limits.offenders;
        let (net, strength) = self.rollup.offend(now, address, strength, limit)?;
        let known = self.circumstances(&net);
        let guests = strength == Strength::Soft && verdict.standing.network_known;
        let free = !guests && known.protected.is_none() && !known.held_back && known.proxy.is_none();
        free.then_some((net, strength))
    }

    fn ask(
        &mut self,
        now: Time,
        id: BlockId,
        target: IpNet,
        strength: Strength,
        verdict: &Verdict,
    ) -> (Action, String) {
        let waiting = self.pending.get(&target).map(|pending| (pending.id, pending.since, pending.strength));
        if waiting.is_some_and(|(_, _, waiting)| waiting >= strength) {
            return (Action::Pending, String::new());
        }
        if waiting.is_none() && self.pending.len() >= self.config.limits.pending {
            self.blast.reached(now, Veto::QueueFull);
            return self.refuse(Veto::QueueFull, &Circumstances::default());
        }
        // A wider target of the same episode is a decision of its own.
        let taken = self.pending.iter().any(|(_, pending)| pending.id == id);
        let id = if taken { self.chance.id() } else { id };
        let (id, since) = waiting.map_or((id, now), |(id, since, _)| (id, since));
        let until = now.after(PENDING);
        let pending = Pending { id, since, until, target, strength, verdict: verdict.clone() };
        self.pending.insert(target, pending, until);
        self.outbox.persist(now, Key::Pending(id));
        (Action::Pending, String::new())
    }

    fn admit(&mut self, now: Time, verdict: &Verdict) -> Result<(), Veto> {
        let limits = &self.config.limits;
        if self.blocks.automatic() >= limits.automatic_blocks || self.blocks.len() >= limits.blocks {
            self.blast.reached(now, Veto::ListFull);
            return Err(Veto::ListFull);
        }
        self.blast.admit(now, verdict.class, verdict.standing.established, &self.config.blast)
    }

    /// When a block made now ends, and its level. Only hard blocks climb the ladder.
    fn term(&mut self, now: Time, target: IpNet, strength: Strength) -> (Time, u8) {
        if strength == Strength::Soft {
            return (now.after(self.config.soft), 1);
        }
        let level = self.offenders.next_level(&target);
        let step = usize::from(level - 1).min(self.config.ladder.len() - 1);
        let duration = self.chance.jitter(self.config.ladder[step], self.config.jitter_percent);
        let expires = now.after(duration);
        let limit = self.config.limits.offenders;
        let gone = self.offenders.rise(target, level, expires, self.config.memory, limit);
        for target in gone.into_iter().chain([target]) {
            self.outbox.persist(now, Key::Offender(target));
        }
        (expires, level)
    }

    fn alert(&self, id: BlockId, verdict: Verdict, action: Action, note: String) -> Alert {
        let Verdict { at, subject, class, confidence, detector, evidence, reason, features, standing: _ } =
            verdict;
        let node = self.config.node.clone();
        Alert {
            id,
            time: at,
            node,
            subject,
            class,
            confidence,
            detector,
            evidence,
            count: 1,
            reason,
            features,
            action,
            note,
        }
    }
}

/// The verdict with its address in canonical form and its texts within bounds.
fn bounded(mut verdict: Verdict) -> Verdict {
    if let Subject::Source(address) = &mut verdict.subject {
        *address = prefix::canonical(*address);
    }
    let Reason { rule, measured, limit, text } = verdict.reason;
    verdict.reason = Reason { rule: clip(rule, TEXT), measured, limit, text: clip(text, TEXT) };
    verdict
}

fn incident(alert: &Alert) -> Incident {
    let Alert { time, class, detector, evidence, action, .. } = *alert;
    Incident { at: time, class, detector, evidence, action, text: alert.reason.text.clone() }
}
