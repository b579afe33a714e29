//! How records get out: a bounded queue, a worker, and a link that it opens again whenever it breaks.

mod file;
mod stream;
mod udp;
mod worker;

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    backoff::Waits,
    format::Format,
    settings::{Export, Place, SetupError},
    tls,
    trouble::Trouble,
};

pub use worker::Exporter;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a name, a connection and TLS together.
    pub(crate) connect: Duration,
    /// For the other side to take what is written.
    pub(crate) write: Duration,
    /// Between attempts.
    pub(crate) waits: Waits,
}

impl Patience {
    /// An outage costs a minute at most beyond its end.
    pub(crate) const USUAL: Self = Self {
        connect: Duration::from_secs(10),
        write: Duration::from_secs(10),
        waits: Waits { first: Duration::from_secs(1), longest: Duration::from_secs(60) },
    };
}

/// RFC 5424, section 6.1: receivers should take 2,048 bytes; more may be cut by them in the middle.
const DATAGRAM: usize = 2048;

/// A record on a stream or in a file: many times what a reason needs, and what collectors take by default.
const RECORD: usize = 64 << 10;

/// A way out, closed or open.
#[derive(Debug)]
enum Link {
    Udp(udp::Link),
    Stream(stream::Link),
    File(file::Link),
}

impl Link {
    fn new(settings: &Export, patience: Patience) -> Result<Self, SetupError> {
        let Export { to, ca_file, server_name, format, max_size, keep, .. } = settings;
        if !matches!(to, Place::Tls(_)) && (ca_file.is_some() || server_name.is_some()) {
            return Err(SetupError::NoTls);
        }
        Ok(match to {
            Place::Udp(to) => Self::Udp(udp::Link::new(to.clone())),
            Place::Tcp(to) => Self::Stream(stream::Link::new(to.clone(), None, framing(*format), patience)),
            Place::Tls(to) => {
                let name = server_name.as_deref().unwrap_or(&to.host);
                let security = stream::Security::new(tls::client(ca_file.as_deref())?, name)?;
                Self::Stream(stream::Link::new(to.clone(), Some(security), framing(*format), patience))
            }
            Place::File(path) => Self::File(file::Link::new(path.clone(), max_size.get(), keep.get() as u32)),
        })
    }

    /// The most bytes of a record.
    const fn most(&self) -> usize {
        match self {
            Self::Udp(_) => DATAGRAM,
            Self::Stream(_) | Self::File(_) => RECORD,
        }
    }

    /// Sends records, and counts in `done` those that went out also when a later one did not.
    async fn send(
        &mut self,
        records: &[Vec<u8>],
        done: &mut usize,
        patience: Patience,
    ) -> Result<(), Trouble> {
        let whole = patience.connect + patience.write;
        let silent = |_| Err(Trouble::Silent(whole));
        match self {
            Self::Udp(link) => timeout(whole, link.send(records, done)).await.unwrap_or_else(silent),
            Self::File(link) => timeout(whole, link.send(records, done)).await.unwrap_or_else(silent),
            // It has a limit for each step; all of them may take long and go well.
            Self::Stream(link) => link.send(records, done).await,
        }
    }

    fn close(&mut self) {
        match self {
            Self::Udp(link) => link.close(),
            Self::Stream(link) => link.close(),
            Self::File(_) => {}
        }
    }
}

const fn framing(format: Format) -> stream::Framing {
    if format.is_syslog() { stream::Framing::Counted } else { stream::Framing::Lines }
}

#[cfg(test)]
mod tests;
