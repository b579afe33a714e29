//! Records over TCP or TLS (RFC 6587, RFC 5425).
//!
//! Neither has an answer: what the other side had not read when a connection broke is lost unless it was still in our
//! hands. A connection that the other side has closed is noticed before the next record is written.

use std::{fmt, io, sync::Arc, time::Duration};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::Patience;
use crate::{
    settings::{HostPort, SetupError},
    trouble::Trouble,
};

/// So much is written at once; a record that is larger alone.
const BATCH: usize = 64 << 10;

/// How a receiver tells records apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// `LENGTH SP RECORD`: octet counting (RFC 6587, section 3.4.1; RFC 5425, section 4.3).
    Counted,
    /// A record a line; none of ours has a line feed.
    Lines,
}

/// Whom TLS believes, and who must answer.
#[derive(Clone)]
pub(super) struct Security {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Security {
    pub(super) fn new(config: ClientConfig, name: &str) -> Result<Self, SetupError> {
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| SetupError::ServerName(name.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

pub(super) struct Link {
    to: HostPort,
    security: Option<Security>,
    framing: Framing,
    patience: Patience,
    open: Option<Box<dyn Duplex>>,
}

impl Link {
    pub(super) fn new(
        to: HostPort,
        security: Option<Security>,
        framing: Framing,
        patience: Patience,
    ) -> Self {
        Self { to, security, framing, patience, open: None }
    }

    pub(super) async fn send(&mut self, records: &[Vec<u8>], done: &mut usize) -> Result<(), Trouble> {
        while *done < records.len() {
            let (bytes, count) = self.framing.batch(&records[*done..]);
            let mut stream = match self.open.take() {
                Some(stream) => stream,
                None => self.connect().await?,
            };
            still_open(&mut stream).await?;
            within(self.patience.write, write(&mut stream, &bytes)).await?;
            self.open = Some(stream);
            *done += count;
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    async fn connect(&self) -> Result<Box<dyn Duplex>, Trouble> {
        within(self.patience.connect, async {
            let address = (self.to.host.as_str(), self.to.port);
            let stream = TcpStream::connect(address).await.map_err(|error| Trouble::unreachable(&error))?;
            let Some(Security { connector, name }) = &self.security else {
                return Ok(Box::new(stream) as Box<dyn Duplex>);
            };
            let secured = connector.connect(name.clone(), stream).await;
            Ok(Box::new(secured.map_err(|error| Trouble::tls(&error))?) as Box<dyn Duplex>)
        })
        .await
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, security, framing, patience: _, open } = self;
        f.debug_struct("Link")
            .field("to", to)
            .field("security", security)
            .field("framing", framing)
            .field("open", &open.is_some())
            .finish()
    }
}

impl Framing {
    /// As many of the records as fit into one write, and how many these are; one at least.
    fn batch(self, records: &[Vec<u8>]) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        let mut count = 0;
        for record in records {
            if count > 0 && bytes.len() + record.len() > BATCH {
                break;
            }
            match self {
                Self::Counted => {
                    bytes.extend_from_slice(record.len().to_string().as_bytes());
                    bytes.push(b' ');
                    bytes.extend_from_slice(record);
                }
                Self::Lines => {
                    bytes.extend_from_slice(record);
                    bytes.push(b'\n');
                }
            }
            count += 1;
        }
        (bytes, count)
    }
}

/// Reads what there is without waiting: receivers say nothing, but the end of the connection.
async fn still_open(stream: &mut Box<dyn Duplex>) -> Result<(), Trouble> {
    let mut said = [0; 1024];
    tokio::select! {
        biased;
        read = stream.read(&mut said) => match read {
            Ok(0) => Err(Trouble::Broken("the receiver closed it".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(Trouble::broken(&error)),
        },
        () = std::future::ready(()) => Ok(()),
    }
}

async fn write(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> Result<(), Trouble> {
    let written = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    written.await.map_err(|error: io::Error| Trouble::broken(&error))
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    timeout(limit, work).await.unwrap_or(Err(Trouble::Silent(limit)))
}
