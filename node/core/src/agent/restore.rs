//! At start: what the store kept, and what the kernel still holds.

use alloc::sync::Arc;

use crate::{
    Block, Class, Detector, Evidence, Strength, Time,
    blocklist::{Held, Words},
    enforcement::Entry,
    prefix,
    record::{Record, StoredBlock},
};

use super::{Agent, TEXT, clip, effects::Key, fleet::is_foreigner};

/// What an adopted block says of itself.
const ADOPTED: &str = "found in the kernel without a record";

impl Agent {
    /// Everything was restored and adopted: lays the block list out anew, which a hundred thousand insertions among much
    /// else have scattered over the memory.
    pub fn settle(&mut self) {
        self.blocks.compact();
    }

    /// Takes a stored record. Records come in any order, before every other input, and bring no effects, but that what
    /// is over is removed from the store.
    pub fn restore(&mut self, now: Time, record: Record) {
        let limits = &self.config.limits;
        match record {
            Record::Block(stored) => self.restore_block(now, stored),
            Record::Allowed(allowed) if allowed.expires.is_some_and(|at| at <= now) => {
                self.outbox.persist(now, Key::Allowed(allowed.target));
            }
            Record::Allowed(allowed) => {
                self.passing.insert(allowed.target);
                self.shield.allow(allowed);
            }
            Record::Pending(pending) => {
                let until = pending.until;
                self.pending.insert(pending.target, pending, until);
            }
            Record::Offender(offender) => self.offenders.restore(offender, limits.offenders),
            Record::HeldBack { target, until } => {
                self.held_back.insert(target, until, limits.allowed);
            }
            Record::Enforcement(enforcement) => self.switches.enforcement = enforcement,
            Record::Mode { mode, configured, rollback } if configured == self.switches.configured => {
                (self.switches.mode, self.switches.mode_rollback) = (mode, rollback);
            }
            Record::Mode { .. } => {}
            Record::Alert(alert) => {
                for gone in self.history.insert(alert, limits.alerts) {
                    self.outbox.persist(now, Key::Alert(gone));
                }
            }
            Record::Lesson(lesson) => {
                let gone = self.lessons.push(lesson);
                gone.into_iter().for_each(|id| self.outbox.persist(now, Key::Lesson(id)));
            }
            Record::Trust(trust) => self.fleet.trust.restore(trust),
            Record::Overruled(overruled) => self.restore_overruled(now, overruled),
            Record::Foreign(word) => self.restore_foreign(now, word),
            // A store removes these keys; one that keeps such a record all the same changes nothing.
            Record::BlockGone { .. }
            | Record::AllowedGone(_)
            | Record::PendingGone(_)
            | Record::OffenderGone(_)
            | Record::HeldBackGone(_)
            | Record::AlertGone(_)
            | Record::LessonGone(_)
            | Record::TrustGone(_)
            | Record::OverruledGone { .. }
            | Record::ForeignGone { .. } => {}
        }
    }

    /// Takes an entry that the kernel holds and no record explains: it stays dropped. An entry of a target that has
    /// a block, or that is over, or that is everybody, is none to adopt; nor is one of another cluster, which would be a
    /// word of ours then: what is believed of it has a record. False when there is no room for it.
    pub fn adopt(&mut self, now: Time, entry: Entry) -> bool {
        let Entry { target, strength, expires, note } = entry;
        let target = prefix::canonical_net(target);
        if self.enforced_before(&target, note.id) {
            return true;
        }
        let known = !self.blocks.of(&target).is_empty();
        let abroad = is_foreigner(&note.origin);
        if known || abroad || target.prefix_len() == 0 || expires.is_some_and(|at| at <= now) {
            return true;
        }
        if self.blocks.len() >= self.config.limits.blocks {
            return false;
        }
        let words = self.blocks.words(&clip(note.origin, TEXT), ADOPTED);
        let (detector, evidence) = match (note.class, strength) {
            (Class::Manual, _) => (Detector::Operator, None),
            (Class::Feed, _) => (Detector::Feed, None),
            (_, Strength::Hard) => (Detector::Rules, Some(Evidence::Handshake)),
            (_, Strength::Soft) => (Detector::Rules, Some(Evidence::Spoofable)),
        };
        let held = Held {
            id: note.id,
            since: now,
            expires: expires.unwrap_or(Time::NEVER),
            words: words.clone(),
            confidence: 1.0,
            class: note.class,
            strength,
            detector,
            evidence,
            level: 1,
            forced: false,
            withheld: None,
        };
        self.blocks.insert(target, held);
        self.outbox.persist(now, Key::Block(target, words));
        true
    }

    fn restore_block(&mut self, now: Time, stored: StoredBlock) {
        let StoredBlock { block, forced, unconfirmed } = stored;
        // What an earlier version had made its own is another cluster's, and no root's end would end it.
        let over = block.expired(now) || is_foreigner(&block.origin.0);
        let words = self.blocks.words(&block.origin.0, &block.reason);
        let (target, held) = (block.target, as_held(block, forced, words.clone()));
        if over {
            return self.outbox.persist(now, Key::Block(target, words));
        }
        if let Some(full) = unconfirmed {
            self.unconfirmed.insert(target, (held.since, full.unwrap_or(Time::NEVER)));
        }
        self.blocks.insert(target, held);
        if forced {
            self.passing = self.shield.passing(self.blocks.forced());
        }
    }
}

pub(super) fn as_held(block: Block, forced: bool, words: Arc<Words>) -> Held {
    Held {
        id: block.id,
        since: block.since,
        expires: block.expires.unwrap_or(Time::NEVER),
        words,
        confidence: block.confidence,
        class: block.class,
        strength: block.strength,
        detector: block.detector,
        evidence: block.evidence,
        level: block.level,
        forced,
        withheld: None,
    }
}
