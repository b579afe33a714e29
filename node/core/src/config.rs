//! Every threshold and limit, with its default and the reason for it. Values here are valid: raw configuration is
//! parsed into these types at one border, outside the core.

use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

use ipnet::IpNet;

use crate::order::Mode;

/// The configuration of the data plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SensorConfig {
    /// The rules' thresholds.
    pub rules: Rules,
    /// How much may be remembered.
    pub limits: SensorLimits,
    /// When models speak.
    pub models: ModelRules,
}

/// The rules' thresholds. All counts are over the last ten seconds unless the name says otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Looking for open ports or hosts.
    pub port_scan: PortScanRule,
    /// Guessing credentials.
    pub brute_force: BruteForceRule,
    /// Holding connections open.
    pub slow_dos: SlowDosRule,
    /// Floods of complete requests.
    pub http_flood: HttpFloodRule,
    /// Floods of packets from one source, and from many.
    pub net_flood: NetFloodRule,
}

/// `port_scan`: ports and hosts that were asked for and gave nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct PortScanRule {
    /// Different local TCP ports without an answer from a service. A monitoring probe asks five; a browser's
    /// retries stay on one.
    pub ports: u32,
    /// Different local UDP ports without an answer. A closed port of ours answers at most one in a second, so that a
    /// patient scanner asks no more than a few at a time.
    pub udp_ports: u32,
    /// Different local hosts asked on one port without an answer. Skype asks 57 peers, each on its own port.
    pub hosts: u32,
    /// Different unanswered local ports within an hour: `nmap -T1` asks one in 15 s.
    pub ports_per_hour: u32,
    /// Different IP protocols tried without an answer (`nmap -sO`).
    pub protocols: u32,
}

impl Default for PortScanRule {
    fn default() -> Self {
        Self { ports: 15, udp_ports: 15, hosts: 25, ports_per_hour: 25, protocols: 12 }
    }
}

/// `brute_force`: short, small connections to services that ask for a password.
#[derive(Clone, Debug, PartialEq)]
pub struct BruteForceRule {
    /// The authentication ports: FTP, SSH, telnet, SMTP submission, POP3, IMAP, SMB, databases, RDP, VNC.
    pub services: Vec<u16>,
    /// Failed logins within ten minutes (the memory decays with that half-life). Two typos are two.
    pub failures: u32,
    /// Passwords sent in the open to a web form. An office behind one address does not log in twice a second.
    pub passwords: u32,
    /// A connection that lasted longer is not counted as a failed login.
    pub max_duration: Duration,
    /// More bytes than this from the server after encryption began mean that somebody got in: a refusal is some
    /// seventy bytes, and OpenSSH greets who got in with all its host keys.
    pub max_bytes: u32,
}

impl Default for BruteForceRule {
    fn default() -> Self {
        Self {
            services: vec![21, 22, 23, 25, 110, 143, 445, 465, 587, 993, 995, 1433, 3306, 3389, 5432, 5900],
            failures: 8,
            passwords: 25,
            max_duration: Duration::from_secs(30),
            max_bytes: 800,
        }
    }
}

/// `slow_dos`: many connections kept open and starving.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowDosRule {
    /// Starving connections open at once. A browser has six to a host, a busy office's proxy a dozen slow ones.
    pub connections: u32,
    /// A connection is judged only after this long.
    pub min_age: Duration,
    /// Client bytes per second below which an unfinished request starves. A bad mobile link gives thousands.
    pub max_rate: u32,
}

impl Default for SlowDosRule {
    fn default() -> Self {
        Self { connections: 20, min_age: Duration::from_secs(5), max_rate: 100 }
    }
}

/// `http_flood`: complete requests, many connections at once.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpFloodRule {
    /// Requests. A client looping over `GET` alone reaches 720 in ten seconds.
    pub requests: u32,
    /// Connections open or begun at once, at least: one loop is no flood, however fast.
    pub connections: u32,
}

impl Default for HttpFloodRule {
    fn default() -> Self {
        Self { requests: 1500, connections: 32 }
    }
}

/// `net_flood`: packets that nobody asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NetFloodRule {
    /// SYNs of one source that completed no handshake.
    pub syn: u32,
    /// UDP datagrams of one source without an answer, where we said that a port is closed.
    pub udp: u32,
    /// UDP datagrams of one source without an answer, where we said nothing; half of it within one second.
    pub udp_silent: u32,
    /// ICMP echo requests of one source. `ping -f` of a person stays below for seconds, a monitor sends one a second.
    pub icmp: u32,
    /// TCP segments of one source that belong to no connection (ACK, RST, FIN floods).
    pub stray: u32,
    /// SYNs to one service without a handshake, over all sources, that make a distributed flood.
    pub service_syn: u32,
    /// Unasked datagrams to one service, over all sources, that make a distributed flood.
    pub service_udp: u32,
    /// Different sources that make a flood distributed.
    pub sources: u32,
}

impl Default for NetFloodRule {
    fn default() -> Self {
        Self {
            syn: 400,
            udp: 1000,
            udp_silent: 10_000,
            icmp: 500,
            stray: 1000,
            service_syn: 300,
            service_udp: 2000,
            sources: 100,
        }
    }
}

/// When the models' word about a window counts.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRules {
    /// Whether windows are judged at all.
    pub enabled: bool,
    /// An attack is named from this probability on, per cent.
    pub confidence: u8,
    /// So many looks on end must agree; there is one a second. A single odd second is nobody's attack.
    pub persistence: u8,
    /// Whether what has no name and is strange is reported.
    pub anomaly: bool,
    /// Strange sources reported within a minute, at most: a person reads them.
    pub anomalies_per_minute: u32,
}

impl Default for ModelRules {
    fn default() -> Self {
        Self { enabled: true, confidence: 90, persistence: 3, anomaly: true, anomalies_per_minute: 3 }
    }
}

/// How much the data plane may remember. Reaching a limit is counted and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorLimits {
    /// Remote addresses with a window, in each of two generations.
    pub sources: usize,
    /// Remote addresses that completed a handshake, in each of two generations: forged ones cannot evict them.
    pub proven: usize,
    /// Connections and conversations followed, in each of two generations.
    pub connections: usize,
    /// Local services with a destination window.
    pub services: usize,
    /// Verdicts that wait to be taken.
    pub verdicts: usize,
}

impl Default for SensorLimits {
    fn default() -> Self {
        Self { sources: 16_384, proven: 16_384, connections: 131_072, services: 1024, verdicts: 1024 }
    }
}

/// The configuration of the control plane.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyConfig {
    /// This node's name: the origin of its blocks.
    pub node: String,
    /// Who decides.
    pub mode: Mode,
    /// How long the first, second, third and every later hard block lasts.
    pub ladder: [Duration; 4],
    /// How long a soft block lasts; renewed while the offence goes on, never escalated.
    pub soft: Duration,
    /// For how long an offender's level is remembered after its last block.
    pub memory: Duration,
    /// Durations vary by up to this share, per cent, so that releases do not come all at once.
    pub jitter_percent: u8,
    /// The shortest IPv4 and IPv6 prefixes that may be blocked without `--force`.
    pub shortest_prefix: (u8, u8),
    /// How long a forced block of a protected target lasts unless confirmed.
    pub forced: Duration,
    /// For how long automatic blocks of a target are held back after an operator's `unblock`.
    pub holdback: Duration,
    /// The bound of the blast.
    pub blast: BlastLimits,
    /// Addresses of proxies and load balancers in front of us: never hard-blocked.
    pub proxies: Vec<IpNet>,
    /// The operator's allow list from the configuration file.
    pub allow: Vec<IpNet>,
    /// What is made of what the fleet says.
    pub fleet: FleetPolicy,
    /// How much may be remembered.
    pub limits: PolicyLimits,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        Self {
            node: String::new(),
            mode: Mode::Auto,
            ladder: [300, HOUR, 24 * HOUR, 7 * 24 * HOUR].map(Duration::from_secs),
            soft: Duration::from_secs(300),
            memory: Duration::from_secs(30 * 24 * HOUR),
            jitter_percent: 10,
            shortest_prefix: (16, 32),
            forced: Duration::from_secs(60),
            holdback: Duration::from_secs(600),
            blast: BlastLimits::default(),
            proxies: Vec::new(),
            allow: Vec::new(),
            fleet: FleetPolicy::default(),
            limits: PolicyLimits::default(),
        }
    }
}

/// How far automatic blocking may go before it falls back to reporting.
#[derive(Clone, Debug, PartialEq)]
pub struct BlastLimits {
    /// New automatic blocks a minute and class.
    pub blocks_per_minute: u32,
    /// New automatic blocks a minute of sources with connections open.
    pub established_per_minute: u32,
    /// A source that carries more of the last hour's established flows than this, per mille, is not hard-blocked.
    pub flow_share: u16,
}

impl Default for BlastLimits {
    fn default() -> Self {
        Self { blocks_per_minute: 600, established_per_minute: 60, flow_share: 200 }
    }
}

/// What is made of the blocks of other members.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetPolicy {
    /// An origin whose trust is below this, per cent, is shown and not enforced.
    pub trust: u8,
    /// New blocks of one origin that are enforced within a minute; what is more waits for its turn.
    pub blocks_per_minute: u32,
    /// Blocks older than a minute that are enforced of one origin within an hour besides: what a node finds when it
    /// joins, comes back, or a partition heals.
    pub backlog_per_hour: u32,
    /// So many origins must agree before a soft block, one of a prefix, or one longer than a day is enforced.
    pub quorum: u8,
}

impl Default for FleetPolicy {
    fn default() -> Self {
        Self { trust: 50, blocks_per_minute: 600, backlog_per_hour: 10_000, quorum: 1 }
    }
}

/// How much the control plane may remember. Reaching a limit is counted and shown.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLimits {
    /// Blocks of all origins.
    pub blocks: usize,
    /// Blocks that detection alone may make.
    pub automatic_blocks: usize,
    /// Blocks that threat feeds may make, all together.
    pub feed_blocks: usize,
    /// Decisions that wait for approval.
    pub pending: usize,
    /// Entries of the allow list.
    pub allowed: usize,
    /// Alerts kept.
    pub alerts: usize,
    /// Episodes and offenders remembered.
    pub offenders: usize,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            blocks: 1_100_000,
            automatic_blocks: 100_000,
            feed_blocks: 500_000,
            pending: 10_000,
            allowed: 10_000,
            alerts: 10_000,
            offenders: 100_000,
        }
    }
}
