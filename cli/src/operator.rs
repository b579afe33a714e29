//! The operator's key: where it is kept, and what it signs.
//!
//! `~/.config/smartfw/operator/CLUSTER/` of the person who types, also behind `sudo`; `SMARTFW_OPERATOR_DIR` names
//! another place than `~/.config/smartfw/operator`, and what root keeps there belongs to whom that place does. No daemon ever sees a key, but for the first operator's: it is made
//! with the cluster, by the daemon, which hands it over and keeps no copy.

mod codec;
mod passphrase;
mod place;

use std::{path::Path, time::Duration};

use smartfw_core::fleet::{OperatorOrder, OrderKind, SignedOrder};
use smartfw_identity::{Identity, IdentityError, order_id, sign_order};

use crate::{args::Global, duration::now, failure::Failure, output::complain};

pub(crate) use passphrase::{Of, ask_new, checked, given, yes};
pub(crate) use place::{Home, Room};

/// An operator, ready to sign.
#[derive(Debug)]
pub(crate) struct Operator(Identity);

/// Whether there is a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is open.
    Open(Box<Operator>),
    /// There is none: where it was looked for.
    Missing(String),
    /// It cannot be opened without a person: why.
    Sealed(String),
}

/// Nobody renews an operator's certificate behind the person's back: it is told so long before.
const SOON: Duration = Duration::from_secs(7 * 86_400);

impl Operator {
    /// The key of this person for a cluster.
    pub(crate) fn find(global: &Global, cluster: &str) -> Result<Found, Failure> {
        let folder = Home::find()?.of(cluster);
        match Identity::load(&folder, None) {
            Ok(identity) => Self::open(identity),
            Err(IdentityError::Sealed) => Self::unseal(global, &folder),
            Err(IdentityError::File(smartfw_identity::FileError::Missing(_))) => Ok(Found::Missing(format!(
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
            Found::Missing(why) | Found::Sealed(why) => Err(Failure::failed(format!(
                "only operators may do this, and {why}; a signer's `smartfw-cli cluster token --role operator` and \
                 `cluster join ADDR:PORT --token T --operator NAME` make one"
            ))),
        }
    }

    fn unseal(global: &Global, folder: &Path) -> Result<Found, Failure> {
        let Some(text) = given(global, Of::Operator, "Passphrase of your operator's key: ")? else {
            return Ok(Found::Sealed(
                "your operator's key is under a passphrase, and there is nobody to ask (SMARTFW_PASSPHRASE, \
                 --passphrase-file)"
                    .into(),
            ));
        };
        let passphrase = checked(&text)?;
        Self::open(Identity::load(folder, Some(&passphrase)).map_err(|why| unusable(folder, &why))?)
    }

    fn open(identity: Identity) -> Result<Found, Failure> {
        let operator = Self(identity);
        let (name, until, now) = (operator.name(), operator.0.member().not_after, now());
        let remedy = format!(
            "get a new one: `smartfw-cli cluster token --role operator --replace {name}` on a signer, then `cluster join \
             ADDR:PORT --token T --operator {name}` here"
        );
        if until < now {
            return Err(Failure::failed(format!(
                "your operator's certificate ended at {} UTC; {remedy}",
                crate::duration::date(until)
            )));
        }
        if until.since(now) < SOON {
            let left = crate::duration::human(until.since(now));
            complain(&format!("your operator's certificate ends in {left}; {remedy}"));
        }
        Ok(Found::Open(Box::new(operator)))
    }

    /// Signs an order for the whole cluster. `lasts`: how long it has to be remembered, where it does not say itself how
    /// long it holds.
    pub(crate) fn sign(
        &self,
        kind: OrderKind,
        lasts: Option<Duration>,
    ) -> Result<(u128, SignedOrder), Failure> {
        self.sign_for(None, kind, lasts)
    }

    /// Signs an order for one site alone, or for all.
    pub(crate) fn sign_for(
        &self,
        site: Option<String>,
        kind: OrderKind,
        lasts: Option<Duration>,
    ) -> Result<(u128, SignedOrder), Failure> {
        let id = order_id().map_err(|why| Failure::failed(why.to_string()))?;
        let operator = self.name().to_owned();
        let order = OperatorOrder { id, operator, issued: now(), lasts, site, kind };
        let signed = sign_order(&self.0, &order, &codec::Wire);
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
}

fn unusable(folder: &Path, why: &IdentityError) -> Failure {
    Failure::failed(format!("the operator's key in {} cannot be used: {why}", folder.display()))
}
