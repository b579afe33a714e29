//! A client of the live view.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{Arc, mpsc::Sender},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt as _;
use rustls::{ClientConfig, RootCertStore, crypto::ring::default_provider};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// How long the alerts may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the live view is, and who asks.
pub(crate) struct Live<'a> {
    pub(crate) at: SocketAddr,
    pub(crate) certificate: &'a Path,
    pub(crate) token: &'a str,
}

impl Live<'_> {
    /// How old so many alerts were when they came, each counted once: from the verdict's time to the message here. It says
    /// when it listens.
    pub(crate) fn ages_of_alerts(&self, count: usize, listens: &Sender<()>) -> Vec<Duration> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { timeout(PATIENCE, self.listen(count, listens)).await.unwrap() })
    }

    async fn listen(&self, count: usize, listens: &Sender<()>) -> Vec<Duration> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.at).await.unwrap();
        let tls = TlsConnector::from(Arc::new(config))
            .connect("localhost".try_into().unwrap(), stream)
            .await
            .unwrap();
        let mut request = "wss://localhost/api/v1/live?kind=alert".into_client_request().unwrap();
        let bearer = format!("Bearer {}", self.token).parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        let (mut socket, _) = client_async(request, tls).await.unwrap();
        listens.send(()).unwrap();
        let (mut seen, mut ages) = (BTreeSet::new(), Vec::new());
        while ages.len() < count {
            let Message::Text(text) = socket.next().await.unwrap().unwrap() else { continue };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let alert: Value = serde_json::from_str(&text).unwrap();
            if seen.insert(alert["id"].to_string()) {
                let at = smartfw_proto::json::parse_rfc3339(alert["time"].as_str().unwrap()).unwrap();
                ages.push(now.saturating_sub(Duration::from_nanos(at.as_nanos())));
            }
        }
        ages
    }
}
