//! A faithful fake of a Firebase Realtime Database, of what its documentation says about REST
//! (firebase.google.com/docs/reference/rest/database): verbs, push ids, ETag and `if-match`, queries, `shallow`, `print`,
//! `.sv`, server-sent events, credentials. And the troubles that a real one has only when nobody tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod listeners;
mod push;
mod query;
mod server;
mod tls;
mod token;
mod tree;
mod verbs;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::serve::Listener;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub use listeners::Listeners;
pub use token::ACCOUNT_KEY;

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It is answered with this status and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// It is refused with this status, and repeated.
    Echo(u16),
    /// It is never answered.
    Hang,
    /// The connection breaks before anything is done.
    Cut,
    /// It is done, and the connection breaks before anybody is told.
    Lost,
    /// It is sent to the same path of another server.
    Redirect(String),
}

impl Fault {
    /// That status and no headers.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new())
    }
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq)]
pub enum Door {
    /// Everybody.
    Open,
    /// Who knows the secret, `?auth=`.
    Secret(String),
    /// Who has the newest token that the token endpoint gave.
    Token,
}

/// A request that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The verb.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The header of this name.
    pub authorization: Option<String>,
}

/// What is behind the server.
#[derive(Debug)]
pub struct Shared {
    /// All data.
    pub root: Value,
    /// Who listens.
    pub listeners: Listeners,
    push: push::PushIds,
    /// The next requests fail like this, one each.
    pub faults: VecDeque<Fault>,
    /// All requests fail like this while it lasts.
    pub outage: Option<Fault>,
    /// Who is let in.
    pub door: Door,
    /// The tokens that were given: the last one counts.
    pub tokens: u64,
    /// Seconds.
    pub token_life: u64,
    /// Children that the rules have an index on.
    pub indexes: Vec<String>,
    /// A write with this in its body is refused with 400.
    pub poison: Option<String>,
    /// A longer body is refused with 413.
    pub most_bytes: usize,
    /// The requests that came, in order.
    pub seen: Vec<Seen>,
    /// Paths that a PATCH wrote, in order, as often as it did.
    pub written: Vec<String>,
}

impl Shared {
    fn new() -> Self {
        Self {
            root: Value::Null,
            listeners: Listeners::default(),
            push: push::PushIds::default(),
            faults: VecDeque::new(),
            outage: None,
            door: Door::Open,
            tokens: 0,
            token_life: 3600,
            indexes: Vec::new(),
            poison: None,
            most_bytes: 16 << 20,
            seen: Vec::new(),
            written: Vec::new(),
        }
    }
}

/// A running fake; it ends when dropped.
#[derive(Debug)]
pub struct Fake {
    url: String,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

impl Fake {
    /// Starts on a free port of loopback.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts at this address and port.
    pub async fn start_at(address: &str) -> Self {
        let socket = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        Self::serve(url, socket)
    }

    /// Over TLS, on a free port of loopback; and the certificate of the authority that vouches for it, in PEM.
    pub async fn start_tls() -> (Self, String) {
        Self::start_tls_at("127.0.0.1:0", "localhost").await
    }

    /// The same at this address and port, under this name: a host's, or an address.
    pub async fn start_tls_at(address: &str, name: &str) -> (Self, String) {
        let socket = TcpListener::bind(address).await.unwrap();
        let url = format!("https://{name}:{}", socket.local_addr().unwrap().port());
        let (socket, authority) = tls::Tls::new(socket, name);
        (Self::serve(url, socket), authority)
    }

    fn serve<L: Listener<Addr = SocketAddr>>(url: String, socket: L) -> Self {
        let shared = Arc::new(Mutex::new(Shared::new()));
        let app = server::app(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(socket, app).await.unwrap() });
        Self { url, shared, task }
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// What is behind it.
    pub fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// What stands at a path.
    pub fn at(&self, path: &str) -> Value {
        tree::get(&self.lock().root, &tree::path(path))
    }

    /// Somebody else writes.
    pub fn put(&self, path: &str, value: Value) {
        verbs::put(&mut self.lock(), &tree::path(path), value);
    }

    /// The JSON key file of a service account of this server.
    pub fn account(&self) -> Vec<u8> {
        token::account(&self.url())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}
