//! What the store keeps of the control plane: one record for each thing that must outlive the process. A store keeps
//! the last record of each key, removes the key at a record that [`removes`](Record::removes), and gives every record
//! to [`Agent::restore`](crate::Agent::restore) at the next start, in any order.

mod words;

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    Action, Alert, Block, BlockId, Class, Detector, Evidence, Features, Origin, Strength, Time, Verdict,
    class::named,
    fleet::NodeId,
    order::{Allowed, EnforcementState, Mode},
};

use words::word_key;
pub use words::{ForeignWord, Overruled, Speaker, Trust};

/// The number of a record: the store says up to which one it has kept them. It starts anew with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence(pub u64);

/// One thing to keep, or that it is no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// A block.
    Block(StoredBlock),
    /// A block ended.
    BlockGone {
        /// Its target.
        target: IpNet,
        /// Its origin.
        origin: Origin,
    },
    /// An entry of the allow list.
    Allowed(Allowed),
    /// An entry left the allow list.
    AllowedGone(IpNet),
    /// A decision that waits for approval.
    Pending(Pending),
    /// It waits no more.
    PendingGone(BlockId),
    /// What is remembered of an offender.
    Offender(Offender),
    /// An offender is forgotten.
    OffenderGone(IpNet),
    /// Detection may not block this target until then: an operator said that it was wrong.
    HeldBack {
        /// The target.
        target: IpNet,
        /// Until when.
        until: Time,
    },
    /// Detection may block the target again.
    HeldBackGone(IpNet),
    /// What enforcement does.
    Enforcement(Enforcement),
    /// Who decides.
    Mode {
        /// The mode.
        mode: Mode,
        /// The configuration's mode when an operator changed it: where the configuration has changed since, it wins.
        configured: Mode,
        /// The mode to go back to, and when, unless confirmed.
        rollback: Option<(Mode, Time)>,
    },
    /// An alert of the history.
    Alert(Alert),
    /// An alert left the bounded history.
    AlertGone(BlockId),
    /// A person's correction.
    Lesson(Lesson),
    /// A lesson left the bounded list.
    LessonGone(BlockId),
    /// How far a member's blocks are believed.
    Trust(Trust),
    /// Nothing is held against a member, nor for it.
    TrustGone(NodeId),
    /// A person on this node ended what the fleet says of a target.
    Overruled(Overruled),
    /// It is over.
    OverruledGone {
        /// The target.
        target: IpNet,
        /// Who had said so.
        speaker: Speaker,
    },
    /// The last that somebody in another cluster said of a target.
    Foreign(ForeignWord),
    /// It is over.
    ForeignGone {
        /// The target.
        target: IpNet,
        /// Who had said so.
        speaker: Speaker,
    },
}

named! {
    /// The tables of a store: a key is unique within its table.
    Tree {
        /// Blocks of all origins.
        Blocks = "blocks",
        /// The allow list.
        Allowed = "allowed",
        /// The queue of manual mode.
        Pending = "pending",
        /// Offenders' levels and time lines.
        Offenders = "offenders",
        /// Targets that detection may not block for a while.
        HeldBack = "held_back",
        /// Enforcement and mode.
        Switches = "switches",
        /// The history of alerts.
        Alerts = "alerts",
        /// People's corrections.
        Lessons = "lessons",
        /// How far members are believed.
        Trust = "trust",
        /// What of the fleet's word people on this node ended.
        Overruled = "overruled",
        /// What other clusters say.
        Foreign = "foreign",
    }
}

impl Record {
    /// The table that it belongs to.
    pub const fn tree(&self) -> Tree {
        match self {
            Self::Block(_) | Self::BlockGone { .. } => Tree::Blocks,
            Self::Allowed(_) | Self::AllowedGone(_) => Tree::Allowed,
            Self::Pending(_) | Self::PendingGone(_) => Tree::Pending,
            Self::Offender(_) | Self::OffenderGone(_) => Tree::Offenders,
            Self::HeldBack { .. } | Self::HeldBackGone(_) => Tree::HeldBack,
            Self::Enforcement(_) | Self::Mode { .. } => Tree::Switches,
            Self::Alert(_) | Self::AlertGone(_) => Tree::Alerts,
            Self::Lesson(_) | Self::LessonGone(_) => Tree::Lessons,
            Self::Trust(_) | Self::TrustGone(_) => Tree::Trust,
            Self::Overruled(_) | Self::OverruledGone { .. } => Tree::Overruled,
            Self::Foreign(_) | Self::ForeignGone { .. } => Tree::Foreign,
        }
    }

    /// Its key within the table.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Block(stored) => block_key(&stored.block.target, &stored.block.origin),
            Self::BlockGone { target, origin } => block_key(target, origin),
            Self::Allowed(Allowed { target, .. })
            | Self::AllowedGone(target)
            | Self::Offender(Offender { target, .. })
            | Self::OffenderGone(target)
            | Self::HeldBack { target, .. }
            | Self::HeldBackGone(target) => net_key(target),
            Self::Pending(Pending { id, .. })
            | Self::PendingGone(id)
            | Self::Alert(Alert { id, .. })
            | Self::AlertGone(id)
            | Self::Lesson(Lesson { id, .. })
            | Self::LessonGone(id) => id.0.to_be_bytes().to_vec(),
            Self::Trust(Trust { node, .. }) | Self::TrustGone(node) => node.0.to_vec(),
            Self::Overruled(Overruled { target, speaker, .. })
            | Self::OverruledGone { target, speaker }
            | Self::Foreign(ForeignWord { target, speaker, .. })
            | Self::ForeignGone { target, speaker } => word_key(target, speaker),
            Self::Enforcement(_) => b"enforcement".to_vec(),
            Self::Mode { .. } => b"mode".to_vec(),
        }
    }

    /// Whether the key is to be removed instead of written.
    pub const fn removes(&self) -> bool {
        matches!(
            self,
            Self::BlockGone { .. }
                | Self::AllowedGone(_)
                | Self::PendingGone(_)
                | Self::OffenderGone(_)
                | Self::HeldBackGone(_)
                | Self::AlertGone(_)
                | Self::LessonGone(_)
                | Self::TrustGone(_)
                | Self::OverruledGone { .. }
                | Self::ForeignGone { .. }
        )
    }
}

fn block_key(target: &IpNet, origin: &Origin) -> Vec<u8> {
    let mut key = net_key(target);
    key.extend_from_slice(origin.0.as_bytes());
    key
}

/// Family, address, length: as many bytes for every prefix of a family, and sorted as prefixes are.
fn net_key(net: &IpNet) -> Vec<u8> {
    let mut key = match net.addr() {
        IpAddr::V4(v4) => [&[4], v4.octets().as_slice()].concat(),
        IpAddr::V6(v6) => [&[6], v6.octets().as_slice()].concat(),
    };
    key.push(net.prefix_len());
    key
}

/// A block with what only its own node needs to know of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredBlock {
    /// The block.
    pub block: Block,
    /// An operator insisted, although the target is wide or protected.
    pub forced: bool,
    /// When it ends once it is confirmed (`Some(None)`: never); `None` when it needs no confirmation.
    pub unconfirmed: Option<Option<Time>>,
}

/// A decision that waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// The id of the alert that it answers.
    pub id: BlockId,
    /// Since when it waits.
    pub since: Time,
    /// Until when: an older decision says nothing about now.
    pub until: Time,
    /// Whom to drop.
    pub target: IpNet,
    /// How much.
    pub strength: Strength,
    /// What it rests on.
    pub verdict: Verdict,
}

/// What is remembered of a source that was reported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offender {
    /// The address, or the /64 that was blocked as a whole.
    pub target: IpNet,
    /// How many hard blocks it has earned, each after the one before had ended; 0 for none.
    pub level: u8,
    /// Until when it is remembered.
    pub until: Time,
    /// What it did, oldest first; bounded.
    pub timeline: VecDeque<Incident>,
}

/// One line of an offender's time line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// When the deciding packet was seen.
    pub at: Time,
    /// Of what.
    pub class: Class,
    /// Who says so.
    pub detector: Detector,
    /// What proves the address.
    pub evidence: Option<Evidence>,
    /// What was done.
    pub action: Action,
    /// Why, for a human being.
    pub text: String,
}

/// What enforcement does, and what becomes of it by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// What it does now.
    pub now: Switch,
    /// What to go back to, and when, unless confirmed.
    pub rollback: Option<(Switch, Time)>,
}

/// A state of enforcement with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The state.
    pub state: EnforcementState,
    /// For a panic: the state to resume, and when.
    pub resume: Option<(EnforcementState, Time)>,
}

/// A person's correction: what learning shall not conclude again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// The id of the block or decision that was wrong.
    pub id: BlockId,
    /// When it was corrected.
    pub at: Time,
    /// Who was meant.
    pub target: IpNet,
    /// Of what it was held to be guilty.
    pub class: Class,
    /// Who said so.
    pub detector: Detector,
    /// The window that misled, where it is still known.
    pub features: Option<Features>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_of_one_address_have_keys_of_their_own() {
        let key = |text: &str| Record::AllowedGone(text.parse().unwrap()).key();
        assert_ne!(key("10.0.0.0/8"), key("10.0.0.0/16"));
        assert_ne!(key("::a00:0/128"), key("10.0.0.0/32"));
        assert!(key("10.0.0.0/8") < key("10.0.0.0/16"));
    }

    #[test]
    fn a_removal_has_the_key_and_the_table_of_what_it_removes() {
        let target = "192.0.2.1/32".parse().unwrap();
        let kept = Record::HeldBack { target, until: Time::ZERO };
        let gone = Record::HeldBackGone(target);
        assert_eq!((kept.tree(), kept.key()), (gone.tree(), gone.key()));
        assert!(gone.removes() && !kept.removes());
    }
}
