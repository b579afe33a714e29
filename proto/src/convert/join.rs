//! Joining: what somebody with a token asks of a signer, and what the signer gives.

use smartfw_core::{Time, fleet::CHAIN_BYTES};

use super::{
    ConvertError, Problem,
    peer::bytes,
    scalar::{Result, required, text},
};
use crate::{limits, wire};

/// What somebody asks who has a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Redeeming {
    /// The token: a secret.
    pub token: String,
    /// The name that it would like.
    pub name: String,
    /// A certificate request, DER.
    pub request: Vec<u8>,
    /// What it can be.
    pub roles: Vec<String>,
}

impl std::fmt::Debug for Redeeming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redeeming").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redeemed {
    /// A member's certificates as chains travel, or a new signer's right to sign, DER.
    pub given: Certificates,
    /// The root's certificate, DER: believed when its SHA-256 is the token's.
    pub root: Vec<u8>,
    /// The signer's clock.
    pub now: Time,
    /// Where members are.
    pub members: Vec<String>,
    /// Where the request came from, as the signer saw it.
    pub seen: String,
}

/// Certificates, by what they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certificates {
    /// A member's, as chains travel.
    Chain(Vec<u8>),
    /// A new signer's right to sign, DER.
    Authority(Vec<u8>),
}

impl From<Redeeming> for wire::RedeemRequest {
    fn from(Redeeming { token, name, request, roles }: Redeeming) -> Self {
        Self { token, name, request, roles }
    }
}

impl TryFrom<wire::RedeemRequest> for Redeeming {
    type Error = ConvertError;
    fn try_from(wire::RedeemRequest { token, name, request, roles }: wire::RedeemRequest) -> Result<Self> {
        Ok(Self {
            token: text("redeem.token", limits::TOKEN, token)?,
            name: text("redeem.name", limits::NAME, name)?,
            request: bytes("redeem.request", limits::CERTIFICATE, request)?,
            roles: texts("redeem.roles", limits::ROLES, limits::NAME, roles)?,
        })
    }
}

impl From<Redeemed> for wire::RedeemAnswer {
    fn from(Redeemed { given, root, now, mut members, seen }: Redeemed) -> Self {
        members.truncate(limits::SEEDS);
        let given = match given {
            Certificates::Chain(chain) => wire::redeem_answer::Given::Chain(chain),
            Certificates::Authority(der) => wire::redeem_answer::Given::Authority(der),
        };
        Self { given: Some(given), root, now: now.as_nanos(), members, seen }
    }
}

impl TryFrom<wire::RedeemAnswer> for Redeemed {
    type Error = ConvertError;
    fn try_from(answer: wire::RedeemAnswer) -> Result<Self> {
        let given = match required("redeem.given", answer.given)? {
            wire::redeem_answer::Given::Chain(chain) => {
                Certificates::Chain(bytes("redeem.chain", CHAIN_BYTES, chain)?)
            }
            wire::redeem_answer::Given::Authority(der) => {
                Certificates::Authority(bytes("redeem.authority", limits::CERTIFICATE, der)?)
            }
        };
        Ok(Self {
            given,
            root: bytes("redeem.root", limits::CERTIFICATE, answer.root)?,
            now: Time::from_nanos(answer.now),
            members: texts("redeem.members", limits::SEEDS, limits::ADDRESS, answer.members)?,
            seen: text("redeem.seen", limits::ADDRESS, answer.seen)?,
        })
    }
}

fn texts(field: &'static str, limit: usize, longest: usize, values: Vec<String>) -> Result<Vec<String>> {
    let length = values.len();
    if length > limit {
        return Err(ConvertError::new(field, Problem::TooLong { length, limit }));
    }
    values.into_iter().map(|value| text(field, longest, value)).collect()
}
