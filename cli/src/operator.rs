//! The operator's key: where it is kept, and what it signs.
//!
//! `~/.config/smartfw/operator/CLUSTER/` of the person who types, also behind `sudo`; `SMARTFW_OPERATOR_DIR` names
//! another place than `~/.config/smartfw/operator`. The daemon never sees the key.

mod codec;
mod passphrase;
mod place;

use std::{path::Path, time::Duration};

use smartfw_core::{
    Time,
    fleet::{OperatorOrder, OrderKind, SignedOrder},
};
use smartfw_identity::{Identity, IdentityError, Passphrase, order_id, sign_order};

use crate::{args::Global, duration::now, failure::Failure};

use passphrase::given;
pub(crate) use passphrase::{ask_new, given_text, yes};
pub(crate) use place::Home;

/// An operator, ready to sign.
#[derive(Debug)]
pub(crate) struct Operator(Identity);

/// Whether there is a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is open.
    Open(Box<Operator>),
    /// There is none, or it cannot be opened without a person: why.
    None(String),
}

impl Operator {
    /// The key of this person for a cluster.
    pub(crate) fn find(global: &Global, cluster: &str) -> Result<Found, Failure> {
        let folder = Home::find()?.of(cluster);
        match Identity::load(&folder, None) {
            Ok(identity) => Ok(Found::Open(Box::new(Self(identity)))),
            Err(IdentityError::Sealed) => Self::unseal(global, &folder),
            Err(IdentityError::File(smartfw_identity::FileError::Missing(_))) => Ok(Found::None(format!(
                "there is no operator's key of cluster {cluster} in {}",
                folder.display()
            ))),
            Err(why) => Err(unusable(&folder, &why)),
        }
    }

    /// As `find`, for what nobody can do without.
    pub(crate) fn need(global: &Global, cluster: &str) -> Result<Self, Failure> {
        match Self::find(global, cluster)? {
            Found::Open(operator) => Ok(*operator),
            Found::None(why) => Err(Failure::failed(format!(
                "only operators may do this, and {why}; a signer's `smartfw-cli cluster token --role operator` and \
                 `cluster join ADDR:PORT --token T --operator NAME` make one"
            ))),
        }
    }

    fn unseal(global: &Global, folder: &Path) -> Result<Found, Failure> {
        let Some(passphrase) = given(global, "Passphrase of your operator's key: ")? else {
            return Ok(Found::None(
                "your operator's key is under a passphrase, and there is nobody to ask (SMARTFW_PASSPHRASE, \
                 --passphrase-file)"
                    .into(),
            ));
        };
        let identity = Identity::load(folder, Some(&passphrase)).map_err(|why| unusable(folder, &why))?;
        Ok(Found::Open(Box::new(Self(identity))))
    }

    /// Keeps a new operator's key.
    pub(crate) fn save(
        home: &Home,
        identity: &Identity,
        passphrase: Option<&Passphrase>,
    ) -> Result<(), Failure> {
        let folder = home.of(identity.trust().cluster().as_str());
        home.as_owner(|| {
            place::make(&folder)?;
            identity
                .save(&folder, passphrase)
                .map_err(|why| Failure::failed(format!("cannot keep the operator's key: {why}")))
        })
    }

    /// Signs an order. `lasts`: how long it has to be remembered.
    pub(crate) fn sign(
        &self,
        kind: OrderKind,
        lasts: Option<Duration>,
    ) -> Result<(u128, SignedOrder), Failure> {
        let id = order_id().map_err(|why| Failure::failed(why.to_string()))?;
        let order = OperatorOrder { id, operator: self.name().to_owned(), issued: now(), kind };
        let signed = sign_order(&self.0, &order, &codec::Wire, lasts);
        signed
            .map(|signed| (id, signed))
            .map_err(|why| Failure::failed(format!("the order is not signed: {why}")))
    }

    /// What the operator is called.
    pub(crate) fn name(&self) -> &str {
        self.0.member().name.name.as_str()
    }

    /// The identity, for what is signed otherwise.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.0
    }

    /// Until when it may sign.
    pub(crate) const fn until(&self) -> Time {
        self.0.member().not_after
    }
}

fn unusable(folder: &Path, why: &IdentityError) -> Failure {
    Failure::failed(format!("the operator's key in {} cannot be used: {why}", folder.display()))
}
