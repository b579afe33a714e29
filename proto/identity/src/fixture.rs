//! A cluster for tests.

use std::sync::Arc;
use std::time::Duration;

use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use tempfile::TempDir;

use crate::found::{Founded, Founding};
use crate::identity::Identity;
use crate::issue::request;
use crate::key::Key;
use crate::ledger::Invitation;
use crate::name::{Label, Role};
use crate::revocations::Revocations;
use crate::root::Root;
use crate::signer::{Joined, Joining, Known};
use crate::token::Token;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) now: Time,
    pub(crate) founded: Founded,
    pub(crate) revocations: Revocations,
}

pub(crate) type Holder = dyn Fn(&Label) -> Option<NodeId>;

pub(crate) fn nobody(_: &Label) -> Option<NodeId> {
    None
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).unwrap()
}

/// A time that is a round number of days, so that tests can count.
pub(crate) fn noon() -> Time {
    Time::from_secs(1_800_057_600)
}

/// Now, by the clock that TLS handshakes ask.
pub(crate) fn system() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time::from_secs(since.as_secs())
}

pub(crate) fn before(time: Time, by: Duration) -> Time {
    Time::from_secs(time.as_secs() - by.as_secs())
}

impl World {
    pub(crate) fn new(now: Time) -> Self {
        Self::called("prod", now)
    }

    pub(crate) fn called(cluster: &str, now: Time) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (cluster, site) = (label(cluster), label("default"));
        let founding =
            Founding { cluster: &cluster, site: &site, signer: &label("first"), operator: &label("alice") };
        let founded = founding.found(dir.path(), now).unwrap();
        let revocations = Revocations::in_memory(founded.identity.trust().clone());
        Self { dir, now, founded, revocations }
    }

    pub(crate) fn known<'a>(&'a self, holder: &'a Holder, root: Option<&'a Root>) -> Known<'a> {
        Known { holder, revocations: &self.revocations, root }
    }

    pub(crate) fn invitation(&self, role: Role) -> Invitation {
        Invitation { role, site: label("default"), replace: None, expires: self.now.after(DAY) }
    }

    pub(crate) fn token(&self, role: Role) -> Token {
        self.founded.signer.invite(self.invitation(role), self.now).unwrap()
    }

    pub(crate) fn join(&self, role: Role, name: &str) -> Identity {
        self.join_at(role, name, self.now)
    }

    /// A member whose certificate was made at `at`, whatever the ledger thinks of it.
    pub(crate) fn join_at(&self, role: Role, name: &str, at: Time) -> Identity {
        let key = Arc::new(Key::generate().unwrap());
        let invitation = Invitation { expires: at.after(DAY), ..self.invitation(role) };
        let token = self.founded.signer.invite(invitation, at).unwrap();
        let joining = Joining { name: &label(name), request: &request(&key).unwrap(), roles: &Role::ALL };
        match self.founded.signer.redeem(&token, &joining, self.known(&nobody, None), at).unwrap() {
            Joined::Member(chain) => {
                Identity::new(key, chain, self.founded.identity.trust().clone()).unwrap()
            }
            Joined::Signer(_) => panic!("use `Signer::new`"),
        }
    }
}
