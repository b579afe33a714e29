use std::collections::BTreeMap;

use smartfw_core::{
    BlockId, Class, IpNet, Strength,
    enforcement::{Entry, Note},
};

use super::*;
use crate::{Applied, Counters, Destroyed, DryRun, Installed, Removed, Trouble};

const START: Time = Time::from_secs(1_000_000);

fn after(seconds: u64) -> Time {
    START.after(Duration::from_secs(seconds))
}

fn desired(count: u8) -> Enforced {
    let note = Note { id: BlockId(7), class: Class::PortScan, origin: "web-1".into() };
    let entry = |host| {
        let target: IpNet = IpNet::new([203, 0, 113, host].into(), 32).unwrap();
        (target, Entry { target, strength: Strength::Hard, expires: None, note: note.clone() })
    };
    Enforced { blocks: (0..count).map(entry).collect(), protected: vec!["192.0.2.1/32".parse().unwrap()] }
}

/// A dry run whose rules can be lost.
#[derive(Default)]
struct Fragile {
    sets: DryRun,
    lost: bool,
    installs: usize,
    /// Rules can neither be looked at nor mended.
    locked: bool,
}

impl Fragile {
    fn unlocked(&self) -> Result<(), EnforceError> {
        let locked = || EnforceError::Timeout { command: "iptables-save".into(), seconds: 10 };
        if self.locked { Err(locked()) } else { Ok(()) }
    }
}

impl Enforcer for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }
    fn install(&mut self, protected: &[IpNet]) -> Result<Installed, EnforceError> {
        let mended = self.verify()?;
        self.unlocked()?;
        self.lost = false;
        self.installs += 1;
        self.sets.install(protected)?;
        Ok(Installed { mended, ..Installed::default() })
    }
    fn remove(&mut self) -> Result<Removed, EnforceError> {
        self.sets.remove()
    }
    fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError> {
        self.sets.enforced(now)
    }
    fn apply(&mut self, now: Time, changes: &[Change]) -> Result<Applied, EnforceError> {
        self.sets.apply(now, changes)
    }
    fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError> {
        self.sets.replace(now, desired)
    }
    fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError> {
        self.sets.counters()
    }
    fn verify(&mut self) -> Result<Vec<Finding>, EnforceError> {
        if !self.lost {
            self.unlocked()?;
        }
        Ok(self.lost.then(|| Finding::new(Trouble::Missing, "chain")).into_iter().collect())
    }
    fn tally(&mut self) -> Result<Tally, EnforceError> {
        self.sets.tally()
    }
    fn destroy(&mut self, target: IpNet) -> Result<Destroyed, EnforceError> {
        self.sets.destroy(target)
    }
}

fn look(reconciler: &mut Reconciler, kernel: &mut Fragile, seconds: u64, count: u8) -> Repair {
    reconciler.step(after(seconds), kernel, Surplus::Remove, &mut || desired(count)).unwrap()
}

#[test]
fn an_empty_kernel_is_filled_and_then_left_in_peace() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    assert_eq!(look(&mut reconciler, &mut kernel, 0, 3).added, 4);
    let mut asked = false;
    let repair = reconciler.step(after(2), &mut kernel, Surplus::Remove, &mut || {
        asked = true;
        desired(3)
    });
    assert!(repair.unwrap().is_clean() && !asked);
}

#[test]
fn a_flushed_set_is_refilled_at_the_next_look() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 3);
    kernel.remove().unwrap();
    assert_eq!(look(&mut reconciler, &mut kernel, 1, 3).added, 4);
}

#[test]
fn a_flush_among_our_own_changes_is_repaired_at_the_next_look() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 100);
    kernel.remove().unwrap();
    let before = kernel.tally().unwrap();
    let own: Vec<Change> = desired(3).blocks.into_values().map(Change::Block).collect();
    kernel.apply(after(1), &own).unwrap();
    reconciler.changed(kernel.tally().unwrap().since(before));
    assert_eq!(look(&mut reconciler, &mut kernel, 1, 100).added, 98);
}

#[test]
fn our_own_changes_alone_are_no_damage() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 100);
    let before = kernel.tally().unwrap();
    let own: Vec<Change> =
        (3..100).map(|host| Change::Unblock(IpNet::new([203, 0, 113, host].into(), 32).unwrap())).collect();
    kernel.apply(after(1), &own).unwrap();
    reconciler.changed(kernel.tally().unwrap().since(before));
    let mut asked = false;
    let repair = reconciler.step(after(10), &mut kernel, Surplus::Remove, &mut || {
        asked = true;
        desired(3)
    });
    assert!(repair.unwrap().is_clean() && !asked);
}

#[test]
fn a_single_entry_that_is_gone_comes_back_within_seconds() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 100);
    kernel.apply(after(1), &[Change::Unblock("203.0.113.5/32".parse().unwrap())]).unwrap();
    assert!(look(&mut reconciler, &mut kernel, 1, 100).is_clean());
    assert_eq!(look(&mut reconciler, &mut kernel, 3, 100).added, 1);
}

#[test]
fn an_exchange_that_leaves_the_count_is_found_within_a_minute() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 3);
    let mut other = desired(4).blocks.into_values().last().unwrap();
    other.target = "198.51.100.1/32".parse().unwrap();
    let gone = Change::Unblock("203.0.113.2/32".parse().unwrap());
    kernel.apply(after(1), &[gone, Change::Block(other)]).unwrap();
    let repair = look(&mut reconciler, &mut kernel, 60, 3);
    assert_eq!((repair.added, repair.removed), (1, 1));
}

#[test]
fn a_tool_that_fights_back_is_reported_and_met_every_five_seconds() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 3);
    for second in 0..60 {
        kernel.lost = true;
        let repair = look(&mut reconciler, &mut kernel, second, 3);
        assert_eq!(repair.fought, second >= 12, "{second}");
    }
    assert_eq!(kernel.installs, 12 + 9);
    kernel.lost = true;
    look(&mut reconciler, &mut kernel, 300, 3);
    let calm = look(&mut reconciler, &mut kernel, 302, 3);
    assert!(calm.is_clean() && !calm.fought);
}

#[test]
fn trouble_with_rules_keeps_no_entry_from_being_repaired_and_is_told() {
    for lost in [false, true] {
        let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
        look(&mut reconciler, &mut kernel, 0, 3);
        kernel.remove().unwrap();
        (kernel.lost, kernel.locked) = (lost, true);
        let told = reconciler.step(after(2), &mut kernel, Surplus::Remove, &mut || desired(3));
        assert!(matches!(told, Err(EnforceError::Timeout { .. })), "{told:?}");
        assert_eq!(kernel.tally().unwrap().hard, 3, "{lost}");
    }
}

#[test]
fn a_clock_set_back_does_not_stop_the_repairs() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 100_000, 3);
    kernel.apply(after(0), &[Change::Unblock("203.0.113.2/32".parse().unwrap())]).unwrap();
    assert_eq!(look(&mut reconciler, &mut kernel, 0, 3).added, 1);
}

#[test]
fn a_doubt_is_looked_into_though_the_number_of_entries_is_right() {
    let (mut reconciler, mut kernel) = (Reconciler::default(), Fragile::default());
    look(&mut reconciler, &mut kernel, 0, 3);
    kernel.apply(after(0), &[Change::Unblock("203.0.113.2/32".parse().unwrap())]).unwrap();
    let held = kernel.tally().unwrap();
    reconciler.held = held;
    assert_eq!(look(&mut reconciler, &mut kernel, 2, 3).added, 0);
    reconciler.doubt();
    assert_eq!(look(&mut reconciler, &mut kernel, 4, 3).added, 1);
}
