//! An enforcer that looks by itself, and leaves entries to the driver.

use std::{collections::BTreeMap, sync::mpsc::channel, time::Duration};

use smartfw_core::{
    IpNet, Time,
    enforcement::{Change, Enforced},
};
use smartfw_enforce::{
    Applied, Counters, Destroyed, EnforceError, Enforcer, Failed, Finding, Installed, Removed, Tally,
};

use super::Agreement;
use crate::inbox::{Inbox, Input, Refused};

/// How long the worker may take to carry out what was found.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads by `enforcer`; leaves changes of entries to the driver.
pub(super) struct Careful {
    pub(super) enforcer: Box<dyn Enforcer>,
    pub(super) agreement: Agreement,
    pub(super) inbox: Inbox,
    /// How many entries there were when the look began: the next answer to that question.
    pub(super) told: Option<Tally>,
}

impl Careful {
    /// Has the driver look at the targets of `changes` again, and waits until the kernel agrees. The kernel's words
    /// where it does not.
    fn recheck(&self, changes: &[Change]) -> Option<String> {
        let (done, waiting) = channel();
        let reply = Box::new(move |result| done.send(result).unwrap_or_default());
        self.inbox.send(Input::Recheck(changes.to_vec(), reply));
        match waiting.recv_timeout(PATIENCE) {
            Ok(Err(Refused::Kernel(why))) => Some(why),
            Ok(Err(Refused::Unstored)) | Err(_) => Some("it takes long".to_owned()),
            Ok(_) => None,
        }
    }
}

impl Enforcer for Careful {
    fn name(&self) -> &'static str {
        self.enforcer.name()
    }

    fn install(&mut self, protected: &[IpNet]) -> Result<Installed, EnforceError> {
        let on = self.agreement.switch();
        if *on { self.enforcer.install(protected) } else { Ok(Installed::default()) }
    }

    fn remove(&mut self) -> Result<Removed, EnforceError> {
        self.enforcer.remove()
    }

    fn enforced(&mut self, now: Time) -> Result<Enforced, EnforceError> {
        self.enforcer.enforced(now)
    }

    fn apply(&mut self, _: Time, changes: &[Change]) -> Result<Applied, EnforceError> {
        let refused = self.recheck(changes).zip(changes.first());
        // How many went in all the same is known to the worker, who counts them.
        let changed = if refused.is_some() { 0 } else { changes.len() };
        let failed = refused.map(|(why, change)| Failed { target: change.target(), why });
        Ok(Applied { changed, failed: failed.into_iter().collect() })
    }

    fn replace(&mut self, now: Time, desired: &Enforced) -> Result<Applied, EnforceError> {
        self.enforcer.replace(now, desired)
    }

    fn counters(&mut self) -> Result<BTreeMap<IpNet, Counters>, EnforceError> {
        self.enforcer.counters()
    }

    fn verify(&mut self) -> Result<Vec<Finding>, EnforceError> {
        self.enforcer.verify()
    }

    fn tally(&mut self) -> Result<Tally, EnforceError> {
        // After a repair the number is taken as it is, own changes included.
        self.told.take().map_or_else(|| self.agreement.look(self.enforcer.as_mut()).0, Ok)
    }

    fn destroy(&mut self, target: IpNet) -> Result<Destroyed, EnforceError> {
        self.enforcer.destroy(target)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use smartfw_core::order::Done;
    use smartfw_enforce::DryRun;

    use super::*;
    use crate::inbox::inbox;

    fn careful(inbox: Inbox) -> Careful {
        Careful { enforcer: Box::new(DryRun::default()), agreement: Agreement::default(), inbox, told: None }
    }

    #[test]
    fn nothing_is_installed_after_it_was_switched_off() {
        let (inbox, _inputs) = inbox(Arc::default());
        let net: IpNet = "192.0.2.1/32".parse().unwrap();
        let mut careful = careful(inbox);
        careful.install(&[net]).unwrap();
        assert_eq!(careful.tally().unwrap().protected, 0);
        *careful.agreement.switch() = true;
        careful.install(&[net]).unwrap();
        assert_eq!(careful.tally().unwrap().protected, 1);
    }

    #[test]
    fn entries_are_left_to_the_driver() {
        let (inbox, inputs) = inbox(Arc::default());
        let change = Change::Unblock("192.0.2.1/32".parse().unwrap());
        let asked = change.clone();
        let thread = thread::spawn(move || careful(inbox).apply(Time::ZERO, &[asked]).unwrap());
        let Some(Input::Recheck(changes, reply)) = inputs.wait(Time::NEVER) else {
            panic!("nobody was asked")
        };
        assert_eq!(changes, [change]);
        reply(Ok(Done::Confirmed));
        assert_eq!(thread.join().unwrap().changed, 1);
    }

    #[test]
    fn what_the_kernel_refused_is_no_success() {
        let (inbox, inputs) = inbox(Arc::default());
        let change = Change::Unblock("192.0.2.1/32".parse().unwrap());
        let thread = thread::spawn(move || careful(inbox).apply(Time::ZERO, &[change]).unwrap());
        let Some(Input::Recheck(_, reply)) = inputs.wait(Time::NEVER) else { panic!("nobody was asked") };
        reply(Err(Refused::Kernel("full".to_owned())));
        let applied = thread.join().unwrap();
        assert_eq!((applied.changed, applied.failed.len()), (0, 1));
    }
}
