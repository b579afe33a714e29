//! Connecting to a member, or to a signer with a token.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use smartfw_core::fleet::NodeId;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};

use crate::name::Label;
use crate::token::Token;
use crate::trust::{Member, Refused, Roles};

use super::open::Gate;
use super::refusal::{RefusedUs, tls_error};
use super::stream::{JoinStream, MemberStream, PeerInfo, Stranger, Stream};
use super::verify::{Finding, Peer, Rules};
use super::{HANDSHAKE, Net, config};

/// What the other side sends first: HTTP/2 settings, some dozen bytes.
const FIRST: usize = 4096;

/// Whom we want to reach; an address proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The member with this key, if we know it.
    pub id: Option<NodeId>,
    /// A member of this name, if that is all that we know.
    pub name: Option<Label>,
}

impl Expected {
    pub(super) fn admit(&self, member: &Member) -> Result<(), Refused> {
        let same_id = self.id.is_none_or(|id| id == member.id);
        let same_name = self.name.as_ref().is_none_or(|name| *name == member.name.name);
        if same_id && same_name {
            return Ok(());
        }
        Err(Refused::WrongMember {
            who: member.name.clone().into(),
            id: member.id,
            expected: self.to_string(),
        })
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.id) {
            (Some(name), Some(id)) => write!(f, "{name} ({id})"),
            (Some(name), None) => write!(f, "{name}"),
            (None, Some(id)) => write!(f, "{id}"),
            (None, None) => f.write_str("any member"),
        }
    }
}

/// A connection did not come about.
#[derive(Debug, Error)]
pub enum DialError {
    /// Nobody answers.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// Somebody answers, too slowly.
    #[error("{address} did not finish the handshake within {} s: it is overloaded, or something else listens there", HANDSHAKE.as_secs())]
    Slow {
        /// Where.
        address: SocketAddr,
    },
    /// We refuse whoever answers.
    #[error("refused whoever answers at {address}: {why}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        why: Refused,
    },
    /// Whoever answers refuses us.
    #[error("{address} refused us: {why}")]
    RefusedUs {
        /// Where.
        address: SocketAddr,
        /// Why, as far as it says.
        why: RefusedUs,
    },
    /// It broke off, or speaks no TLS.
    #[error("the handshake with {address} failed: {source}")]
    Handshake {
        /// Where.
        address: SocketAddr,
        /// The library's word.
        source: io::Error,
    },
}

impl Net {
    /// Connects to a member. When this returns, each side has accepted the other.
    ///
    /// # Errors
    /// When nobody answers in time, or either side refuses the other.
    pub async fn dial(&self, address: SocketAddr, expected: Expected) -> Result<MemberStream, DialError> {
        let identity = self.current.get();
        let rules = Rules::Members {
            trust: identity.trust().clone().into(),
            revocations: self.revocations.clone(),
            roles: Roles::SERVING,
            expected: Some(expected),
        };
        let finding = Arc::new(Finding::default());
        let config = config::client(&identity, rules, finding.clone()).map_err(|e| unusable(address, e))?;
        let (tls, first, peer) = greet(address, config, &finding).await?;
        let gate = Arc::new(Gate::default());
        let place = self.streams.enter(&peer.member, &gate);
        // Whoever was revoked since the handshake began is not missed by the sweeper, now that it has its place.
        self.revocations.check(&peer.member).map_err(|why| DialError::Refused { address, why })?;
        Ok(Stream::new(tls.into(), PeerInfo::new(address, peer), gate).preceded_by(first).placed(place))
    }
}

impl Token {
    /// Connects to the signer that gave out this token, and to nobody else: root and signer are pinned.
    ///
    /// # Errors
    /// When nobody answers in time, or whoever answers is not that signer.
    pub async fn dial(&self, address: SocketAddr) -> Result<(JoinStream, Peer), DialError> {
        let finding = Arc::new(Finding::default());
        let config =
            config::join_client(Rules::issuer_of(self), finding.clone()).map_err(|e| unusable(address, e))?;
        let (tls, first, peer) = greet(address, config, &finding).await?;
        let stream = Stream::new(tls.into(), Stranger { address }, Arc::default());
        Ok((stream.preceded_by(first), peer))
    }
}

/// A tonic channel over one connection. It does not reconnect by itself: whoever answers the next time has to be judged
/// again, so dial again.
///
/// # Errors
/// When the connection broke before its first use.
pub async fn channel<I>(stream: Stream<I>, endpoint: Endpoint) -> Result<Channel, tonic::transport::Error>
where
    I: Send + Unpin + 'static,
{
    let slot = Arc::new(Mutex::new(Some(stream)));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = || io::Error::new(io::ErrorKind::NotConnected, "the connection ended: dial again");
        std::future::ready(stream.map(TokioIo::new).ok_or_else(ended))
    });
    endpoint.connect_with_connector(connector).await
}

/// With TLS 1.3 the client is through before the server has looked at its certificate. The server's first bytes prove
/// that it did; an alert in their place says why it does not like it.
async fn greet(
    address: SocketAddr,
    config: ClientConfig,
    finding: &Finding,
) -> Result<(TlsStream<TcpStream>, Vec<u8>, Peer), DialError> {
    let connecting = async {
        let tcp =
            TcpStream::connect(address).await.map_err(|source| DialError::Connect { address, source })?;
        let _ = tcp.set_nodelay(true);
        let name = ServerName::IpAddress(address.ip().into());
        let connected = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
        let mut tls = connected.map_err(|source| explain(address, source, finding))?;
        let mut first = vec![0; FIRST];
        let read = tls.read(&mut first).await.map_err(|source| explain(address, source, finding))?;
        first.truncate(read);
        Ok((tls, first))
    };
    let (tls, first) = timeout(HANDSHAKE, connecting).await.map_err(|_| DialError::Slow { address })??;
    if first.is_empty() {
        return Err(DialError::Handshake { address, source: io::ErrorKind::UnexpectedEof.into() });
    }
    let peer = finding.peer().ok_or(DialError::Refused { address, why: Refused::NoCertificate })?;
    Ok((tls, first, peer))
}

fn explain(address: SocketAddr, source: io::Error, finding: &Finding) -> DialError {
    if let Some(why) = finding.refused() {
        return DialError::Refused { address, why };
    }
    match RefusedUs::of(&source) {
        Some(why) => DialError::RefusedUs { address, why },
        None => {
            DialError::Handshake { address, source: tls_error(&source).map_or(source.kind().into(), wrap) }
        }
    }
}

fn wrap(error: &rustls::Error) -> io::Error {
    io::Error::other(error.clone())
}

fn unusable(address: SocketAddr, error: rustls::Error) -> DialError {
    DialError::Handshake { address, source: io::Error::other(error) }
}
