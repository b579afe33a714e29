//! What the daemon tells of the mirror, and of other clusters' roots.

use smartfw_core::{Time, fleet::NodeId};

/// How the mirror is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MirrorView {
    /// Whether a database is configured.
    pub configured: bool,
    /// `ok`, or what is wrong with what is sent.
    pub state: String,
    /// What to do about it; empty: nothing.
    pub remedy: String,
    /// Since when something is wrong.
    pub since: Option<Time>,
    /// Items that the database has taken since the start.
    pub sent: u64,
    /// Items that wait.
    pub waiting: u64,
    /// The clusters that are listened to.
    pub followed: Vec<FollowedCluster>,
    /// What came and is not followed, the newest first.
    pub refused: Vec<NotFollowed>,
    /// The roots of other clusters that are believed.
    pub roots: Vec<ForeignRoot>,
}

/// A cluster that is listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowedCluster {
    /// Its name.
    pub cluster: String,
    /// `ok`, or what is wrong.
    pub state: String,
    /// What to do about it; empty: nothing.
    pub remedy: String,
    /// Signed runs that were heard and followed since the start.
    pub runs: u64,
    /// What was heard and not followed.
    pub refused: u64,
}

/// Something that stood in the database and is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFollowed {
    /// When it was heard.
    pub time: Time,
    /// In which cluster's list it stood.
    pub cluster: String,
    /// Under which key.
    pub key: String,
    /// Why it is not followed.
    pub why: String,
}

/// Another cluster's root that is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignRoot {
    /// The cluster.
    pub cluster: String,
    /// The id of its key.
    pub id: NodeId,
    /// The SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
    /// Blocks of that cluster that are held here.
    pub blocks: u64,
    /// Those of them that are not enforced.
    pub withheld: u64,
    /// How far it is believed, 0 to 1.
    pub trust: f32,
    /// Whether its blocks may be enforced.
    pub believed: bool,
}
