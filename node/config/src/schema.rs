//! Every key, once: its section, its meaning, what it accepts, where its value goes.

mod inward;
mod learning;
mod mirror;
mod models;
mod rules;

use smartfw_core::{
    config::{PolicyConfig, PolicyLimits, Rules, SensorLimits},
    order::Mode,
};

use crate::{
    EnforcerKind, LogFormat, NodeConfig,
    kinds::{
        Choice, File, Kind, Ladder, List, Listen, Logins, Net, Number, PublicKey, Size, Span, Switch, Word,
    },
};

/// Who walks the schema: the reader puts values in, the writer takes them out.
pub(crate) trait Visitor {
    /// The keys that follow belong to this section.
    fn section(&mut self, name: &'static str, about: &'static str);
    /// A key.
    fn item<K: Kind>(&mut self, key: &'static str, about: &'static str, kind: K, value: &mut K::Value);
    /// A list of at most `most` tables `[[name]]`, each with the keys that `walk` shows.
    fn rows<T: Default>(
        &mut self,
        name: &'static str,
        about: &'static str,
        most: usize,
        rows: &mut Vec<T>,
        walk: impl Fn(&mut Self, &mut T),
    );
}

/// Shows a visitor every key, in the order of the example.
pub(crate) fn walk(v: &mut impl Visitor, config: &mut NodeConfig) {
    general(v, config);
    enforcement(v, config);
    blast(v, &mut config.policy);
    fleet(v, &mut config.policy);
    detection(v, config);
    let Rules { port_scan, brute_force, slow_dos, http_flood, net_flood } = &mut config.sensor.rules;
    rules::port_scan(v, port_scan);
    rules::brute_force(v, brute_force);
    rules::slow_dos(v, slow_dos);
    rules::http_flood(v, http_flood);
    rules::net_flood(v, net_flood);
    models::models(v, &mut config.sensor.models);
    signers(v, config);
    limits(v, &mut config.sensor.limits, &mut config.policy.limits);
    learning::learning(v, &mut config.learning);
    inward::feeds(v, config);
    inward::external(v, &mut config.external);
    inward::geoip(v, config);
    mirror::mirror(v, &mut config.mirror);
    logs(v, config);
}

/// The most interfaces that can be named.
const INTERFACES: usize = 64;
/// The most prefixes that can be listed: longer lists belong into `smartfw-cli allow`.
const NETS: usize = 10_000;
/// A year in seconds: blocks that shall last longer last for ever.
const YEAR: u64 = 365 * 86_400;

/// A name as the kernel accepts it for an interface.
const INTERFACE: Word = Word {
    expected: "the name of an interface (1 to 15 characters, without blanks or slashes)",
    longest: 15,
    empty: false,
    accepts: |c| c.is_ascii_graphic() && c != '/',
};

/// A name that can stand in logs, kernel comments and certificates.
const NAME: Word = Word {
    expected: "a name of at most 64 letters, digits, dots, dashes or underscores",
    longest: 64,
    empty: true,
    accepts: |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'),
};

fn general(v: &mut impl Visitor, config: &mut NodeConfig) {
    v.item(
        "name",
        "This node's name, as others see it. Empty: the host's name.",
        NAME,
        &mut config.policy.node,
    );
    v.item(
        "interfaces",
        "The interfaces to watch. Empty: those of the default routes and all with a global address; if there are none, all that are up but loopback.",
        List(INTERFACE, INTERFACES),
        &mut config.interfaces,
    );
    v.item(
        "trusted_interfaces",
        "Interfaces whose forwarded traffic is not judged: the inside of a router.",
        List(INTERFACE, INTERFACES),
        &mut config.trusted_interfaces,
    );
    v.item("state_dir", "Where the node keeps what it must not forget.", File, &mut config.state_dir);
    v.item("log_dir", "Where traffic.log and alerts.log go.", File, &mut config.log_dir);
    v.item("socket", "The control socket that smartfw-cli talks to.", File, &mut config.socket);
    v.item(
        "socket_group",
        "The group whose members may use the control socket, beside root. It need not exist.",
        NAME,
        &mut config.socket_group,
    );
    v.item(
        "listen",
        "Where members of the cluster connect (TCP and UDP), once this node is in one. off: it takes no part.",
        Listen,
        &mut config.listen,
    );
    v.item(
        "metrics",
        "Where metrics are served to Prometheus, over plain HTTP: keep it on loopback.",
        Listen,
        &mut config.metrics,
    );
}

const ENFORCERS: Choice<EnforcerKind> = Choice(&[
    ("iptables", EnforcerKind::Iptables),
    ("nftables", EnforcerKind::Nftables),
    ("xdp", EnforcerKind::Xdp),
    ("dry-run", EnforcerKind::DryRun),
]);
const MODES: Choice<Mode> = Choice(&[("auto", Mode::Auto), ("manual", Mode::Manual)]);

fn enforcement(v: &mut impl Visitor, config: &mut NodeConfig) {
    let PolicyConfig { mode, ladder, soft, memory, jitter_percent, .. } = &mut config.policy;
    v.section("enforcement", "What is done about an attack.");
    v.item(
        "enforcer",
        "What drops packets. dry-run decides and shows, and leaves the kernel alone.",
        ENFORCERS,
        &mut config.enforcer,
    );
    v.item("mode", "auto: the node acts. manual: a person approves each block.", MODES, mode);
    v.item(
        "ladder",
        "How long the first, second, third and every later block of one source lasts.",
        Ladder(Span(1..=YEAR)),
        ladder,
    );
    v.item(
        "soft",
        "How long a soft block lasts: one that rests on packets anybody could have forged. Renewed while the attack goes on, never escalated.",
        Span(1..=300),
        soft,
    );
    v.item("memory", "For how long an offender's level is remembered.", Span(1..=YEAR), memory);
    v.item(
        "jitter_percent",
        "Durations vary by up to this many per cent, so that releases do not come all at once.",
        Number(0..=50),
        jitter_percent,
    );
    guards(v, config);
}

fn guards(v: &mut impl Visitor, config: &mut NodeConfig) {
    let PolicyConfig { shortest_prefix, forced, holdback, proxies, allow, .. } = &mut config.policy;
    v.item(
        "shortest_prefix_v4",
        "The widest IPv4 prefix that may be blocked without --force, by its length.",
        Number(1..=32),
        &mut shortest_prefix.0,
    );
    v.item("shortest_prefix_v6", "The same for IPv6.", Number(1..=128), &mut shortest_prefix.1);
    v.item(
        "forced",
        "How long a forced block of a protected address lasts unless confirmed.",
        Span(5..=3600),
        forced,
    );
    v.item(
        "holdback",
        "For how long automatic blocks of an address are held back after a person's unblock.",
        Span(0..=86_400),
        holdback,
    );
    v.item(
        "proxies",
        "Proxies and load balancers in front of this host: never hard-blocked.",
        List(Net, NETS),
        proxies,
    );
    v.item("allow", "Who is never blocked, whatever they do.", List(Net, NETS), allow);
    v.item(
        "destroy_connections",
        "Whether the open connections of a hard-blocked address are cut at once.",
        Switch,
        &mut config.destroy_connections,
    );
}

fn blast(v: &mut impl Visitor, policy: &mut PolicyConfig) {
    let blast = &mut policy.blast;
    v.section("enforcement.blast", "How far automatic blocking may go before it only reports, loudly.");
    v.item(
        "blocks_per_minute",
        "New automatic blocks a minute and class.",
        Number(1..=1_000_000),
        &mut blast.blocks_per_minute,
    );
    v.item(
        "established_per_minute",
        "New automatic blocks a minute of sources with connections open.",
        Number(1..=1_000_000),
        &mut blast.established_per_minute,
    );
    v.item(
        "flow_share",
        "A source with more of the last hour's established flows than this, per mille, is never hard-blocked.",
        Number(1..=1000),
        &mut blast.flow_share,
    );
}

fn fleet(v: &mut impl Visitor, policy: &mut PolicyConfig) {
    let fleet = &mut policy.fleet;
    v.section("enforcement.fleet", "What is made of the blocks of other members of the cluster.");
    v.item(
        "trust",
        "A member that is believed less than this, per cent, is shown and not followed.",
        Number(1..=100),
        &mut fleet.trust,
    );
    v.item(
        "blocks_per_minute",
        "New blocks of one member that are followed within a minute; what is more waits for its turn.",
        Number(1..=1_000_000),
        &mut fleet.blocks_per_minute,
    );
    v.item(
        "backlog_per_hour",
        "Blocks older than a minute that are followed of one member within an hour besides: after joining, or a partition.",
        Number(0..=1_000_000),
        &mut fleet.backlog_per_hour,
    );
    v.item(
        "quorum",
        "So many members must agree before a soft block, one of a prefix, or one longer than a day is followed.",
        Number(1..=100),
        &mut fleet.quorum,
    );
}

fn detection(v: &mut impl Visitor, config: &mut NodeConfig) {
    v.section("detection", "How an attack is recognised.");
    v.item(
        "logins",
        "Where sshd's own word about failed and accepted logins comes from. auto: the journal, else /var/log/auth.log, else nowhere.",
        Logins,
        &mut config.logins,
    );
}

/// The most public keys that can be listed: a fleet has one or two.
const KEYS: usize = 64;

fn signers(v: &mut impl Visitor, config: &mut NodeConfig) {
    v.section("models", "Whose models are believed.");
    v.item(
        "trusted_keys",
        "Public keys whose models may judge, beside the built-in model's, this node's own and those named by `smartfw-cli model import --trust`.",
        List(PublicKey, KEYS),
        &mut config.trusted_keys,
    );
}

/// The most entries of a table: a million sources are hundreds of megabytes.
const TABLE: usize = 4_000_000;

fn limits(v: &mut impl Visitor, sensor: &mut SensorLimits, policy: &mut PolicyLimits) {
    let SensorLimits { sources, proven, connections, services, verdicts } = sensor;
    v.section(
        "limits",
        "How much may be remembered. Reaching a limit is counted and shown; memory grows with them.",
    );
    v.item(
        "sources",
        "Remote addresses with a window, in each of two generations.",
        Number(64..=TABLE),
        sources,
    );
    v.item(
        "proven",
        "Remote addresses that completed a handshake, in each of two generations.",
        Number(64..=TABLE),
        proven,
    );
    v.item(
        "connections",
        "Connections followed, in each of two generations.",
        Number(64..=TABLE),
        connections,
    );
    v.item("services", "Local services with a window of their own.", Number(16..=65_536), services);
    v.item("verdicts", "Verdicts that wait to be decided upon.", Number(16..=65_536), verdicts);

    let PolicyLimits { blocks, automatic_blocks, feed_blocks, pending, allowed, alerts, offenders } = policy;
    v.item("blocks", "Blocks, whoever made them.", Number(16..=TABLE), blocks);
    v.item("automatic_blocks", "Blocks that detection alone may make.", Number(16..=TABLE), automatic_blocks);
    v.item(
        "feed_blocks",
        "Blocks that threat feeds may make, all together.",
        Number(16..=TABLE),
        feed_blocks,
    );
    v.item("pending", "Decisions that wait for approval.", Number(16..=TABLE), pending);
    v.item("allowed", "Entries of the allow list.", Number(16..=TABLE), allowed);
    v.item("alerts", "Alerts kept for questions.", Number(16..=TABLE), alerts);
    v.item("offenders", "Offenders remembered.", Number(16..=TABLE), offenders);
}

const FORMATS: Choice<LogFormat> = Choice(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);

fn logs(v: &mut impl Visitor, config: &mut NodeConfig) {
    v.section("logs", "The log files.");
    v.item("format", "How the program's own messages on stderr look.", FORMATS, &mut config.logs.format);
    v.item(
        "max_size",
        "A log file that grows beyond this is compressed and begun anew.",
        Size(64 << 10..=16 << 30),
        &mut config.logs.max_size,
    );
    v.item("keep", "So many compressed files are kept of each log.", Number(0..=1000), &mut config.logs.keep);
}
