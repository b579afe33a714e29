//! Who judges, how much, and what counts as a word.

use alloc::sync::Arc;
use core::net::IpAddr;

use super::{
    super::{shares::Shares, table::Keyed},
    Comparison, MAX_LOOKS, Models,
};
use crate::{
    Class, Features, Time,
    config::ModelRules,
    model::{Model, Opinion},
};

/// The models, and what bounds them.
#[derive(Debug)]
pub(crate) struct Judges {
    pub(super) models: Models,
    pub(super) rules: ModelRules,
    pub(super) comparison: Comparison,
    looks: Budget,
    /// What each network took of the second's looks.
    shares: Shares,
    strange: Budget,
}

impl Judges {
    pub(crate) fn new(rules: ModelRules, keyed: Keyed) -> Self {
        Self {
            models: Models::default(),
            rules,
            comparison: Comparison::default(),
            looks: Budget::default(),
            shares: Shares::new(keyed, MAX_LOOKS as usize),
            strange: Budget::default(),
        }
    }

    pub(crate) fn set_rules(&mut self, rules: ModelRules) {
        self.rules = rules;
    }

    pub(super) fn set_models(&mut self, models: Models) {
        let same = |one: &Option<Arc<Model>>, other: &Option<Arc<Model>>| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !same(&self.models.used, &models.used) || !same(&self.models.shadow, &models.shadow) {
            self.comparison = Comparison::default();
        }
        self.models = models;
    }

    /// Whether anybody judges.
    pub(crate) fn any(&self) -> bool {
        self.rules.enabled && (self.models.used.is_some() || self.models.shadow.is_some())
    }

    /// Whether one more window may be judged within the second. Sources that anybody could have forged, and proven ones
    /// beyond the share of their network, are judged while half of the looks are left: a carrier's many customers all
    /// are on an ordinary day, and whoever rents a network leaves half to others. What is forged counts for no share.
    pub(super) fn admit(&mut self, now: Time, remote: IpAddr, proven: bool) -> bool {
        let second = now.as_secs();
        if self.looks.period != second {
            self.shares.clear();
        }
        let preferred = proven && self.shares.take(remote);
        self.looks.take(second, if preferred { MAX_LOOKS } else { MAX_LOOKS / 2 })
    }

    /// Whether one more strange source may be reported within the minute.
    pub(super) fn admit_strange(&mut self, now: Time) -> bool {
        self.strange.take(now.as_secs() / 60, self.rules.anomalies_per_minute)
    }

    /// From this probability on an attack is named.
    pub(super) fn confidence(&self) -> f32 {
        f32::from(self.rules.confidence) / 100.0
    }

    /// The opinion of the model in use, and what it amounts to. The shadow's is compared.
    pub(super) fn judge(&mut self, features: &Features) -> Option<(Opinion, Option<Class>)> {
        let word = |model: &Arc<Model>| {
            let opinion = model.judge(features);
            (opinion, self.vote(model, &opinion))
        };
        let used = self.models.used.as_ref().map(word);
        if let Some((_, shadow)) = self.models.shadow.as_ref().map(word) {
            self.comparison.add(used.and_then(|(_, vote)| vote), shadow);
        }
        used
    }

    /// What an opinion amounts to: an attack, an anomaly, or nothing.
    fn vote(&self, model: &Model, opinion: &Opinion) -> Option<Class> {
        match opinion.class {
            Some(class) => (opinion.probability >= self.confidence()).then_some(class),
            None => (self.rules.anomaly && model.is_strange(opinion)).then_some(Class::Anomaly),
        }
    }
}

/// So much of something in each period.
#[derive(Debug, Default)]
struct Budget {
    period: u64,
    taken: u32,
}

impl Budget {
    fn take(&mut self, period: u64, limit: u32) -> bool {
        if period != self.period {
            *self = Self { period, taken: 0 };
        }
        let left = self.taken < limit;
        self.taken += u32::from(left);
        left
    }
}
