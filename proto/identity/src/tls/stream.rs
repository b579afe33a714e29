//! A connection whose other side is known.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use smartfw_core::fleet::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsStream;
use tonic::transport::server::Connected;

use super::open::{Gate, Place};
use super::verify::Peer;

/// Who is on the other side of a member's connection; an extension of every request that comes over it.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Where it is.
    pub address: SocketAddr,
    /// Who it is.
    pub peer: Peer,
    exchanging: Arc<AtomicBool>,
}

impl PeerInfo {
    pub(super) fn new(address: SocketAddr, peer: Peer) -> Self {
        Self { address, peer, exchanging: Arc::default() }
    }

    /// Begins the one exchange that a connection carries; false when it was begun before. Another needs another
    /// handshake: who begins them in a loop pays more than we do.
    pub fn exchange(&self) -> bool {
        !self.exchanging.swap(true, Ordering::AcqRel)
    }

    /// Whose key it showed.
    pub const fn id(&self) -> NodeId {
        self.peer.member.id
    }
}

/// Somebody who may only show a token; an extension of every request that comes over its connection.
#[derive(Clone, Copy, Debug)]
pub struct Stranger {
    /// Where it is.
    pub address: SocketAddr,
}

/// A connection with a member.
pub type MemberStream = Stream<PeerInfo>;
/// A connection for joining.
pub type JoinStream = Stream<Stranger>;

/// An encrypted connection, and who is on the other side.
#[derive(Debug)]
pub struct Stream<I> {
    tls: TlsStream<TcpStream>,
    info: I,
    gate: Arc<Gate>,
    /// What was read to learn whether the other side accepts us.
    first: Vec<u8>,
    deadline: Option<Pin<Box<Sleep>>>,
    _place: Option<Place>,
}

impl<I> Stream<I> {
    pub(super) fn new(tls: TlsStream<TcpStream>, info: I, gate: Arc<Gate>) -> Self {
        Self { tls, info, gate, first: Vec::new(), deadline: None, _place: None }
    }

    pub(super) fn placed(self, place: Place) -> Self {
        Self { _place: Some(place), ..self }
    }

    pub(super) fn until(self, deadline: Instant) -> Self {
        Self { deadline: Some(Box::pin(tokio::time::sleep_until(deadline))), ..self }
    }

    pub(super) fn preceded_by(self, first: Vec<u8>) -> Self {
        Self { first, ..self }
    }

    /// Who is on the other side.
    pub const fn info(&self) -> &I {
        &self.info
    }

    fn closed(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        let over = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        let why = match (over, self.gate.poll_closed(cx)) {
            (true, _) => "the connection for joining has lasted long enough",
            (_, true) => "the connection was closed: its member was revoked, or opened too many",
            _ => return None,
        };
        Some(io::Error::new(io::ErrorKind::ConnectionAborted, why))
    }
}

impl<I: Clone + Send + Sync + 'static> Connected for Stream<I> {
    type ConnectInfo = I;
    fn connect_info(&self) -> I {
        self.info.clone()
    }
}

impl<I: Unpin> AsyncRead for Stream<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(closed) = this.closed(cx) {
            return Poll::Ready(Err(closed));
        }
        if this.first.is_empty() {
            return Pin::new(&mut this.tls).poll_read(cx, into);
        }
        let fits = this.first.len().min(into.remaining());
        into.put_slice(&this.first[..fits]);
        this.first.drain(..fits);
        Poll::Ready(Ok(()))
    }
}

impl<I: Unpin> AsyncWrite for Stream<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.gate.is_closed() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut this.tls).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_shutdown(cx)
    }
}
