//! A kernel that fails as often as a test says, and a cluster's authority.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};
use smartfw_enforce::{
    Applied, Counters, Destroyed, DryRun, EnforceError, Enforcer, Finding, Installed, Removed, Tally,
};
use smartfw_identity::{
    Founded, Founding, Identity, Invitation, Joined, Joining, Key, Known, Label, Revocations, Role, request,
};

use crate::clock;

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

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

/// A cluster's authority.
pub(crate) struct Authority {
    pub(crate) founded: Founded,
    _ledger: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn found() -> Self {
        let ledger = tempfile::tempdir().unwrap();
        let (cluster, site) = (&label("prod"), &Label::default_site());
        let founding = Founding { cluster, site, signer: &label("signer"), operator: &label("operator") };
        Self { founded: founding.found(ledger.path(), clock::now()).unwrap(), _ledger: ledger }
    }

    pub(crate) fn member(&self, name: &str) -> Identity {
        self.admit(name, Role::Node)
    }

    pub(crate) fn operator(&self, name: &str) -> Identity {
        self.admit(name, Role::Operator)
    }

    pub(crate) fn admit(&self, name: &str, role: Role) -> Identity {
        let (now, key) = (clock::now(), Arc::new(Key::generate().unwrap()));
        let trust = self.founded.identity.trust().clone();
        let expires = now.after(Duration::from_secs(600));
        let site = Label::default_site();
        let invitation = Invitation { role, site, replace: None, expires };
        let token = self.founded.signer.invite(invitation, now).unwrap();
        let wanted = request(&key).unwrap();
        let joining = Joining { name: &label(name), request: &wanted, roles: &[role] };
        let revocations = Revocations::in_memory(trust.clone());
        let known = Known { holder: &|_| None, revocations: &revocations, root: None };
        let Joined::Member(chain) = self.founded.signer.redeem(&token, &joining, known, now).unwrap() else {
            panic!("a node is no signer")
        };
        Identity::new(key, chain, trust).unwrap()
    }
}
