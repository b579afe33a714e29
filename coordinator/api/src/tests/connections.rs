//! Connections over TLS on loopback.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring::default_provider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::bench::Bench;
use crate::{Limits, Served, serve, tls};

/// A bench that is served.
pub(super) struct Line {
    served: Served,
    certificate: CertificateDer<'static>,
}

impl Line {
    pub(super) async fn new(bench: &Bench) -> Self {
        Self::with(bench, Limits::default()).await
    }

    async fn with(bench: &Bench, limits: Limits) -> Self {
        let made = rcgen::generate_simple_self_signed(["fw.example".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &default_provider()).unwrap();
        let config = tls(Arc::new(SingleCertAndKey::from(certified))).unwrap();
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let served = serve(anywhere, config, bench.router.clone(), limits).await.unwrap();
        Self { served, certificate }
    }

    pub(super) async fn dial(&self) -> TlsStream<TcpStream> {
        self.dial_by(&rustls::version::TLS13).await
    }

    async fn dial_by(&self, version: &'static SupportedProtocolVersion) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.served.address()).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect("fw.example".try_into().unwrap(), stream).await.unwrap()
    }

    async fn ask(&self, request: &str) -> String {
        let mut stream = self.dial().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        drained(&mut stream).await
    }
}

async fn drained(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    // The other side may close without a word.
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_person_logs_in_over_tls_and_the_log_knows_from_where() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let body = format!(r#"{{"name":"admin","password":"{}"}}"#, bench.password);
    let head = "POST /api/v1/login HTTP/1.1\r\nhost: fw.example\r\ncontent-type: application/json\r\nconnection: close";
    let answer = line.ask(&format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("set-cookie: __Host-smartfw="),
        "{answer}"
    );
    let log = bench.api.0.audit.read(u64::MAX, 1, |_| true);
    assert!(serde_json::to_string(&log).unwrap().contains(r#""from":"127.0.0.1""#));
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_plain_text_is_not() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = line.dial_by(version).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        assert!(drained(&mut stream).await.starts_with("HTTP/1.1 404"));
    }
    let mut plain = TcpStream::connect(line.served.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(!drained(&mut plain).await.contains("HTTP/1.1"));
}

#[tokio::test]
async fn heads_that_are_too_large_or_none_are_refused() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let many = "x: y\r\n".repeat(1_000);
    let long = format!("x: {}\r\n", "y".repeat(100_000));
    let cases = [
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), "HTTP/1.1 431"),
        (format!("GET / HTTP/1.1\r\n{long}\r\n"), "HTTP/1.1 431"),
        ("GET /\x00 HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("\x16\x03\x01\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("POST /api/v1/login HTTP/1.1\r\ncontent-length: -1\r\n\r\n".to_owned(), "HTTP/1.1 400"),
    ];
    for (request, expected) in cases {
        let answer = line.ask(&request).await;
        assert!(answer.starts_with(expected), "{request:.40}: {answer:.60}");
    }
}

#[tokio::test]
async fn a_connection_that_only_waits_is_closed() {
    let bench = Bench::new();
    let brief = Duration::from_millis(300);
    let limits = Limits { handshake: brief, head: brief, ..Limits::default() };
    let line = Line::with(&bench, limits).await;
    let begun = Instant::now();
    let mut silent = TcpStream::connect(line.served.address()).await.unwrap();
    drained(&mut silent).await; // no handshake
    let mut slow = line.dial().await;
    slow.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
    drained(&mut slow).await; // half a head
    let mut rests = line.dial().await;
    rests.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    drained(&mut rests).await; // no second request
    assert!(
        begun.elapsed() >= brief * 3 && begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_connection_does_not_live_for_ever() {
    let bench = Bench::new();
    let line = Line::with(&bench, Limits { life: Duration::from_millis(500), ..Limits::default() }).await;
    let mut busy = line.dial().await;
    let mut asked = 0;
    while busy.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() && asked < 1_000 {
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(asked > 1 && asked < 1_000, "{asked}");
}

#[tokio::test]
async fn beyond_the_bound_connections_are_closed_and_come_again_when_others_go() {
    let bench = Bench::new();
    let line = Line::with(&bench, Limits { connections: 2, ..Limits::default() }).await;
    let (one, _two) = (line.dial().await, line.dial().await);
    let mut third = TcpStream::connect(line.served.address()).await.unwrap();
    assert_eq!(drained(&mut third).await, "");
    drop(one);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = line.ask("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let bench = Bench::new();
    let line = Line::new(&bench).await;
    let mut slow = line.dial().await;
    let head = "POST /api/v1/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    assert!(drained(&mut slow).await.starts_with("HTTP/1.1 408"));
}
