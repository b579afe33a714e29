//! Connections: TLS, few at once, none for long without a request.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{ServerConfig, server::ResolvesServerCert};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::{auth::neighbourhood, dispatch::Peer};

/// The most bytes of a request's line and headers.
const MOST_HEAD: usize = 32 << 10;
/// The most headers.
const MOST_HEADERS: usize = 64;

/// What one coordinator bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; the next is closed.
    pub connections: usize,
    /// Of them from one address (IPv6: one /64), other than loopback.
    pub of_one: usize,
    /// How long the TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's headers may take, and how long a connection may rest between two requests.
    pub head: Duration,
    /// How long a connection lives at most, whatever it does; a WebSocket is none any more.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            of_one: 64,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            life: Duration::from_secs(600),
        }
    }
}

/// Connections cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("cannot serve on {address}: {source}; choose another --http ADDR:PORT")]
    Address {
        /// Where it should have been.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}; check the certificate and its key")]
    Tls(#[from] rustls::Error),
}

/// What takes connections, until it is dropped.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Served {
    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// TLS 1.3 and 1.2 with a certificate that may be another tomorrow.
///
/// # Errors
/// When the provider refuses.
pub fn tls(certificate: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, ServeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let mut config = config.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Serves a router over TLS.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
) -> Result<Served, ServeError> {
    let failed = |source| ServeError::Address { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let door = Door {
        acceptor: TlsAcceptor::from(tls),
        router,
        limits,
        seats: Arc::new(Semaphore::new(limits.connections)),
        guests: Arc::default(),
    };
    Ok(Served { address, accepting: tokio::spawn(door.accept(listener)) })
}

struct Door {
    acceptor: TlsAcceptor,
    router: Router,
    limits: Limits,
    seats: Arc<Semaphore>,
    guests: Arc<Guests>,
}

impl Door {
    async fn accept(self, listener: TcpListener) {
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors: do not spin
                continue;
            };
            let Ok(seat) = self.seats.clone().try_acquire_owned() else { continue };
            let Some(guest) = self.guests.clone().enter(peer.ip(), self.limits.of_one) else { continue };
            let (acceptor, router, limits) = (self.acceptor.clone(), self.router.clone(), self.limits);
            tokio::spawn(async move {
                let _until_it_ends = (seat, guest);
                attend(stream, peer, &acceptor, router, limits).await;
            });
        }
    }
}

async fn attend(stream: TcpStream, peer: SocketAddr, acceptor: &TlsAcceptor, router: Router, limits: Limits) {
    let _ = stream.set_nodelay(true); // a slower answer is one all the same
    let Ok(Ok(stream)) = timeout(limits.handshake, acceptor.accept(stream)).await else { return };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Ok(Err(error)) = timeout(limits.life, connection).await {
        tracing::debug!(%error, %peer, "connection");
    }
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Guests(Mutex<BTreeMap<IpAddr, usize>>);

struct Guest {
    guests: Arc<Guests>,
    address: IpAddr,
}

impl Guests {
    fn enter(self: Arc<Self>, address: IpAddr, most: usize) -> Option<Guest> {
        let address = neighbourhood(address);
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = guests.entry(address).or_default();
        // A proxy on this host speaks for many.
        if *here >= most && !address.is_loopback() {
            return None;
        }
        *here += 1;
        drop(guests);
        Some(Guest { guests: self, address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut guests = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        match guests.get_mut(&self.address) {
            Some(here) if *here > 1 => *here -= 1,
            _ => drop(guests.remove(&self.address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_bounded_number_of_connections_and_leaves_nothing_behind() {
        let guests = Arc::new(Guests::default());
        let enter = |text: &str| guests.clone().enter(text.parse().unwrap(), 2);
        let (first, second) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && enter("192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        drop(second);
        assert!(guests.0.lock().unwrap().is_empty());
        let proxy: Vec<_> = (0..9).filter_map(|_| enter("127.0.0.1")).collect();
        assert_eq!(proxy.len(), 9);
    }
}
