//! Effects as the driver takes them: what they say is looked up at that moment, so that the queues stay small and the
//! latest word wins.

use alloc::string::{String, ToString};

use ipnet::IpNet;

use crate::{
    Origin, Strength, Time,
    blocklist::{Held, Words},
    enforcement::{Change, Entry, Note},
    record::{Record, StoredBlock},
};

use super::{
    Agent,
    effects::{Effect, Followup, Key},
};

impl Agent {
    /// The next thing to do: the kernel first, then the disk, then everybody else.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.settle_changes();
        if let Some(state) = self.outbox.enforcement.pop_front() {
            return Some(Effect::Enforcement(state));
        }
        self.next_change()
            .map(Effect::Enforce)
            .or_else(|| self.outbox.followups.pop_front().map(Effect::from))
            .or_else(|| {
                let (sequence, key) = self.outbox.next_record()?;
                Some(Effect::Persist(sequence, self.record(key)))
            })
            .or_else(|| {
                let (target, until) = self.outbox.next_say()?;
                let (audience, entry) = self.word(target, until);
                Some(Effect::Say(audience, entry))
            })
            .or_else(|| self.outbox.next_report().map(Effect::Report))
    }

    /// The kernel's entry for exactly `target`.
    pub(super) fn entry(&self, target: &IpNet) -> Option<Entry> {
        self.in_force(target).map(|held| as_entry(*target, held, self.origin_of(held)))
    }

    fn next_change(&mut self) -> Option<Change> {
        let on = self.switches.on();
        while let Some(net) = self.outbox.passes.pop_front() {
            if on {
                let passes = self.passing.contains(&net);
                return Some(if passes { Change::Protect(net) } else { Change::Unprotect(net) });
            }
        }
        while let Some((target, before)) = self.outbox.targets.pop_front() {
            let entry = self.entry(&target);
            self.follow_up(target, before, entry.as_ref().map(|entry| entry.strength));
            if on {
                return Some(entry.map_or(Change::Unblock(target), Change::Block));
            }
        }
        None
    }

    fn follow_up(&mut self, target: IpNet, before: Option<Strength>, after: Option<Strength>) {
        if before == after {
            return;
        }
        self.outbox.followups.push_back(Followup::Forget(target, after));
        if after == Some(Strength::Hard) && self.switches.on() {
            self.outbox.followups.push_back(Followup::Destroy(target));
        }
    }

    fn record(&self, key: Key) -> Record {
        match key {
            Key::Block(target, words) => self.block_record(target, &words),
            Key::Allowed(target) => {
                self.shield.allowed(&target).cloned().map_or(Record::AllowedGone(target), Record::Allowed)
            }
            Key::Pending(id) => {
                let pending =
                    self.pending.iter().map(|(_, pending)| pending).find(|pending| pending.id == id);
                pending.cloned().map_or(Record::PendingGone(id), Record::Pending)
            }
            Key::Offender(target) => {
                self.offenders.get(&target).cloned().map_or(Record::OffenderGone(target), Record::Offender)
            }
            Key::HeldBack(target) => match self.held_back.get(&target) {
                Some(until) => Record::HeldBack { target, until },
                None => Record::HeldBackGone(target),
            },
            Key::Enforcement => Record::Enforcement(self.switches.enforcement),
            Key::Mode => Record::Mode {
                mode: self.switches.mode,
                configured: self.switches.configured,
                rollback: self.switches.mode_rollback,
            },
            Key::Alert(id) => self.history.get(id).cloned().map_or(Record::AlertGone(id), Record::Alert),
            Key::Lesson(id) => self.lessons.get(id).cloned().map_or(Record::LessonGone(id), Record::Lesson),
            Key::Trust(node) => self.fleet.trust.record(&node).map_or(Record::TrustGone(node), Record::Trust),
            Key::Overruled(target, speaker) => self
                .overruled_record(target, speaker)
                .map_or(Record::OverruledGone { target, speaker }, Record::Overruled),
            Key::Foreign(target, speaker) => self
                .foreign_record(target, speaker)
                .map_or(Record::ForeignGone { target, speaker }, Record::Foreign),
        }
    }

    fn block_record(&self, target: IpNet, words: &Words) -> Record {
        let Some(held) = self.blocks.get(&target, &words.origin) else {
            return Record::BlockGone { target, origin: Origin(words.origin.to_string()) };
        };
        let unconfirmed = self.unconfirmed.get(&target).filter(|_| held.forced);
        Record::Block(StoredBlock {
            block: held.to_block(target),
            forced: held.forced,
            unconfirmed: unconfirmed.map(|(_, full)| (*full != Time::NEVER).then_some(*full)),
        })
    }
}

/// The kernel's view of a block.
fn as_entry(target: IpNet, held: &Held, origin: String) -> Entry {
    Entry {
        target,
        strength: held.strength,
        expires: (held.expires != Time::NEVER).then_some(held.expires),
        note: Note { id: held.id, class: held.class, origin },
    }
}
