//! A kernel that fails as often as a test says.

use std::collections::BTreeMap;

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};
use smartfw_enforce::{
    Applied, Counters, Destroyed, DryRun, EnforceError, Enforcer, Finding, Installed, Removed, Tally,
};

/// A kernel in memory that fails so many times at each.
#[derive(Debug, Default)]
pub(crate) struct Fragile {
    /// Asked what it holds.
    pub(crate) deaf: u32,
    /// Told to remove everything.
    pub(crate) stubborn: u32,
    /// Told to change entries.
    pub(crate) closed: u32,
    /// What it holds.
    pub(crate) kernel: DryRun,
}

fn fails(times: &mut u32) -> Result<(), EnforceError> {
    let fails = *times > 0;
    *times = times.saturating_sub(1);
    if fails { Err(EnforceError::Capability { what: "a test".to_owned() }) } else { Ok(()) }
}

impl Enforcer for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn install(&mut self, protected: &[IpNet]) -> Result<Installed, EnforceError> {
        self.kernel.install(protected)
    }

    fn remove(&mut self) -> Result<Removed, EnforceError> {
        fails(&mut self.stubborn)?;
        self.kernel.remove()
    }

    fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError> {
        fails(&mut self.deaf)?;
        self.kernel.enforced(now)
    }

    fn apply(&mut self, now: Time, changes: &[Change]) -> Result<Applied, EnforceError> {
        fails(&mut self.closed)?;
        self.kernel.apply(now, changes)
    }

    fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError> {
        self.kernel.replace(now, desired)
    }

    fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError> {
        self.kernel.counters()
    }

    fn verify(&mut self) -> Result<Vec<Finding>, EnforceError> {
        self.kernel.verify()
    }

    fn tally(&mut self) -> Result<Tally, EnforceError> {
        self.kernel.tally()
    }

    fn destroy(&mut self, target: IpNet) -> Result<Destroyed, EnforceError> {
        self.kernel.destroy(target)
    }
}
