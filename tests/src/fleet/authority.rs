//! A cluster's authority, and its members' identities, without a daemon.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use smartfw_core::Time;
use smartfw_identity::{
    Founded, Founding, Identity, Invitation, Joined, Joining, Key, Known, Label, Revocations, Role, request,
};
use tempfile::TempDir;

/// What the first operator is called.
pub const OPERATOR: &str = "operator";

/// The authority. Its ledger goes with it.
#[derive(Debug)]
pub struct Authority {
    founded: Founded,
    _ledger: TempDir,
}

/// The clock of this machine.
pub fn now() -> Time {
    Time::from_nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64)
}

fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

impl Authority {
    /// A new cluster with a root of its own.
    pub fn found(cluster: &str) -> Self {
        let ledger = tempfile::tempdir().unwrap();
        let founding = Founding {
            cluster: &label(cluster),
            site: &Label::default_site(),
            signer: &label("signer"),
            operator: &label(OPERATOR),
        };
        Self { founded: founding.found(ledger.path(), now()).unwrap(), _ledger: ledger }
    }

    /// A member's identity at a site.
    pub fn member_at(&self, name: &str, site: &str) -> Identity {
        let key = Arc::new(Key::generate().unwrap());
        let trust = self.founded.identity.trust().clone();
        let expires = now().after(Duration::from_secs(600));
        let invitation = Invitation { role: Role::Node, site: label(site), replace: None, expires };
        let token = self.founded.signer.invite(invitation, now()).unwrap();
        let wanted = request(&key).unwrap();
        let joining = Joining { name: &label(name), request: &wanted, roles: &[Role::Node] };
        let revocations = Revocations::in_memory(trust.clone());
        let known = Known { holder: &|_| None, revocations: &revocations, root: None };
        match self.founded.signer.redeem(&token, &joining, known, now()).unwrap() {
            Joined::Member(chain) => Identity::new(key, chain, trust).unwrap(),
            Joined::Signer(_) => panic!("a node is no signer"),
        }
    }

    /// Writes the operator's key where the command line looks for it.
    pub(super) fn keep_operator(&self, folder: &Path) {
        let folder = folder.join(self.founded.operator.trust().cluster().as_str());
        private(&folder);
        self.founded.operator.save(&folder, None).unwrap();
    }
}

/// Writes an identity into a node's state folder.
pub fn equip(identity: &Identity, state: &Path, seeds: &[SocketAddr]) {
    let folder = state.join("identity");
    private(&folder);
    identity.save(&folder, None).unwrap();
    Revocations::create(&folder.join("revocations"), identity.trust().clone()).unwrap();
    let seeds: Vec<String> = seeds.iter().map(SocketAddr::to_string).collect();
    let reach = serde_json::json!({"advertise": null, "seeds": seeds}).to_string();
    fs::write(folder.join("reach.json"), reach).unwrap();
}

fn private(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}
