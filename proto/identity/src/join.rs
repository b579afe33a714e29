//! Joining and renewing, from the side of who asks.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use smartfw_core::Time;
use smartfw_proto::convert::{Certificates, Redeemed, Redeeming};
use smartfw_proto::wire::{self, join_client::JoinClient, renewal_client::RenewalClient};
use smartfw_proto::{ConvertError, limits};
use thiserror::Error;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::certificate::{Certificate, CertificateError};
use crate::identity::{Identity, IdentityError};
use crate::issue::{IssueError, request};
use crate::key::{Key, KeyError};
use crate::name::{Label, MemberName, Role};
use crate::signer::{SignError, Signer};
use crate::tls::{DialError, JOINING, MemberStream, Peer, channel};
use crate::token::Token;
use crate::trust::{Chain, Refused, Trust};

/// Clocks that differ by more are told: what lasts minutes is judged wrongly.
pub const SKEW: Duration = Duration::from_secs(60);

/// Who wants to join, and as what.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The name that it would like.
    pub name: &'a Label,
    /// What it can be.
    pub roles: &'a [Role],
    /// Where a new signer keeps its ledger.
    pub folder: &'a Path,
}

/// A new member.
#[derive(Debug)]
pub struct Admitted {
    /// Who it is; nothing is written yet.
    pub identity: Identity,
    /// Its right to sign, where it is a signer.
    pub signer: Option<Signer>,
    /// Where members are.
    pub members: Vec<SocketAddr>,
    /// Where the signer saw us.
    pub seen: Option<SocketAddr>,
    /// The signer's clock.
    pub clock: Time,
}

/// Joining or renewing did not come about.
#[derive(Debug, Error)]
pub enum JoinError {
    /// No key, or no request, could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No request could be made.
    #[error(transparent)]
    Request(#[from] IssueError),
    /// There is no address.
    #[error("the address leads nowhere")]
    Nowhere,
    /// The signer is not there, or nobody for us.
    #[error(transparent)]
    Dial(DialError),
    /// Another signer answers.
    #[error(
        "the token was printed by another signer than {who}, which answers at {address}: give the address that stood \
         beside the token"
    )]
    WrongSigner {
        /// Where.
        address: SocketAddr,
        /// Who answers.
        who: Box<MemberName>,
    },
    /// Another cluster answers.
    #[error(
        "the fingerprint in the token is not that of the cluster at {address}: check the address; if it is right, \
         somebody stands in between"
    )]
    WrongCluster {
        /// Where.
        address: SocketAddr,
    },
    /// It is there, and the connection broke.
    #[error("the connection to the signer broke: {0}; whether the token was used up, it says the next time")]
    Broken(String),
    /// It says no.
    #[error("the signer refuses: {0}")]
    Refused(String),
    /// Its answer is none.
    #[error("the signer's answer cannot be read: {0}; is it of a much later version?")]
    Answer(#[from] ConvertError),
    /// Its certificates are none.
    #[error("the signer gave a certificate that is none: {0}")]
    Certificate(#[from] CertificateError),
    /// Its certificates do not hold.
    #[error("the signer gave a certificate that does not hold here: {0}")]
    Chain(#[from] Refused),
    /// They do not make an identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The right to sign does not hold.
    #[error(transparent)]
    Sign(#[from] Box<SignError>),
}

impl From<DialError> for JoinError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Refused { address, why: Refused::WrongMember { who, .. } } => {
                Self::WrongSigner { address, who }
            }
            DialError::Refused { address, why: Refused::WrongRoot } => Self::WrongCluster { address },
            other => Self::Dial(other),
        }
    }
}

/// The first of a host's addresses at which the token's signer answers, and who that is. Nothing is asked of it yet.
///
/// # Errors
/// When it answers nowhere, or somebody else does.
pub async fn reach(addresses: &[SocketAddr], token: &Token) -> Result<(SocketAddr, Peer), JoinError> {
    let mut last = JoinError::Nowhere;
    for &address in addresses {
        match token.dial(address).await {
            Ok((_, peer)) => return Ok((address, peer)),
            Err(why @ (DialError::Connect { .. } | DialError::Slow { .. })) => last = why.into(),
            Err(why) => return Err(why.into()),
        }
    }
    Err(last)
}

/// Joins with a new key. The signer is who the token names, and nobody else.
///
/// # Errors
/// When the signer cannot be reached, is another, refuses, or gives what does not hold at `now`.
pub async fn join(
    address: SocketAddr,
    token: &Token,
    wish: Wish<'_>,
    now: Time,
) -> Result<Admitted, JoinError> {
    let key = Arc::new(Key::generate()?);
    let asked = Redeeming {
        token: token.to_string(),
        name: wish.name.to_string(),
        request: request(&key)?,
        roles: wish.roles.iter().map(|role| role.as_str().to_owned()).collect(),
    };
    let (stream, _) = token.dial(address).await?;
    let channel = channel(stream, endpoint()).await.map_err(|error| JoinError::Broken(error.to_string()))?;
    let mut client = JoinClient::new(channel).max_decoding_message_size(limits::PEER_MESSAGE);
    let answer = client.redeem(wire::RedeemRequest::from(asked)).await.map_err(|status| said(&status))?;
    admitted(answer.into_inner().try_into()?, token, key, wish, now)
}

/// Asks a signer for a new certificate about the same key, over an open connection with it.
///
/// # Errors
/// When it refuses, or gives what does not hold at `now`.
pub async fn renew(stream: MemberStream, identity: &Identity, now: Time) -> Result<Identity, JoinError> {
    let channel = channel(stream, endpoint()).await.map_err(|error| JoinError::Broken(error.to_string()))?;
    renew_over(channel, identity, now).await
}

/// The same over a channel.
///
/// # Errors
/// When it refuses, or gives what does not hold at `now`.
pub async fn renew_over(channel: Channel, identity: &Identity, now: Time) -> Result<Identity, JoinError> {
    let mut client = RenewalClient::new(channel).max_decoding_message_size(limits::PEER_MESSAGE);
    let asked = wire::RenewRequest { request: request(identity.key())? };
    let answer = client.renew(asked).await.map_err(|status| said(&status))?;
    let renewed = identity.renewed(Chain::from_bytes(&answer.into_inner().chain)?)?;
    renewed.member().valid_at(now)?;
    Ok(renewed)
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://smartfw.signer").timeout(JOINING)
}

fn admitted(
    redeemed: Redeemed,
    token: &Token,
    key: Arc<Key>,
    wish: Wish<'_>,
    now: Time,
) -> Result<Admitted, JoinError> {
    let Redeemed { given, root, now: clock, members, seen } = redeemed;
    let root = Certificate::parse(&root)?;
    if root.fingerprint() != *token.root() {
        return Err(Refused::WrongRoot.into());
    }
    let (identity, signer) = match given {
        Certificates::Chain(chain) => {
            let identity = Identity::new(key, Chain::from_bytes(&chain)?, Trust::new(root)?)?;
            (identity, None)
        }
        Certificates::Authority(der) => {
            let authority = Certificate::parse(&der)?;
            let made = Signer::new(key, authority, root, wish.folder, now).map_err(Box::new)?;
            (made.1, Some(made.0))
        }
    };
    identity.member().valid_at(now)?;
    if !wish.roles.contains(&identity.member().role) {
        return Err(Refused::Path("it is for another role than was asked for").into());
    }
    let members = members.iter().filter_map(|address| address.parse().ok()).collect();
    Ok(Admitted { identity, signer, members, seen: seen.parse().ok(), clock })
}

fn said(status: &Status) -> JoinError {
    // With a source it is the transport's word, not the signer's.
    let transport = std::error::Error::source(status).is_some();
    match status.code() {
        _ if transport => JoinError::Broken(status.message().to_owned()),
        Code::Unimplemented => JoinError::Refused("it is no signer, or of an earlier version".into()),
        Code::Cancelled | Code::Unknown | Code::Unavailable => JoinError::Broken(status.message().to_owned()),
        _ => JoinError::Refused(status.message().to_owned()),
    }
}
