//! What the kernel shall enforce, what it does enforce, and the difference.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{BlockId, Class, Strength, Time};

/// One blocked target, as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Who is dropped.
    pub target: IpNet,
    /// In which set.
    pub strength: Strength,
    /// Until when; `None` for ever. Kernels count seconds and at most 24 days: enforcers re-arm what is longer.
    pub expires: Option<Time>,
    /// What the entry's comment says, so that it can be adopted after everything else is lost.
    pub note: Note,
}

/// The comment of a kernel entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The block's id.
    pub id: BlockId,
    /// The block's class.
    pub class: Class,
    /// On whose word.
    pub origin: String,
}

/// One step from what is enforced to what shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Drop the target; replaces an entry of the same target, whatever its strength or end.
    Block(Entry),
    /// Stop dropping the target.
    Unblock(IpNet),
    /// Never drop the prefix, whatever else is blocked.
    Protect(IpNet),
    /// The prefix is no longer protected.
    Unprotect(IpNet),
}

impl Change {
    /// Whom it is about.
    pub const fn target(&self) -> IpNet {
        match self {
            Self::Block(entry) => entry.target,
            Self::Unblock(net) | Self::Protect(net) | Self::Unprotect(net) => *net,
        }
    }
}

/// Everything that the kernel shall enforce (or does).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The blocked targets.
    pub blocks: BTreeMap<IpNet, Entry>,
    /// The protected prefixes.
    pub protected: Vec<IpNet>,
}
