//! Everything known about an address, for a person who wants to know why it is dropped, or why it is not.

use alloc::{format, string::String, vec::Vec};
use core::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Agent, Alert, Block, Time,
    class::named,
    order::Allowed,
    protect::Protected,
    record::{Offender, Pending},
};

/// A block with what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// The block.
    pub block: Block,
    /// Whether it is enforced.
    pub state: BlockState,
    /// An operator insisted, although the target is wide or protected.
    pub forced: bool,
    /// When it ends unless confirmed.
    pub reverts: Option<Time>,
}

/// Whether a block is enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockState {
    /// The kernel drops its target.
    InForce,
    /// Another block of the same target is stronger or longer.
    Shadowed,
    /// Its target is protected or allowed.
    Suspended(Protected),
    /// Enforcement is switched off.
    Off,
    /// The fleet says so, and this node does not follow.
    Withheld(Withheld),
}

named! {
    /// Why this node does not enforce what the fleet says.
    Withheld {
        /// The prefix is wider than is sane, or than any order may be.
        TooWide = "too_wide",
        /// A member speaks as if it were an operator.
        NotAnOperator = "not_an_operator",
        /// A private address means another host elsewhere.
        Private = "private",
        /// The origin's own host is the offender: its targets are not to blame.
        Outbound = "outbound",
        /// An anomaly alone never blocks.
        Isolation = "isolation",
        /// Nothing proves whose packets these were.
        NoEvidence = "no_evidence",
        /// An operator has declared the address to be one that no honest member blocks.
        Canary = "canary",
        /// The origin is not believed.
        Distrusted = "distrusted",
        /// A person on this node ended it here.
        Unblocked = "unblocked",
        /// A person unblocked the target a short time ago.
        HeldBack = "held_back",
        /// It is a configured proxy.
        Proxy = "proxy",
        /// It is a regular guest of this node, and fewer than two origins prove its offence.
        Regular = "regular",
        /// Fewer origins say so than are asked for.
        Quorum = "quorum",
        /// Its origin has said much in a short time: its turn comes.
        Quota = "quota",
    }
}

impl Withheld {
    /// The same for a human being.
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooWide => "the prefix is too wide",
            Self::NotAnOperator => "a member claims to be an operator: only an operator's key orders",
            Self::Private => {
                "a private address means another host elsewhere: it is blocked only within its site"
            }
            Self::Outbound => "the origin's own host is the offender: its targets are not blocked",
            Self::Isolation => "an anomaly alone is reported, never blocked",
            Self::NoEvidence => "nothing proves whose packets these were",
            Self::Canary => "a canary: no honest member blocks it",
            Self::Distrusted => "its origin is not believed",
            Self::Unblocked => "a person ended it on this node",
            Self::HeldBack => "a person unblocked the target a short time ago",
            Self::Proxy => "a configured proxy: others speak through it",
            Self::Regular => "a regular guest of this node, and fewer than two origins prove the offence",
            Self::Quorum => "fewer origins say so than this node asks for",
            Self::Quota => "its origin blocks more in a minute than is taken at once: it is delayed",
        }
    }
}

/// Everything known about an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The address, in canonical form.
    pub address: IpAddr,
    /// What becomes of its packets.
    pub outcome: Outcome,
    /// Why detection can never block it.
    pub protected: Option<Protected>,
    /// The allow list's entry that holds it.
    pub allowed: Option<Allowed>,
    /// Until when detection may not block it, because an operator said that it was wrong.
    pub held_back: Option<Time>,
    /// The blocks that hold it, widest first, of all origins.
    pub blocks: Vec<Listed>,
    /// Its level and time line, and those of its /64.
    pub offenders: Vec<Offender>,
    /// The decision about it that waits for approval.
    pub pending: Option<Pending>,
    /// The last alerts about it, newest last; bounded.
    pub alerts: Vec<Alert>,
    /// How long the next hard block by detection would last, at least.
    pub next: Duration,
    /// Commands that would change the outcome, most to the point first.
    pub remedies: Vec<String>,
}

named! {
    /// What becomes of an address's packets.
    Outcome {
        /// Nothing is dropped.
        Passes = "passes",
        /// Nothing is dropped, although a block says so.
        Suspended = "suspended",
        /// Dropped, but for established connections.
        Limited = "limited",
        /// Everything is dropped.
        Dropped = "dropped",
    }
}

impl Explanation {
    /// What is left of the block that decides, at `now`; `None` when there is none or it is for ever.
    pub fn remaining(&self, now: Time) -> Option<Duration> {
        let in_force = self.blocks.iter().filter(|listed| listed.state == BlockState::InForce);
        in_force.max_by_key(|listed| listed.block.strength)?.block.remaining(now)
    }
}

impl Agent {
    /// Everything known about `address` at `now`.
    pub fn explain(&self, address: IpAddr, now: Time) -> Explanation {
        let mut explanation = self.known_about(address, now);
        explanation.outcome = outcome(&explanation.blocks);
        explanation.remedies = remedies(&explanation);
        explanation
    }
}

fn outcome(blocks: &[Listed]) -> Outcome {
    let in_force = blocks.iter().filter(|listed| listed.state == BlockState::InForce);
    match in_force.map(|listed| listed.block.strength).max() {
        Some(crate::Strength::Hard) => Outcome::Dropped,
        Some(crate::Strength::Soft) => Outcome::Limited,
        None if blocks.is_empty() => Outcome::Passes,
        None => Outcome::Suspended,
    }
}

fn remedies(known: &Explanation) -> Vec<String> {
    let mut list = Vec::new();
    let address = known.address;
    if known.blocks.iter().any(|listed| listed.state == BlockState::Off) {
        list.push(String::from("smartfw-cli enable"));
    }
    if let Some(pending) = &known.pending {
        list.push(format!("smartfw-cli approve {}", pending.id));
        list.push(format!("smartfw-cli reject {}", pending.id));
    }
    let mut targets: Vec<_> = known.blocks.iter().map(|listed| listed.block.target).collect();
    targets.dedup();
    list.extend(targets.iter().map(|target| format!("smartfw-cli unblock {target}")));
    match (&known.allowed, &known.protected) {
        (Some(allowed), _) => list.push(format!("smartfw-cli allow remove {}", allowed.target)),
        (None, Some(_)) => list.push(format!("smartfw-cli block {address} --force")),
        (None, None) if known.blocks.is_empty() => list.push(format!("smartfw-cli block {address}")),
        (None, None) => list.push(format!("smartfw-cli allow add {address}")),
    }
    list
}
