//! The mirror, and other clusters' roots.

use serde_json::{Value, json};

use super::{number, rfc3339};
use crate::view::{FollowedCluster, ForeignRoot, MirrorView, NotFollowed};

/// How the mirror is. `do` and `since` are null while all is well, `state` where no database is configured.
pub fn mirror(view: &MirrorView) -> Value {
    json!({
        "kind": "mirror",
        "state": said(&view.state),
        "do": said(&view.remedy),
        "since": view.since.map(rfc3339),
        "sent": view.sent,
        "waiting": view.waiting,
        "followed": view.followed.iter().map(followed).collect::<Vec<_>>(),
        "not_followed": view.refused.iter().map(not_followed).collect::<Vec<_>>(),
    })
}

fn followed(cluster: &FollowedCluster) -> Value {
    json!({
        "cluster": cluster.cluster,
        "state": cluster.state,
        "do": said(&cluster.remedy),
        "runs": cluster.runs,
        "refused": cluster.refused,
    })
}

fn not_followed(row: &NotFollowed) -> Value {
    json!({"time": rfc3339(row.time), "cluster": row.cluster, "key": row.key, "why": row.why})
}

/// Another cluster's root that is believed, in the form of a member that is; `fingerprint` tells them apart.
pub fn foreign_root(root: &ForeignRoot) -> Value {
    let fingerprint: String = root.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "name": root.cluster,
        "id": format!("{:#}", root.id),
        "trust": number(root.trust),
        "believed": root.believed,
        "blocks": root.blocks,
        "withheld": root.withheld,
        "fingerprint": fingerprint,
    })
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
