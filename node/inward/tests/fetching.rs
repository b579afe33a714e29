//! Servers of feeds that are right, wrong, slow, endless and hostile, on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs, io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use smartfw_inward::{
    feed::{FetchError, Fetched, Fetcher, Patience, Source, Validators},
    geo::GeoFiles,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const MOST: usize = 1 << 20;

/// What a server does with a request.
#[derive(Clone)]
enum Does {
    /// Answers so.
    Says(String),
    /// Sends this head and then bytes for ever.
    Pours(&'static str),
    /// Says nothing.
    Hangs,
    /// Says `304 Not Modified` to who knows this mark, else this.
    Knows(&'static str, String),
}

/// A server, and the client that believes it.
struct Server {
    at: SocketAddr,
    fetcher: Fetcher,
}

impl Server {
    async fn start(does: impl Fn(&str) -> Does + Send + Sync + 'static) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let does = Arc::new(does);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, does) = (acceptor.clone(), does.clone());
                tokio::spawn(async move { serve(stream, acceptor, &*does).await });
            }
        });
        let patience = Patience {
            connect: Duration::from_secs(5),
            silence: Duration::from_millis(500),
            whole: Duration::from_secs(5),
            bytes: MOST,
        };
        Self { at, fetcher: Fetcher::new(patience, Some(cert.der().to_vec()), GeoFiles::default()) }
    }

    async fn get(&self, path: &str, known: &Validators) -> Result<Fetched, FetchError> {
        let address = format!("https://localhost:{}{path}", self.at.port());
        self.fetcher.fetch(&Source::parse(&address).unwrap(), known).await
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, does: &(dyn Fn(&str) -> Does + Send + Sync)) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let Ok(request) = request(&mut stream).await else { return };
    let path = request.split(' ').nth(1).unwrap_or_default();
    // Who asks may have gone.
    let _ = match does(path) {
        Does::Says(answer) => stream.write_all(answer.as_bytes()).await,
        Does::Knows(mark, _) if request.contains(&format!("if-none-match: {mark}")) => {
            stream.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n").await
        }
        Does::Knows(_, answer) => stream.write_all(answer.as_bytes()).await,
        Does::Hangs => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok(())
        }
        Does::Pours(head) => pour(&mut stream, head).await,
    };
    let _ = stream.shutdown().await;
}

async fn request(stream: &mut TlsStream<TcpStream>) -> io::Result<String> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 1024]);
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => bytes.extend_from_slice(&piece[..n]),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn pour(stream: &mut TlsStream<TcpStream>, head: &str) -> io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    for _ in 0..100 {
        stream.write_all(&[b'#'; 64 << 10]).await?;
    }
    Ok(())
}

fn ok(headers: &str, body: &str) -> Does {
    Does::Says(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()))
}

fn redirect(to: &str) -> Does {
    Does::Says(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"))
}

#[tokio::test]
async fn a_list_is_fetched_with_its_marks_and_not_again_while_it_is_the_same() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\netag: \"v1\"\r\nlast-modified: Mon, 30 Nov 2026 00:00:00 GMT\r\n\r\n192.0.2.1";
    let server = Server::start(|_| Does::Knows("\"v1\"", answer.to_owned())).await;
    let Fetched::New(bytes, marks) = server.get("/", &Validators::default()).await.unwrap() else {
        panic!("it cannot be known yet")
    };
    assert_eq!((bytes.as_slice(), marks.etag.as_deref()), (b"192.0.2.1".as_slice(), Some("\"v1\"")));
    assert!(marks.modified.is_some());
    assert_eq!(server.get("/", &marks).await.unwrap(), Fetched::Unchanged);
    let other = Validators { etag: Some("\"v0\"".into()), modified: None };
    assert!(matches!(server.get("/", &other).await.unwrap(), Fetched::New(..)));
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_no_answer() {
    let server = Server::start(|_| Does::Says("HTTP/1.1 304 Not Modified\r\n\r\n".into())).await;
    let error = server.get("/", &Validators::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::Status(304)), "{error}");
}

#[tokio::test]
async fn an_error_of_the_server_is_told_by_its_number() {
    let server = Server::start(|_| Does::Says("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".into())).await;
    let error = server.get("/", &Validators::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::Status(500)), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let server = Server::start(|_| Does::Hangs).await;
    let begun = Instant::now();
    let error = server.get("/", &Validators::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::Slow(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_endless_list_is_cut_off_and_a_large_one_is_not_begun() {
    let server = Server::start(|path| match path {
        "/endless" => Does::Pours("HTTP/1.1 200 OK\r\n\r\n"),
        _ => Does::Pours("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"),
    })
    .await;
    for path in ["/endless", "/large"] {
        let error = server.get(path, &Validators::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Large(MOST)), "{path}: {error}");
    }
}

#[tokio::test]
async fn a_list_as_large_as_may_be_is_taken() {
    let server = Server::start(|_| ok("", &"#".repeat(MOST))).await;
    let fetched = server.get("/", &Validators::default()).await.unwrap();
    assert!(matches!(fetched, Fetched::New(bytes, _) if bytes.len() == MOST));
}

#[tokio::test]
async fn a_redirect_is_followed_to_https_only_and_not_for_ever() {
    let server = Server::start(|path| match path {
        "/moved" => redirect("/list"),
        "/plain" => redirect("http://localhost/list"),
        "/round" => redirect("/round"),
        _ => ok("", "192.0.2.1"),
    })
    .await;
    assert!(matches!(server.get("/moved", &Validators::default()).await, Ok(Fetched::New(..))));
    for path in ["/plain", "/round"] {
        let error = server.get(path, &Validators::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect), "{path}: {error:?}");
    }
}

#[tokio::test]
async fn a_stranger_is_not_believed_and_no_key_is_told() {
    let server = Server::start(|_| ok("", "192.0.2.1")).await;
    let stranger = Server::start(|_| ok("", "192.0.2.1")).await;
    let address = format!("https://localhost:{}/x?key=topsecret", stranger.at.port());
    let error = server.fetcher.fetch(&Source::parse(&address).unwrap(), &Validators::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable(_)), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("topsecret"));
}

#[tokio::test]
async fn a_file_is_read_when_it_changed_and_a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, "192.0.2.1\n").unwrap();
    let fetcher = Fetcher::new(Patience { bytes: 16, ..Patience::default() }, None, GeoFiles::default());
    let source = Source::File(path.clone());
    let Fetched::New(_, marks) = fetcher.fetch(&source, &Validators::default()).await.unwrap() else {
        panic!("it cannot be known yet")
    };
    assert_eq!(fetcher.fetch(&source, &marks).await.unwrap(), Fetched::Unchanged);
    fs::write(&path, "192.0.2.1\n2001::1").unwrap();
    assert!(matches!(fetcher.fetch(&source, &marks).await, Err(FetchError::Large(16))));
    let source = Source::File(folder.path().to_owned());
    assert!(matches!(fetcher.fetch(&source, &marks).await, Err(FetchError::File(_))));
}
