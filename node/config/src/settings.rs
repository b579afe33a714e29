//! The settings of a node, valid by construction.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use smartfw_core::config::{PolicyConfig, SensorConfig};

/// Everything that can be configured on a node. [`NodeConfig::default`] protects a host.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    /// The data plane: rules and what they may remember.
    pub sensor: SensorConfig,
    /// The control plane: who decides, how long blocks last. `policy.node` is empty unless configured: then the
    /// daemon puts the host's name there.
    pub policy: PolicyConfig,
    /// The interfaces to watch; empty: those with a default route or a global address.
    pub interfaces: Vec<String>,
    /// Interfaces whose forwarded traffic is not judged: the inside of a router.
    pub trusted_interfaces: Vec<String>,
    /// What drops packets.
    pub enforcer: EnforcerKind,
    /// Whether the open connections of a hard-blocked target are destroyed.
    pub destroy_connections: bool,
    /// Where sshd's own word about logins comes from.
    pub logins: LoginSource,
    /// Public keys whose models are believed, beside the built-in model's, the node's own and those that were named
    /// at an import.
    pub trusted_keys: Vec<[u8; 32]>,
    /// Where the node keeps what it must not forget.
    pub state_dir: PathBuf,
    /// Where `traffic.log` and `alerts.log` go.
    pub log_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// The group whose members may use the control socket, beside root; it need not exist.
    pub socket_group: String,
    /// Where members of the cluster connect, by TCP and UDP, once the node is in one; `None`: it takes no part.
    pub listen: Option<SocketAddr>,
    /// Where metrics are served; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// What the node learns.
    pub learning: LearningSettings,
    /// The threat feeds that it follows.
    pub feeds: Vec<FeedConfig>,
    /// The other detectors that it hears.
    pub external: ExternalSettings,
    /// The file of countries, in MaxMind's format.
    pub geoip_country: Option<PathBuf>,
    /// The file of autonomous systems.
    pub geoip_asn: Option<PathBuf>,
    /// The mirror in a database that clusters share.
    pub mirror: MirrorSettings,
    /// The log files.
    pub logs: LogSettings,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            sensor: SensorConfig::default(),
            policy: PolicyConfig::default(),
            interfaces: Vec::new(),
            trusted_interfaces: Vec::new(),
            enforcer: EnforcerKind::Iptables,
            destroy_connections: true,
            logins: LoginSource::Auto,
            trusted_keys: Vec::new(),
            state_dir: "/var/lib/smartfw".into(),
            log_dir: "/var/log/smartfw".into(),
            socket: "/run/smartfw/node.sock".into(),
            socket_group: "smartfw".to_owned(),
            listen: Some(SocketAddr::from(([0, 0, 0, 0], 7470))),
            metrics: Some(SocketAddr::from(([127, 0, 0, 1], 9470))),
            learning: LearningSettings::default(),
            feeds: Vec::new(),
            external: ExternalSettings::default(),
            geoip_country: None,
            geoip_asn: None,
            mirror: MirrorSettings::default(),
            logs: LogSettings::default(),
        }
    }
}

/// What drops packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnforcerKind {
    /// ipset sets under iptables, either back end.
    Iptables,
    /// nftables sets.
    Nftables,
    /// XDP.
    Xdp,
    /// Nothing: decisions are made and shown, the kernel is left alone.
    DryRun,
}

impl EnforcerKind {
    /// The name, as in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
            Self::Xdp => "xdp",
            Self::DryRun => "dry-run",
        }
    }
}

/// Where sshd's own word about failed and accepted logins comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginSource {
    /// The journal if there is one, else `/var/log/auth.log` if there is one, else nowhere.
    Auto,
    /// The systemd journal.
    Journal,
    /// A file in the form of `auth.log`.
    File(PathBuf),
    /// Nowhere: packets alone.
    Off,
}

/// What the node learns of what is usual here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearningSettings {
    /// Whether it learns.
    pub enabled: bool,
    /// How long a candidate judges without a say, and is watched afterwards.
    pub shadow: Duration,
}

impl Default for LearningSettings {
    fn default() -> Self {
        Self { enabled: true, shadow: Duration::from_secs(86_400) }
    }
}

/// A threat feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// What it goes by.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// How it is written.
    pub format: String,
    /// How often it is fetched.
    pub every: Duration,
    /// An update that changes more of it than this, per cent, waits for a person.
    pub max_change: u8,
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            url: String::new(),
            format: "plain".to_owned(),
            every: Duration::from_secs(3600),
            max_change: 50,
        }
    }
}

/// Other detectors, whose files are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalSettings {
    /// Suricata's `eve.json`.
    pub suricata: Vec<PathBuf>,
    /// Files of alerts as `events.jsonl` has them.
    pub events: Vec<PathBuf>,
    /// So many alerts a minute are heard of each file.
    pub per_minute: u32,
}

impl Default for ExternalSettings {
    fn default() -> Self {
        Self { suricata: Vec::new(), events: Vec::new(), per_minute: 600 }
    }
}

/// The mirror in a database that clusters share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSettings {
    /// The database's address; empty: there is no mirror.
    pub url: String,
    /// The key file of a service account.
    pub account: Option<PathBuf>,
    /// The file of the database's secret.
    pub secret: Option<PathBuf>,
    /// Whose signed words are sent.
    pub runs: MirroredRuns,
    /// When this node's own events and blocks are sent.
    pub events: MirroredEvents,
    /// The name under which a node in no cluster sends its events and blocks; empty: it sends nothing.
    pub cluster: String,
    /// The clusters that are listened to.
    pub follow: Vec<String>,
    /// Items that may wait for the database.
    pub outbox_items: u64,
    /// Their bytes.
    pub outbox_bytes: u64,
}

impl Default for MirrorSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            account: None,
            secret: None,
            runs: MirroredRuns::default(),
            events: MirroredEvents::default(),
            cluster: String::new(),
            follow: Vec::new(),
            outbox_items: 86_400,
            outbox_bytes: 256 << 20,
        }
    }
}

/// Whose signed words a node sends to the mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MirroredRuns {
    /// Those of its whole cluster.
    #[default]
    All,
    /// Its own.
    Own,
    /// Nobody's.
    None,
}

/// When a node sends its own events and blocks to the mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MirroredEvents {
    /// As long as no coordinator was connected.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    None,
}

/// How the program's own messages look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// The log files.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// How the program's own messages look.
    pub format: LogFormat,
    /// A log file of more bytes is compressed and begun anew.
    pub max_size: u64,
    /// So many compressed files are kept of each log.
    pub keep: u32,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Human, max_size: 64 << 20, keep: 5 }
    }
}
