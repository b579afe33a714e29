//! What a person may ask of the agent, what it answers, and why it refuses.

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{Block, BlockId, Class, Time, class::named, protect::Why};

/// A person's order.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Drop a target.
    Block(BlockOrder),
    /// Stop dropping a target, whoever asked for it. `false_positive` makes it a lesson.
    Unblock {
        /// The target; every block that it covers ends.
        target: IpNet,
        /// Whether the block was a mistake.
        false_positive: bool,
    },
    /// Never drop a target again.
    Allow {
        /// The target.
        target: IpNet,
        /// For how long; `None` for ever.
        duration: Option<Duration>,
        /// Why, in the operator's words.
        comment: String,
    },
    /// Take a target off the allow list.
    Disallow {
        /// The target, exactly as allowed.
        target: IpNet,
    },
    /// Carry out a pending decision; `None` for all.
    Approve(Option<BlockId>),
    /// Drop a pending decision.
    Reject(BlockId),
    /// Import many blocks at once.
    Import(Vec<BlockOrder>),
    /// Change what enforcement does. With `confirm`, back to what it was unless confirmed in time.
    Enforcement {
        /// The state wanted.
        state: EnforcementState,
        /// Roll back after this long unless confirmed.
        confirm: Option<Duration>,
        /// For [`EnforcementState::Panic`]: resume after this long.
        resume: Option<Duration>,
    },
    /// The pending change of enforcement or mode, or the last forced block, is right: keep it.
    Confirm,
    /// Act alone, or ask first. With `confirm`, back to what it was unless confirmed in time.
    Mode {
        /// The mode wanted.
        mode: Mode,
        /// Roll back after this long unless confirmed.
        confirm: Option<Duration>,
    },
}

/// A person's order to drop a target.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockOrder {
    /// The target.
    pub target: IpNet,
    /// For how long; `None` for ever.
    pub duration: Option<Duration>,
    /// Why.
    pub reason: String,
    /// What for; [`Class::Manual`] unless imported with a class.
    pub class: Class,
    /// Do it even where it is wide or protected.
    pub force: bool,
}

named! {
    /// Whether the kernel drops what is blocked.
    EnforcementState {
        /// It does.
        On = "on",
        /// It does not, until somebody says so.
        Off = "off",
        /// It does not, and will again by itself.
        Panic = "panic",
    }
}

named! {
    /// Who decides.
    Mode {
        /// The node does.
        Auto = "auto",
        /// A person does, out of a queue.
        Manual = "manual",
    }
}

/// An entry of the allow list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Who is never dropped.
    pub target: IpNet,
    /// Since when.
    pub since: Time,
    /// Until when; `None` for ever.
    pub expires: Option<Time>,
    /// Why, in the operator's words.
    pub comment: String,
}

/// What an order did.
#[derive(Clone, Debug, PartialEq)]
pub enum Done {
    /// The target is dropped. `reverts` says when a forced block ends unless confirmed.
    Blocked {
        /// The block in force.
        block: Block,
        /// When it ends by itself unless confirmed.
        reverts: Option<Time>,
    },
    /// These blocks ended.
    Unblocked(Vec<Block>),
    /// The allow list changed; these blocks ended.
    Allowed(Vec<Block>),
    /// The allow list changed.
    Disallowed,
    /// These decisions were carried out.
    Approved(Vec<Block>),
    /// The decision was dropped.
    Rejected,
    /// So many were imported, and these were refused.
    Imported {
        /// How many are now in force.
        accepted: usize,
        /// What was refused, and why; at most the first hundred.
        refused: Vec<(IpNet, Refusal)>,
        /// How many were refused.
        refused_count: usize,
    },
    /// Enforcement or mode changed; `reverts` says when it rolls back unless confirmed.
    Changed {
        /// When it rolls back unless confirmed.
        reverts: Option<Time>,
    },
    /// What was pending is now permanent.
    Confirmed,
}

/// Why an order was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The target shares an address with a protected one.
    Protected {
        /// The protected prefix.
        net: IpNet,
        /// Why it is protected.
        why: Why,
        /// Which one.
        detail: String,
    },
    /// The target holds the whole Internet: not even `--force` does that.
    Everything,
    /// The prefix is wider than is sane without `--force`.
    TooWide {
        /// The shortest prefix allowed without `--force`.
        shortest: u8,
    },
    /// Nothing of that name is blocked, allowed or pending.
    NotFound,
    /// The block list or allow list is full.
    Full {
        /// How many entries there may be.
        limit: usize,
    },
    /// Nothing waits for confirmation.
    NothingToConfirm,
    /// The target is dropped as a part of a wider block, which has to be unblocked as a whole.
    Within {
        /// The wider block's target.
        wider: IpNet,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protected { net, why, detail } => {
                write!(f, "{net} is protected: {why}")?;
                if detail.is_empty() { Ok(()) } else { write!(f, " ({detail})") }
            }
            Self::Everything => f.write_str("this is every address there is"),
            Self::TooWide { shortest } => write!(f, "wider than /{shortest}"),
            Self::NotFound => f.write_str("no such entry"),
            Self::Full { limit } => write!(f, "the list is full ({limit} entries)"),
            Self::NothingToConfirm => f.write_str("nothing waits for confirmation"),
            Self::Within { wider } => {
                write!(f, "dropped as a part of {wider}: unblock that, or allow the target")
            }
        }
    }
}

impl core::error::Error for Refusal {}
