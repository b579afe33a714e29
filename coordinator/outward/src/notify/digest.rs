//! What of many events a person is told: a pure machine; time comes as an argument.
//!
//! The same source and class is told once in a while. New ones are told at once as long as they are few. Beyond that
//! they are summed up, and the sum is told once an interval: ten thousand alerts a minute make one message.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use smartfw_core::{Class, EventKind, Time};

use super::{message::Message, summary::Summary};
use crate::{
    event::{Facts, NodeEvent},
    settings::Limits,
    text,
};

/// Sources whose repetition is known. An older one is told again too early when there are more.
const REMEMBERED: usize = 10_000;

/// So much of a text tells one matter from another.
const MATTER: usize = 100;

/// What is the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: EventKind,
    class: Option<Class>,
    about: String,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Time,
    repeats: u64,
}

/// Decides what becomes a message of its own, what is counted, and when the sum is told.
#[derive(Debug)]
pub(crate) struct Digest {
    limits: Limits,
    seen: BTreeMap<Key, Seen>,
    oldest: BTreeSet<(Time, Key)>,
    told: VecDeque<Time>,
    /// What is summed up, and when it is told.
    sum: Option<(Summary, Time)>,
}

impl Digest {
    pub(crate) fn new(limits: Limits) -> Self {
        let (seen, oldest) = (BTreeMap::new(), BTreeSet::new());
        Self { limits, seen, oldest, told: VecDeque::new(), sum: None }
    }

    /// Takes an event; gives the message that it is worth by itself.
    pub(crate) fn handle(&mut self, event: &Arc<NodeEvent>, now: Time) -> Option<Message> {
        let facts = Facts::of(event);
        let Some(repeats) = self.is_new(Key::of(&facts), now) else {
            if let Some((sum, _)) = &mut self.sum {
                sum.repeated();
            }
            return None;
        };
        if self.sum.is_none() && self.may_tell(now) {
            self.told.push_back(now);
            return Some(Message::Single { event: event.clone(), repeats });
        }
        let due = now.after(self.limits.digest.get());
        self.sum.get_or_insert_with(|| (Summary::default(), due)).0.add(&facts);
        None
    }

    /// The sum, when it is due.
    pub(crate) fn poll(&mut self, now: Time) -> Option<Message> {
        let (sum, _) = self.sum.take_if(|(_, due)| *due <= now)?;
        Some(Message::Digest(Box::new(sum)))
    }

    /// When `poll` has something at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.sum.as_ref().map(|(_, due)| *due)
    }

    /// How often it was repeated unsaid, if it is to be told now.
    fn is_new(&mut self, key: Key, now: Time) -> Option<u64> {
        let repeats = match self.seen.get_mut(&key) {
            Some(seen) if now.since(seen.since) < self.limits.repeat.get() => {
                seen.repeats += 1;
                return None;
            }
            Some(seen) => {
                self.oldest.remove(&(seen.since, key.clone()));
                seen.repeats
            }
            None => 0,
        };
        self.oldest.insert((now, key.clone()));
        self.seen.insert(key, Seen { since: now, repeats: 0 });
        if self.seen.len() > REMEMBERED
            && let Some((_, key)) = self.oldest.pop_first()
        {
            self.seen.remove(&key);
        }
        Some(repeats)
    }

    fn may_tell(&mut self, now: Time) -> bool {
        let Limits { messages, per, .. } = self.limits;
        while self.told.front().is_some_and(|at| now.since(*at) >= per.get()) {
            self.told.pop_front();
        }
        (self.told.len() as u64) < messages.get()
    }
}

impl Key {
    /// Who is nobody's source is told apart by what is said.
    fn of(facts: &Facts<'_>) -> Self {
        let about = facts.about().unwrap_or_else(|| facts.reason(MATTER));
        Self { kind: facts.kind, class: facts.class, about: text::cut(&about, MATTER).to_owned() }
    }
}

#[cfg(test)]
mod tests;
