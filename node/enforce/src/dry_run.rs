//! The enforcer that changes nothing: six sets in memory, with the kernel's rules for what they hold.

use std::collections::BTreeMap;

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};

use crate::{
    Applied, Counters, Destroyed, EnforceError, Enforcer, Failed, Finding, Installed, Removed, Tally,
    plan::{self, contents, merge_halves, plan},
    sets::{CAPACITY, Element, Family, Role, Set},
};

/// Keeps in memory what an enforcer would drop, and drops nothing.
#[derive(Debug)]
pub struct DryRun {
    sets: BTreeMap<Set, BTreeMap<IpNet, Held>>,
    capacity: usize,
}

impl Default for DryRun {
    fn default() -> Self {
        Self { sets: BTreeMap::new(), capacity: CAPACITY as usize }
    }
}

/// An element, and when it was given its timeout.
#[derive(Debug)]
struct Held {
    element: Element,
    since: Time,
}

impl Enforcer for DryRun {
    fn name(&self) -> &'static str {
        "dry-run"
    }

    fn install(&mut self, protected: &[IpNet]) -> Result<Installed, EnforceError> {
        let changes: Vec<_> = protected.iter().copied().map(Change::Protect).collect();
        self.apply(Time::ZERO, &changes)?;
        Ok(Installed { hooks: vec!["nowhere: this is a dry run".into()], ..Installed::default() })
    }

    fn remove(&mut self) -> Result<Removed, EnforceError> {
        self.sets.clear();
        Ok(Removed::default())
    }

    fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError> {
        self.expire(now);
        let mut enforced = Enforced::default();
        for (set, elements) in &self.sets {
            elements
                .values()
                .filter_map(|held| held.at(now))
                .for_each(|element| plan::record(&mut enforced, now, *set, &element));
        }
        merge_halves(&mut enforced.blocks);
        Ok(enforced)
    }

    fn apply(&mut self, now: Time, changes: &[Change]) -> Result<Applied, EnforceError> {
        self.expire(now);
        let mut plan = plan(now, changes);
        let mut applied = Applied { changed: plan.ended, failed: Vec::new() };
        for (set, elements) in std::mem::take(&mut plan.add) {
            elements.into_iter().for_each(|element| self.add(now, set, element, &mut applied));
        }
        plan.spare(&applied.failed.iter().map(|failed| failed.target).collect());
        for (set, elements) in &plan.delete {
            let held = self.sets.entry(*set).or_default();
            for element in elements {
                held.remove(&element.net);
            }
        }
        Ok(applied)
    }

    fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError> {
        let mut applied = Applied::default();
        self.sets.clear();
        for (set, elements) in contents(now, desired) {
            elements.into_iter().for_each(|element| self.add(now, set, element, &mut applied));
        }
        Ok(applied)
    }

    fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError> {
        let blocks = self.sets.iter().filter(|(set, _)| set.role != Role::Pass);
        Ok(blocks.flat_map(|(_, held)| held.keys().map(|net| (*net, Counters::default()))).collect())
    }

    fn verify(&mut self) -> Result<Vec<Finding>, EnforceError> {
        Ok(Vec::new())
    }

    fn tally(&mut self) -> Result<Tally, EnforceError> {
        let count = |role| {
            Family::ALL
                .iter()
                .map(|&family| self.sets.get(&Set { role, family }).map_or(0, |held| held.len() as u64))
                .sum()
        };
        Ok(Tally { hard: count(Role::Hard), soft: count(Role::Soft), protected: count(Role::Pass) })
    }

    fn destroy(&mut self, _target: IpNet) -> Result<Destroyed, EnforceError> {
        Ok(Destroyed::default())
    }
}

impl DryRun {
    fn expire(&mut self, now: Time) {
        self.sets.values_mut().for_each(|held| held.retain(|_, held| held.at(now).is_some()));
    }

    fn add(&mut self, now: Time, set: Set, element: Element, applied: &mut Applied) {
        let held = self.sets.entry(set).or_default();
        if held.len() >= self.capacity && !held.contains_key(&element.net) {
            let why = format!("the set is full ({} elements)", self.capacity);
            return applied.failed.push(Failed { target: element.net, why });
        }
        applied.changed += 1;
        held.insert(element.net, Held { element, since: now });
    }
}

impl Held {
    /// The element with what is left of its timeout; `None` when it has ended.
    fn at(&self, now: Time) -> Option<Element> {
        if self.element.timeout == 0 {
            return Some(self.element.clone());
        }
        let left = u64::from(self.element.timeout).checked_sub(now.since(self.since).as_secs())?;
        (left > 0).then(|| Element { timeout: left as u32, ..self.element.clone() })
    }
}

#[cfg(test)]
mod tests;
