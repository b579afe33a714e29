//! The mirror, and other clusters' roots.

use smartfw_core::Time;

use super::{
    ConvertError,
    peer::{self, fixed},
    scalar::{Result, clip, clip_share, clipped, list, share, text, times},
};
use crate::{
    limits,
    view::{FollowedCluster, ForeignRoot, MirrorView, NotFollowed},
    wire,
};

impl From<MirrorView> for wire::MirrorView {
    fn from(view: MirrorView) -> Self {
        Self {
            configured: view.configured,
            state: clip(limits::TEXT, view.state),
            remedy: clip(limits::TEXT, view.remedy),
            since: view.since.map(Time::as_nanos),
            sent: view.sent,
            waiting: view.waiting,
            followed: clipped(limits::FOLLOWED, view.followed),
            refused: clipped(limits::NOT_FOLLOWED, view.refused),
            roots: clipped(limits::FOREIGN_ROOTS, view.roots),
        }
    }
}

impl TryFrom<wire::MirrorView> for MirrorView {
    type Error = ConvertError;
    fn try_from(view: wire::MirrorView) -> Result<Self> {
        Ok(Self {
            configured: view.configured,
            state: text("mirror.state", limits::TEXT, view.state)?,
            remedy: text("mirror.remedy", limits::TEXT, view.remedy)?,
            since: times(view.since),
            sent: view.sent,
            waiting: view.waiting,
            followed: list("mirror.followed", limits::FOLLOWED, view.followed)?,
            refused: list("mirror.refused", limits::NOT_FOLLOWED, view.refused)?,
            roots: list("mirror.roots", limits::FOREIGN_ROOTS, view.roots)?,
        })
    }
}

impl From<FollowedCluster> for wire::FollowedCluster {
    fn from(FollowedCluster { cluster, state, remedy, runs, refused }: FollowedCluster) -> Self {
        let (state, remedy) = (clip(limits::TEXT, state), clip(limits::TEXT, remedy));
        Self { cluster: clip(limits::NAME, cluster), state, remedy, runs, refused }
    }
}

impl TryFrom<wire::FollowedCluster> for FollowedCluster {
    type Error = ConvertError;
    fn try_from(followed: wire::FollowedCluster) -> Result<Self> {
        let wire::FollowedCluster { cluster, state, remedy, runs, refused } = followed;
        Ok(Self {
            cluster: text("followed.cluster", limits::NAME, cluster)?,
            state: text("followed.state", limits::TEXT, state)?,
            remedy: text("followed.remedy", limits::TEXT, remedy)?,
            runs,
            refused,
        })
    }
}

impl From<NotFollowed> for wire::NotFollowed {
    fn from(NotFollowed { time, cluster, key, why }: NotFollowed) -> Self {
        let (key, why) = (clip(limits::TEXT, key), clip(limits::TEXT, why));
        Self { time: time.as_nanos(), cluster: clip(limits::NAME, cluster), key, why }
    }
}

impl TryFrom<wire::NotFollowed> for NotFollowed {
    type Error = ConvertError;
    fn try_from(wire::NotFollowed { time, cluster, key, why }: wire::NotFollowed) -> Result<Self> {
        Ok(Self {
            time: Time::from_nanos(time),
            cluster: text("not_followed.cluster", limits::NAME, cluster)?,
            key: text("not_followed.key", limits::TEXT, key)?,
            why: text("not_followed.why", limits::TEXT, why)?,
        })
    }
}

impl From<ForeignRoot> for wire::ForeignRoot {
    fn from(root: ForeignRoot) -> Self {
        Self {
            cluster: clip(limits::NAME, root.cluster),
            id: root.id.0.to_vec(),
            fingerprint: root.fingerprint.to_vec(),
            blocks: root.blocks,
            withheld: root.withheld,
            trust: clip_share(root.trust),
            believed: root.believed,
        }
    }
}

impl TryFrom<wire::ForeignRoot> for ForeignRoot {
    type Error = ConvertError;
    fn try_from(root: wire::ForeignRoot) -> Result<Self> {
        Ok(Self {
            cluster: text("root.cluster", limits::NAME, root.cluster)?,
            id: peer::node("root.id", &root.id)?,
            fingerprint: fixed("root.fingerprint", &root.fingerprint)?,
            blocks: root.blocks,
            withheld: root.withheld,
            trust: share("root.trust", root.trust)?,
            believed: root.believed,
        })
    }
}
