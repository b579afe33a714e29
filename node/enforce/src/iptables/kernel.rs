//! The six sets in the kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};

use crate::{
    Applied, Counters, EnforceError, Failed, Finding, Tally, Trouble, comment,
    netlink::{
        Failure,
        ipset::{Ipset, Operation, explain},
    },
    plan::{contents, element, merge_halves, plan, record},
    sets::{Element, Family, LONGEST, Role, Set, storable},
};

/// The kernel's error number for a set that rules use.
const IN_USE: i32 = 4100;
/// The kernel's error number for a set that is not there.
const ABSENT: i32 = 2;
/// How often a set is tried again that rules used a moment ago: nf_tables lets go of them a little later.
const ATTEMPTS: u32 = 100;
/// How often one is tried again that no rule uses: somebody lists it, perhaps we ourselves.
const PATIENCE: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(10);
/// The kernel forgets so many seconds later than who decides, who so deletes what is still there: an element that has
/// timed out hands its counters on to the next block of its target, until the kernel tidies up.
const GRACE: u32 = 1;

/// The sets of one network namespace.
pub(crate) struct KernelSets {
    ipset: Ipset,
}

impl KernelSets {
    /// Opens them in the calling thread's network namespace, and makes none.
    pub(crate) fn open() -> Result<Self, EnforceError> {
        let mut ipset = Ipset::open()?;
        ipset.probe().map_err(|failure| match failure.code() {
            1 | 13 => EnforceError::Capability { what: "using ipset".into() },
            _ => EnforceError::Unsupported {
                what: format!("ipset ({})", explain(failure.code())),
                advice: "load the module with `modprobe ip_set_hash_net`",
            },
        })?;
        Ok(Self { ipset })
    }

    /// What is missing or of another make.
    pub(crate) fn verify(&mut self) -> Result<Vec<Finding>, EnforceError> {
        let mut findings = Vec::new();
        for set in Set::all() {
            let header = self.ipset.header(set.name()).map_err(failed("looking at", set.name()))?;
            let trouble = match header {
                None => Some(Trouble::Missing),
                Some(header) if !header.fits(set.family) => Some(Trouble::Altered),
                Some(_) => None,
            };
            findings.extend(trouble.map(|trouble| Finding::new(trouble, format!("set {}", set.name()))));
        }
        Ok(findings)
    }

    /// Makes what is missing. A set of another make is replaced; the rules that use it have to be gone.
    pub(crate) fn ensure(&mut self) -> Result<(), EnforceError> {
        for set in Set::all() {
            let name = set.name();
            match self.ipset.header(name).map_err(failed("looking at", name))? {
                Some(header) if header.fits(set.family) => continue,
                Some(_) => self.destroy(name)?,
                None => {}
            }
            self.ipset.create(name, set.family, 0).map_err(failed("making", name))?;
        }
        Ok(())
    }

    /// Drops nobody any more, whatever becomes of the rules.
    pub(crate) fn empty(&mut self) -> Result<(), EnforceError> {
        let mut outcome = Ok(());
        for set in Set::all().filter(|set| set.role != Role::Pass) {
            match self.ipset.flush(set.name()) {
                Err(failure) if failure.code() != ABSENT => {
                    outcome = Err(failed("emptying", set.name())(failure))
                }
                _ => {}
            }
        }
        outcome
    }

    /// Destroys every set of ours; those that foreign rules use are emptied and named.
    pub(crate) fn remove(&mut self) -> Result<Vec<String>, EnforceError> {
        let mut left = Vec::new();
        for name in Set::all().flat_map(|set| [set.name(), set.temporary()]) {
            match self.destroy(name) {
                Ok(()) => {}
                Err(_) if self.ipset.flush(name).is_ok() => left.push(name.to_owned()),
                Err(error) => return Err(error),
            }
        }
        Ok(left)
    }

    /// See [`crate::Enforcer::enforced`].
    pub(crate) fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError> {
        let mut enforced = Enforced::default();
        for set in Set::all() {
            self.list(set, |element| record(&mut enforced, now, set, &element))?;
        }
        merge_halves(&mut enforced.blocks);
        Ok(enforced)
    }

    /// The protected prefixes.
    pub(crate) fn protected(&mut self) -> Result<Vec<IpNet>, EnforceError> {
        let mut nets = Vec::new();
        for family in Family::ALL {
            self.list(Set { role: Role::Pass, family }, |element| nets.push(element.net))?;
        }
        Ok(nets)
    }

    /// See [`crate::Enforcer::counters`].
    pub(crate) fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError> {
        let mut counters: BTreeMap<IpNet, Counters> = BTreeMap::new();
        for set in Set::all().filter(|set| set.role != Role::Pass) {
            self.list(set, |element| {
                let sum = counters.entry(element.net).or_default();
                sum.packets = sum.packets.saturating_add(element.packets);
                sum.bytes = sum.bytes.saturating_add(element.bytes);
            })?;
        }
        Ok(counters)
    }

    /// See [`crate::Enforcer::tally`].
    pub(crate) fn tally(&mut self) -> Result<Tally, EnforceError> {
        let mut tally = Tally::default();
        for set in Set::all() {
            let header = self.ipset.header(set.name()).map_err(failed("looking at", set.name()))?;
            let count = header.map_or(0, |header| u64::from(header.count));
            match set.role {
                Role::Pass => tally.protected += count,
                Role::Hard => tally.hard += count,
                Role::Soft => tally.soft += count,
            }
        }
        Ok(tally)
    }

    /// See [`crate::Enforcer::apply`].
    pub(crate) fn apply(&mut self, now: Time, changes: &[Change]) -> Result<Applied, EnforceError> {
        let mut plan = plan(now, changes);
        let ending = plan.add.values_mut().flatten().filter(|element| element.timeout != 0);
        ending.for_each(|element| element.timeout = (element.timeout + GRACE).min(LONGEST as u32));
        let mut applied = Applied { changed: plan.ended, failed: Vec::new() };
        for (set, elements) in &plan.add {
            let refused = self.update(*set, Operation::Add, elements)?;
            applied.changed += elements.len() - refused.len();
            applied.failed.extend(refused);
        }
        if !applied.failed.is_empty() {
            plan.spare(&applied.failed.iter().map(|failed| failed.target).collect());
        }
        // In reverse, protection is the last to go.
        for (set, elements) in plan.delete.iter().rev() {
            applied.failed.extend(self.update(*set, Operation::Delete, elements)?);
        }
        Ok(applied)
    }

    /// See [`crate::Enforcer::replace`].
    pub(crate) fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError> {
        self.ensure()?;
        let mut contents = contents(now, desired);
        let held = self.carry_counters(&mut contents)?;
        let mut applied = Applied::default();
        for (set, elements) in &contents {
            let refused = self.fill(*set, elements)?;
            applied.changed += elements.len() - refused.len();
            applied.failed.extend(refused);
        }
        // What moves to another set must be there before the first exchange takes it from where it is.
        for (set, elements) in contents.iter().filter(|(set, _)| set.role == Role::Soft) {
            let moving = |element: &&Element| held.contains(&(Role::Hard, element.net));
            let moving: Vec<Element> = elements.iter().filter(moving).cloned().collect();
            self.update(*set, Operation::Add, &moving)?;
        }
        for set in contents.keys() {
            self.ipset.swap(set.name(), set.temporary()).map_err(failed("exchanging", set.name()))?;
            self.destroy(set.temporary())?;
        }
        Ok(applied)
    }

    /// Protects a prefix for `duration` or for ever; false when there is no set to put it into.
    pub(crate) fn protect(&mut self, net: IpNet, duration: Option<Duration>) -> Result<bool, EnforceError> {
        let set = Set::holding(Role::Pass, &net);
        if self.ipset.header(set.name()).map_err(failed("looking at", set.name()))?.is_none() {
            return Ok(false);
        }
        let seconds = duration.map_or(0, |duration| duration.as_secs().clamp(1, LONGEST) as u32);
        let elements: Vec<Element> =
            storable(net).map(|part| element(part, seconds, comment::PROTECTED.into())).collect();
        match self.update(set, Operation::Add, &elements)?.pop() {
            Some(refused) => {
                Err(EnforceError::Kernel { what: format!("protecting {net}"), why: refused.why })
            }
            None => Ok(true),
        }
    }

    /// Gives the new elements the counters of the old, and returns what was held where.
    fn carry_counters(
        &mut self,
        contents: &mut BTreeMap<Set, Vec<Element>>,
    ) -> Result<BTreeSet<(Role, IpNet)>, EnforceError> {
        let mut held = BTreeSet::new();
        for (set, elements) in contents {
            let mut counters = BTreeMap::new();
            self.list(*set, |element| {
                counters.insert(element.net, (element.packets, element.bytes));
            })?;
            for element in elements {
                (element.packets, element.bytes) = counters.get(&element.net).copied().unwrap_or_default();
            }
            held.extend(counters.into_keys().map(|net| (set.role, net)));
        }
        Ok(held)
    }

    /// Makes the set's replacement and fills it.
    fn fill(&mut self, set: Set, elements: &[Element]) -> Result<Vec<Failed>, EnforceError> {
        let name = set.temporary();
        self.destroy(name)?;
        self.ipset.create(name, set.family, elements.len()).map_err(failed("making", name))?;
        let refused = self.ipset.update(name, Operation::Add, elements).map_err(failed("filling", name))?;
        Ok(targets(elements, refused))
    }

    fn update(
        &mut self,
        set: Set,
        operation: Operation,
        elements: &[Element],
    ) -> Result<Vec<Failed>, EnforceError> {
        let name = set.name();
        let refused = match self.ipset.update(name, operation, elements) {
            // Who is to be forgotten is not there either.
            Err(failure) if failure.code() == ABSENT && operation == Operation::Delete => Ok(Vec::new()),
            Err(failure) if failure.code() == ABSENT => {
                self.ensure()?;
                self.ipset.update(name, operation, elements)
            }
            outcome => outcome,
        };
        Ok(targets(elements, refused.map_err(failed("changing", name))?))
    }

    fn list(&mut self, set: Set, each: impl FnMut(Element)) -> Result<bool, EnforceError> {
        self.ipset.list(set.name(), each).map_err(failed("reading", set.name()))
    }

    fn unreferenced(&mut self, name: &str) -> bool {
        matches!(self.ipset.header(name), Ok(Some(header)) if header.references == 0)
    }

    /// Destroys a set, if it is there, once the rules that used it have let go.
    fn destroy(&mut self, name: &str) -> Result<(), EnforceError> {
        let mut attempts = 0;
        loop {
            match self.ipset.destroy(name) {
                Ok(()) => return Ok(()),
                Err(failure) if failure.code() == ABSENT => return Ok(()),
                Err(failure)
                    if failure.code() == IN_USE
                        && (attempts < ATTEMPTS || attempts < PATIENCE && self.unreferenced(name)) =>
                {
                    attempts += 1;
                    std::thread::sleep(PAUSE);
                }
                Err(failure) => return Err(failed("removing", name)(failure)),
            }
        }
    }
}

fn targets(elements: &[Element], refused: Vec<(usize, i32)>) -> Vec<Failed> {
    let failed = |(index, code): (usize, i32)| {
        let element: &Element = elements.get(index)?;
        Some(Failed { target: element.net, why: explain(code) })
    };
    refused.into_iter().filter_map(failed).collect()
}

fn failed(doing: &'static str, name: &str) -> impl FnOnce(Failure) -> EnforceError {
    let what = format!("{doing} the set {name}");
    move |failure| match failure {
        Failure::Refused { code: 1 | 13, .. } => EnforceError::Capability { what },
        Failure::Refused { code, .. } => EnforceError::Kernel { what, why: explain(code) },
        Failure::Socket(errno) => EnforceError::system(what)(errno),
    }
}
