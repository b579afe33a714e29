//! The beginning of a cluster.

use std::path::Path;
use std::sync::Arc;

use smartfw_core::Time;

use crate::identity::{Identity, IdentityError};
use crate::key::Key;
use crate::name::{Label, Role};
use crate::root::{Root, RootError};
use crate::signer::{SignError, Signer};
use thiserror::Error;

/// A new cluster: its root, its first signer, its first operator.
#[derive(Debug)]
pub struct Founded {
    /// To be exported, and kept offline.
    pub root: Root,
    /// The first signer, on this machine.
    pub signer: Signer,
    /// The signer as a member.
    pub identity: Identity,
    /// The first operator, for the home of the person who founds the cluster.
    pub operator: Identity,
}

/// What a new cluster is called, and who begins it.
#[derive(Clone, Debug)]
pub struct Founding<'a> {
    /// The cluster.
    pub cluster: &'a Label,
    /// The site of the first signer.
    pub site: &'a Label,
    /// The first signer: this machine.
    pub signer: &'a Label,
    /// The first operator: this person.
    pub operator: &'a Label,
}

/// A cluster could not be founded.
#[derive(Debug, Error)]
pub enum FoundError {
    /// The root could not be made.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The signer could not be made.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The identity could not be put together.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Founding<'_> {
    /// Makes root, signer and operator. The signer's ledger begins in `folder`; nothing else is written.
    ///
    /// # Errors
    /// When a key or a certificate cannot be made, or the names of signer and operator are the same.
    pub fn found(&self, folder: &Path, now: Time) -> Result<Founded, FoundError> {
        let root = Root::create(self.cluster, now)?;
        let key = Arc::new(Key::generate().map_err(SignError::from)?);
        let authority =
            root.sign_signer(self.site, self.signer, key.public(), now).map_err(SignError::from)?;
        let (signer, identity) = Signer::new(key, authority, root.certificate().clone(), folder, now)?;
        let key = Arc::new(Key::generate().map_err(SignError::from)?);
        let chain = signer.admit(self.operator, Role::Operator, key.public(), now)?;
        let operator = Identity::new(key, chain, identity.trust().clone())?;
        Ok(Founded { root, signer, identity, operator })
    }
}
