//! Many events in a few lines.

use std::collections::BTreeMap;

use smartfw_core::Time;

use crate::{event::Facts, text};

/// Names that are counted each; more are counted together.
const NAMES: usize = 1000;

/// Names that are shown.
const SHOWN: usize = 5;

/// So long is a name at most.
const NAME: usize = 64;

/// What happened in an interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// How many events were new.
    pub(crate) total: u64,
    /// How many more were the same as one told or counted.
    pub(crate) repeats: u64,
    /// The first and the last event's time, by the nodes' clocks.
    pub(crate) first: Time,
    pub(crate) last: Time,
    pub(crate) classes: Counts,
    pub(crate) sources: Counts,
    pub(crate) nodes: Counts,
}

impl Default for Summary {
    fn default() -> Self {
        let counts = Counts::default;
        let (classes, sources, nodes) = (counts(), counts(), counts());
        Self { total: 0, repeats: 0, first: Time::NEVER, last: Time::ZERO, classes, sources, nodes }
    }
}

impl Summary {
    pub(crate) fn add(&mut self, facts: &Facts<'_>) {
        self.total += 1;
        self.first = self.first.min(facts.time);
        self.last = self.last.max(facts.time);
        self.classes.add(&facts.title());
        self.nodes.add(facts.node);
        if let Some(about) = facts.about() {
            self.sources.add(&about);
        }
    }

    pub(crate) const fn repeated(&mut self) {
        self.repeats += 1;
    }
}

/// How often which name came. Of more than a thousand the late ones are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    each: BTreeMap<String, u64>,
    others: u64,
}

impl Counts {
    fn add(&mut self, name: &str) {
        let name = text::shown(name, NAME);
        if let Some(count) = self.each.get_mut(&name) {
            *count += 1;
        } else if self.each.len() < NAMES {
            self.each.insert(name, 1);
        } else {
            self.others += 1;
        }
    }

    /// The most frequent ones, and how many events are about none of them.
    pub(crate) fn top(&self) -> (Vec<(&str, u64)>, u64) {
        let mut list: Vec<_> = self.each.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        list.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let rest = list.split_off(SHOWN.min(list.len()));
        (list, rest.iter().map(|(_, count)| count).sum::<u64>() + self.others)
    }

    /// `203.0.113.7 (12), 203.0.113.8 (3), others (40)`.
    pub(crate) fn line(&self) -> String {
        let (top, rest) = self.top();
        let rest = (rest > 0).then_some(("others", rest));
        let parts: Vec<_> =
            top.into_iter().chain(rest).map(|(name, count)| format!("{name} ({count})")).collect();
        parts.join(", ")
    }
}
