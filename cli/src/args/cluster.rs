//! What may be typed about the cluster.

use std::{path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Subcommand};
use smartfw_identity::{Label, Role};

use super::Target;
use crate::{duration::parse, secret::Secret};

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Make a cluster with this node as its first member and signer (root)
    Init(Init),
    /// Print a one-time token that lets somebody join; on a signer (root)
    Token(Token),
    /// Enter a cluster with a token (root); with --operator: get an operator's key
    Join(Join),
    /// Leave the cluster; what is blocked stays blocked until it ends (root)
    Leave {
        /// Also as the last signer that is known
        #[arg(long)]
        force: bool,
    },
    /// The members: name, address, state, version, blocks made, trust, round trip, certificate's end
    Nodes,
    /// What the fleet blocks: on whose word, who confirmed, which nodes enforce, how fast it got there
    Blocks {
        /// Only this member's or operator's
        #[arg(long, value_name = "NAME")]
        origin: Option<String>,
    },
    /// Expel a node and void everything it ever said; needs an operator's key, or the root
    Revoke(Revoke),
    /// Addresses that no honest node blocks: who does is not believed any more
    #[command(subcommand)]
    Canary(Canary),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// What the cluster is called
    #[arg(long, value_parser = label)]
    pub(crate) name: Label,
    /// Where peers reach this node
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) advertise: String,
    /// The site of this node: private addresses mean the same host only within one
    #[arg(long, value_parser = label, default_value = "default")]
    pub(crate) site: Label,
    /// What you are called as its first operator [default: your user name]
    #[arg(long, value_parser = label, value_name = "NAME")]
    pub(crate) operator: Option<Label>,
    /// Where the root goes, under its passphrase [default: ./smartfw-root-NAME.pem]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_file: Option<PathBuf>,
    /// Keep the operator's key without a passphrase: for scripts
    #[arg(long)]
    pub(crate) no_passphrase: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Token {
    /// How long it holds, at most 7d
    #[arg(long = "for", value_parser = parse, default_value = "10m", value_name = "DURATION")]
    pub(crate) duration: Duration,
    /// The site of who joins [default: this signer's]
    #[arg(long, value_parser = label)]
    pub(crate) site: Option<Label>,
    /// What it becomes: node, signer, coordinator or operator
    #[arg(long, default_value = "node")]
    pub(crate) role: Role,
    /// The name that it takes over from another
    #[arg(long, value_parser = label, value_name = "NAME")]
    pub(crate) replace: Option<Label>,
    /// The exported root: only it makes signers
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Join {
    /// The signer that printed the token
    #[arg(value_name = "ADDR:PORT")]
    pub(crate) address: String,
    /// The token
    #[arg(long, env = "SMARTFW_TOKEN", hide_env_values = true)]
    pub(crate) token: Secret,
    /// Where peers reach this node [default: the address that leads to them]
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "operator")]
    pub(crate) advertise: Option<String>,
    /// What this node is called in the cluster [default: its name]
    #[arg(long, value_parser = label, conflicts_with = "operator")]
    pub(crate) name: Option<Label>,
    /// Get an operator's key of this name for yourself, with a token of --role operator; needs neither root nor daemon
    #[arg(long, value_parser = label, value_name = "NAME")]
    pub(crate) operator: Option<Label>,
    /// Keep the operator's key without a passphrase: for scripts
    #[arg(long, requires = "operator")]
    pub(crate) no_passphrase: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Revoke {
    /// Its name or id, as `cluster nodes` shows it; of an operator its whole id
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// The exported root: needed to revoke an operator
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Of a signer: also the members whose certificates it signed
    #[arg(long)]
    pub(crate) with_its_members: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Canary {
    /// Declare an address that no honest node blocks; what it ends is shown and asked for
    Add {
        /// An IPv4 or IPv6 address
        #[arg(value_name = "ADDR")]
        target: Target,
        /// Also more than one address
        #[arg(long)]
        wide: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// It is none any more
    Remove {
        /// Exactly as listed
        #[arg(value_name = "ADDR")]
        target: Target,
    },
    /// All of them
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// How far each member is believed, and other clusters whose root is
    List,
    /// Believe a member again, what was held against it is forgiven; or, on this node, another cluster's root
    Add {
        /// Its name or id, as `cluster nodes` shows it
        #[arg(value_name = "NODE", required_unless_present = "root")]
        node: Option<String>,
        /// The certificate of another cluster's root: the file root.pem in the identity folder of one of its members
        #[arg(long, value_name = "FILE", conflicts_with = "node")]
        root: Option<PathBuf>,
    },
    /// Believe a member no longer, its blocks are shown and not enforced; or, on this node, another cluster's root
    Remove {
        /// Its name or id, as `cluster nodes` shows it
        #[arg(value_name = "NODE", required_unless_present = "root")]
        node: Option<String>,
        /// The name of another cluster whose root is believed: what it said ends
        #[arg(long, value_name = "CLUSTER", conflicts_with = "node")]
        root: Option<String>,
    },
}

fn label(text: &str) -> Result<Label, String> {
    Label::new(text).map_err(|why| why.to_string())
}
