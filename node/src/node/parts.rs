//! What many threads share, and how enforcers are opened.

use std::sync::Arc;

use smartfw_config::EnforcerKind;
use smartfw_core::order::EnforcementState;
use smartfw_enforce::{EnforceError, Enforcer, Kind, Options, open, preflight};

use crate::{counters::Counters, enforcement::Desired, health::Health, inbox::Inbox};

/// What every thread may write to.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    pub(super) counters: Arc<Counters>,
    pub(super) health: Arc<Health>,
}

/// Opens an enforcer, once it is sure that it can be used.
pub(super) fn enforcer(kind: EnforcerKind) -> Result<Box<dyn Enforcer>, EnforceError> {
    let kind = match kind {
        EnforcerKind::Iptables => Kind::Iptables,
        EnforcerKind::Nftables => Kind::Nftables,
        EnforcerKind::Xdp => Kind::Xdp,
        EnforcerKind::DryRun => Kind::DryRun,
    };
    if kind == Kind::Iptables {
        preflight()?;
    }
    open(kind, Options::default())
}

/// Asks the driver what the kernel shall hold.
pub(super) fn desired(inbox: Inbox) -> Desired {
    Arc::new(move || {
        inbox.ask(|agent, _| (agent.enforcement() == EnforcementState::On).then(|| agent.desired())).flatten()
    })
}
