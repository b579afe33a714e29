//! The configuration: file, drop-ins, environment, flags, in rising precedence, become settings that cannot be wrong.

mod keys;
mod layers;
mod nearest;

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use smartfw_config::{ConfigError, LogFormat};
use smartfw_mirror::Limits;

pub use keys::example;
pub use layers::Sources;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the coordinator keeps what it must not forget.
    pub state_dir: PathBuf,
    /// Where log files go.
    pub log_dir: PathBuf,
    /// Where nodes connect.
    pub listen: SocketAddr,
    /// Where the REST API is served; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// The certificate shown there, and its key; `None`: one of our own.
    pub web: WebFiles,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where events are kept.
    pub history: Place,
    /// How long, and how much of them.
    pub retention: Retention,
    /// The file that says what leaves to the outside world; `None`: nothing does.
    pub outward: Option<PathBuf>,
    /// Where events are mirrored.
    pub mirror: Mirror,
    /// How the program's own messages look.
    pub log_format: LogFormat,
}

/// Where events are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// On the coordinator's own disk.
    Embedded,
    /// In the Redis at this address, which may hold a password.
    Redis(String),
}

/// Never the address: it may hold a password.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "sled",
            Self::Redis(_) => "redis",
        })
    }
}

/// Files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebFiles {
    /// The certificate, and those that vouch for it.
    pub certificate: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
}

/// A database that mirrors what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// Where it is; `None`: there is none.
    pub url: Option<String>,
    /// The file of the service account that may write to it.
    pub account: Option<PathBuf>,
    /// The file of its secret, where there is no account.
    pub secret: Option<PathBuf>,
    /// How much may wait for it.
    pub outbox: Limits,
}

/// What of the history is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// What is older.
    pub age: Duration,
    /// The oldest beyond so many bytes.
    pub bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        let loopback = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        Self {
            state_dir: "/var/lib/smartfw".into(),
            log_dir: "/var/log/smartfw".into(),
            listen: SocketAddr::from(([0, 0, 0, 0], 7471)),
            http: loopback(7480),
            web: WebFiles::default(),
            metrics: loopback(9471),
            history: Place::Embedded,
            retention: Retention { age: Duration::from_secs(90 * 86_400), bytes: 10 << 30 },
            outward: None,
            mirror: Mirror::default(),
            log_format: LogFormat::Human,
        }
    }
}

impl Settings {
    /// The coordinator's own folder: a node on the same host has the rest of the state folder.
    pub fn folder(&self) -> PathBuf {
        self.state_dir.join("coordinator")
    }

    /// Reads the configuration from everywhere it may come from.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        keys::read(&sources.gather()?)
    }

    /// The keys whose values differ in `other`: those that can be applied while running, and those that need a restart.
    pub fn changes(&self, other: &Self) -> (Vec<String>, Vec<String>) {
        keys::changes(self, other)
    }
}

#[cfg(test)]
mod tests;
