//! What may be typed.

mod cluster;
mod feeds;
mod models;
mod target;

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use smartfw_config::{NodeConfig, Sources};
use smartfw_core::{BlockId, Class, IpNet, order::Mode};

use crate::duration::{Span, parse, parse_span};

pub(crate) use cluster::{Canary, Cluster, Init, Join, Revoke, Token, Trust};
pub(crate) use feeds::{AddFeed, Feed};
pub(crate) use models::{By, Columns, Evaluate, Model, Train, Trainer};
pub(crate) use target::Target;

/// SmartFW: watch this host's traffic, recognise attacks, drop them in the kernel.
#[derive(Debug, Parser)]
#[command(name = "smartfw-cli", version, propagate_version = true, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the daemon cannot be reached."
)]
pub(crate) struct Args {
    /// What applies to every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Global {
    /// How to answer: for people, as JSON, or as tab-separated fields without headings
    #[arg(
        short = 'o',
        long = "output",
        global = true,
        value_enum,
        default_value = "human",
        value_name = "FORM"
    )]
    pub(crate) format: Format,
    /// The daemon's control socket [default: as configured, else /run/smartfw/node.sock]
    #[arg(
        long,
        global = true,
        default_value_os_t = configured().socket.clone(),
        hide_default_value = true,
        env = "SMARTFW_SOCKET",
        value_name = "PATH"
    )]
    pub(crate) socket: PathBuf,
    /// Where the daemon keeps its state; used when it is dead [default: as configured, else /var/lib/smartfw]
    #[arg(
        long,
        global = true,
        default_value_os_t = configured().state_dir.clone(),
        hide_default_value = true,
        env = "SMARTFW_STATE_DIR",
        value_name = "DIR"
    )]
    pub(crate) state_dir: PathBuf,
    /// Where the passphrase of the operator's key (or of the root) is written [or SMARTFW_PASSPHRASE, or it is asked]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Where the passphrase of the cluster's root is written, if it is another [or SMARTFW_ROOT_PASSPHRASE]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) root_passphrase_file: Option<PathBuf>,
    /// Colours
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub(crate) color: When,
}

/// Where the daemon of this host is, as far as its configuration can be read: a mistake in it may be why it is dead.
fn configured() -> &'static NodeConfig {
    static CONFIG: OnceLock<NodeConfig> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let sources = Sources { environment: smartfw_config::environment(), ..Sources::default() };
        smartfw_config::load_what_is_right(&sources)
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// How the node is: enforcement, traffic, blocks, health
    Status,
    /// Drop a target
    Block(Block),
    /// Stop dropping a target
    Unblock(Unblock),
    /// What is blocked: from whom, why, until when
    Blocks(Blocks),
    /// What was detected
    Alerts(Alerts),
    /// Everything known of an address: why it is dropped, or why it is not
    Explain {
        /// An IPv4 or IPv6 address
        #[arg(value_name = "ADDR")]
        address: String,
    },
    /// The decisions that wait for approval (manual mode)
    Pending,
    /// Carry out a decision that waits
    Approve(Approve),
    /// Drop a decision that waits
    Reject {
        /// As `pending` shows it
        #[arg(value_parser = block_id)]
        id: BlockId,
    },
    /// The allow list: who is never dropped
    #[command(subcommand)]
    Allow(Allow),
    /// The cluster: make, open, enter, leave it; its members and its blocks
    #[command(subcommand)]
    Cluster(Cluster),
    /// Whose blocks are believed
    #[command(subcommand)]
    Trust(Trust),
    /// The mirror in a database that clusters share: how it is, whom it follows, and what it heard and does not follow
    Mirror,
    /// Threat feeds: lists of addresses that are fetched now and then, and blocked on this node
    #[command(subcommand)]
    Feed(Feed),
    /// The models that judge traffic beside the rules
    #[command(subcommand)]
    Model(Model),
    /// Train a model on window tables, and judge how it is made; needs no daemon
    Train(Train),
    /// Judge a model, or how models are made, on window tables; needs no daemon
    Evaluate(Evaluate),
    /// Block many targets: JSON, JSON lines, CSV, or one address a line
    Import(Import),
    /// Print the blocks, so that `import` takes them
    Export,
    /// Enforce what is blocked
    Enable {
        /// Roll back after this long unless `confirm` is typed
        #[arg(long, value_parser = parse, value_name = "DURATION")]
        confirm: Option<Duration>,
        /// End a panic on every node of the cluster; needs an operator's key
        #[arg(long, conflicts_with = "confirm")]
        cluster: bool,
    },
    /// Stop enforcing: removes every rule and set of SmartFW and nothing else; works without the daemon
    Disable,
    /// Decide alone (auto), or ask first (manual)
    Mode {
        /// auto or manual
        #[arg(value_name = "auto|manual")]
        mode: Mode,
        /// Roll back after this long unless `confirm` is typed
        #[arg(long, value_parser = parse, value_name = "DURATION")]
        confirm: Option<Duration>,
    },
    /// Keep what would roll back: a change of enforcement or mode, a forced block
    Confirm,
    /// Stop enforcing at once and resume by itself; works without the daemon
    Panic {
        /// Resume after this long
        #[arg(long = "for", value_parser = parse, default_value = "15m", value_name = "DURATION")]
        duration: Duration,
        /// On every node of the cluster, for at most 24 h; needs an operator's key
        #[arg(long)]
        cluster: bool,
    },
    /// Read the configuration again
    Reload,
    /// The live view; q quits
    Top,
    /// Is this host able to detect and drop?
    Doctor,
    /// Prove in a scratch network namespace that detection and drop work
    Selftest,
    /// For those who help
    #[command(subcommand)]
    Support(Support),
    /// Run captures through the same detection in virtual time: no daemon, no root
    Replay(Replay),
    /// Completions for a shell
    Completion {
        /// Which one
        shell: clap_complete::Shell,
    },
    /// The manual, as roff: `smartfw-cli man | man -l -`
    Man {
        /// Write one page a command into this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Load what was enforced before a reboot; used by smartfw-restore.service
    #[command(hide = true)]
    Restore,
    /// End a panic; used by its timer
    #[command(hide = true)]
    Resume {
        /// When it is over, in seconds since 1970
        #[arg(long, value_name = "SECONDS")]
        until: u64,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Block {
    /// An IPv4 or IPv6 address or CIDR
    #[arg(value_name = "TARGET")]
    pub(crate) target: Target,
    /// For how long: 90s, 10m, 4h, 7d or forever
    #[arg(long = "for", value_parser = parse_span, default_value = "4h", value_name = "DURATION")]
    pub(crate) span: Span,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    /// Also when it is wide or protected; a protected target is unblocked after 60 s unless confirmed
    #[arg(long)]
    pub(crate) force: bool,
    /// On this node only
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Unblock {
    /// An IPv4 or IPv6 address or CIDR: every block within it ends
    #[arg(value_name = "TARGET")]
    pub(crate) target: Target,
    /// `false-positive`: it was a mistake, and a lesson
    #[arg(long, value_enum)]
    pub(crate) reason: Option<UnblockReason>,
    /// On this node only
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UnblockReason {
    FalsePositive,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Blocks {
    /// Also blocks that do not decide: of other origins, suspended, switched off
    #[arg(long)]
    pub(crate) all: bool,
    /// Only this origin's
    #[arg(long, value_name = "NODE")]
    pub(crate) origin: Option<String>,
    /// Only of this class
    #[arg(long, value_parser = class)]
    pub(crate) class: Option<Class>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Alerts {
    /// Only of so long ago or later: 1h, or an RFC 3339 time
    #[arg(long, value_parser = since, value_name = "WHEN")]
    pub(crate) since: Option<Since>,
    /// Only of this class
    #[arg(long, value_parser = class)]
    pub(crate) class: Option<Class>,
    /// Go on with every alert as it is made
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(Duration),
    At(smartfw_core::Time),
}

#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Approve {
    /// As `pending` shows it
    #[arg(value_parser = block_id)]
    pub(crate) id: Option<BlockId>,
    /// Everything that waits
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Allow {
    /// Never drop a target; works without the daemon
    Add {
        /// An IPv4 or IPv6 address or CIDR
        #[arg(value_name = "TARGET")]
        target: Target,
        /// For how long: 90s, 10m, 4h, 7d or forever
        #[arg(long = "for", value_parser = parse_span, default_value = "forever", value_name = "DURATION")]
        span: Span,
        /// Why, for those who read it later
        #[arg(long, value_name = "TEXT", default_value = "")]
        comment: String,
        /// On this node only
        #[arg(long)]
        local: bool,
    },
    /// Take a target off the list
    Remove {
        /// Exactly as listed
        #[arg(value_name = "TARGET")]
        target: Target,
        /// On this node only
        #[arg(long)]
        local: bool,
    },
    /// The list
    List,
    /// Whether, and why, a target can never be blocked
    Check {
        /// An IPv4 or IPv6 address or CIDR
        #[arg(value_name = "TARGET")]
        target: Target,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// A file, or - for standard input
    pub(crate) file: PathBuf,
    /// For how long, where the file does not say
    #[arg(long = "for", value_parser = parse_span, default_value = "4h", value_name = "DURATION")]
    pub(crate) span: Span,
    /// Why, where the file does not say
    #[arg(long, value_name = "TEXT", default_value = "imported")]
    pub(crate) reason: String,
    /// On this node only
    #[arg(long)]
    pub(crate) local: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Support {
    /// Collect what helps to find a fault into a .tar.gz: no addresses of the allow list, no secrets
    Dump {
        /// Where to write it
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Replay {
    /// pcap or pcapng files, plain or packed with gzip
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The protected side; without it each flow's initiator is judged
    #[arg(long, value_name = "CIDR", value_parser = net)]
    pub(crate) local: Vec<IpNet>,
    /// A model that judges beside the rules: a file, builtin, the name of one kept under --state-dir, or none
    #[arg(long, value_name = "FILE|NAME|builtin|none", default_value = "builtin")]
    pub(crate) model: PathBuf,
    /// Another configuration than the built-in defaults
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

fn class(text: &str) -> Result<Class, String> {
    let names = || Class::ALL.iter().map(|class| class.as_str()).collect::<Vec<_>>().join(", ");
    text.parse().map_err(|_| format!("there are: {}", names()))
}

fn block_id(text: &str) -> Result<BlockId, String> {
    text.parse()
        .map_err(|_| "not an id: write it as `smartfw-cli pending` shows it, 16 hexadecimal digits".into())
}

fn net(text: &str) -> Result<IpNet, String> {
    smartfw_core::prefix::parse_target(text).map_err(|_| "not an address or prefix".to_owned())
}

fn since(text: &str) -> Result<Since, String> {
    match smartfw_proto::json::parse_rfc3339(text) {
        Some(time) => Ok(Since::At(time)),
        None => parse(text).map(Since::Ago),
    }
}
