//! What several tests need.

mod memory;

use std::{sync::Arc, time::Duration};

use smartfw_core::{
    Time,
    order::{EnforcementState, Mode},
};
use smartfw_identity::{
    Founded, Founding, Identity, Invitation, Joined, Joining, Key, Known, Label, Revocation, Revocations,
    Role, request,
};
use smartfw_proto::view::{Coordinator, NodeStatus};

use crate::clock;
pub(crate) use memory::Memory;

/// A cluster's authority.
pub(crate) struct Cluster {
    pub(crate) founded: Founded,
    pub(crate) ledger: tempfile::TempDir,
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

impl Cluster {
    pub(crate) fn found(name: &str) -> Self {
        Self::found_at(name, 0)
    }

    /// One that was founded so many days ago.
    pub(crate) fn found_at(name: &str, days: u64) -> Self {
        let made = Time::from_nanos(clock::now().as_nanos() - days * 86_400 * 1_000_000_000);
        let ledger = tempfile::tempdir().unwrap();
        let (cluster, site) = (&label(name), &Label::default_site());
        let founding = Founding { cluster, site, signer: &label("signer"), operator: &label("operator") };
        Self { founded: founding.found(ledger.path(), made).unwrap(), ledger }
    }

    pub(crate) fn admit(&self, name: &str, role: Role) -> Identity {
        self.admit_at(name, role, clock::now())
    }

    /// A member whose certificate was made then.
    pub(crate) fn admit_at(&self, name: &str, role: Role, now: Time) -> Identity {
        let key = Arc::new(Key::generate().unwrap());
        let trust = self.founded.identity.trust().clone();
        let invitation = Invitation {
            role,
            site: Label::default_site(),
            replace: None,
            expires: now.after(Duration::from_secs(600)),
        };
        let token = self.founded.signer.invite(invitation, now).unwrap();
        let wanted = request(&key).unwrap();
        let joining = Joining { name: &label(name), request: &wanted, roles: &[role] };
        let revocations = Revocations::in_memory(trust.clone());
        let known = Known { holder: &|_| None, revocations: &revocations, root: None };
        let Joined::Member(chain) = self.founded.signer.redeem(&token, &joining, known, now).unwrap() else {
            panic!("only the root makes signers")
        };
        Identity::new(key, chain, trust).unwrap()
    }

    /// The operator's word that a node is expelled.
    pub(crate) fn revoke(&self, node: &Identity) -> Vec<u8> {
        let role = node.member().role;
        Revocation::by_operator(&self.founded.operator, node.id(), role, clock::now()).unwrap()
    }
}

/// What a node says of itself that is well.
pub(crate) fn status(node: &str) -> NodeStatus {
    NodeStatus {
        node: node.into(),
        version: "0.1.0".into(),
        enforcement: EnforcementState::On,
        mode: Mode::Auto,
        enforcer: "dry-run".into(),
        interfaces: vec!["eth0".into()],
        uptime: Duration::from_secs(1),
        packets: 1,
        lost: 0,
        sources: 1,
        blocked: 0,
        alerts: 0,
        pending: 0,
        cluster: Some("prod".into()),
        peers_alive: 0,
        peers_known: 0,
        coordinator: Coordinator::Connected,
        models: Vec::new(),
        health: Vec::new(),
        reverts: None,
    }
}
