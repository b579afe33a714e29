//! The cluster's objects.

use serde_json::{Map, Value, json};
use smartfw_core::fleet::OrderKind;

use super::{number, rfc3339};
use crate::view::{ClusterNode, FleetBlockRow, StandingOrder};

/// A member.
pub fn cluster_node(node: &ClusterNode) -> Value {
    json!({
        "name": node.name,
        "address": node.address,
        "state": node.state.as_str(),
        "version": node.version,
        "blocks": node.blocks,
        "trust": number(node.trust),
        "rtt_ms": node.round_trip.map(|took| millis(took.as_secs_f64())),
        "certificate_expires": node.certificate_expires.map(rfc3339),
        "id": node.id.map(|id| format!("{id:#}")),
        "site": Some(&node.site).filter(|site| !site.is_empty()),
        "role": node.role,
        "believed": node.believed,
        "withheld": node.withheld,
        "self": node.me,
        "signer": node.signer.map(|id| format!("{id:#}")),
    })
}

/// A block of the fleet.
pub fn fleet_block(row: &FleetBlockRow) -> Value {
    let measured = row.propagation.iter().map(|(node, took)| (node.clone(), millis(took.as_secs_f64())));
    json!({
        "target": row.target.to_string(),
        "class": row.class.as_str(),
        "origin": row.origin,
        "confirmed_by": row.confirmed_by,
        "enforced_on": row.enforced_on,
        "since": rfc3339(row.since),
        "expires": row.expires.map(rfc3339),
        "propagation_ms": measured.collect::<Map<_, _>>(),
        "withheld_because": row.withheld.map(|why| why.as_str()),
        "origin_id": row.origin_id.map(|id| format!("{id:#}")),
    })
}

/// A canary: an address that no honest node blocks.
pub fn canary(standing: &StandingOrder) -> Value {
    let target = match &standing.order.kind {
        OrderKind::Canary { target, .. } => Some(target.to_string()),
        _ => None,
    };
    json!({
        "kind": "canary",
        "target": target,
        "since": rfc3339(standing.order.issued),
        "operator": standing.order.operator,
    })
}

/// Milliseconds with a tenth of precision; whole ones without it.
fn millis(seconds: f64) -> Value {
    let tenths = (seconds * 1e4).round();
    if tenths % 10.0 == 0.0 { ((tenths / 10.0) as u64).into() } else { (tenths / 10.0).into() }
}

#[cfg(test)]
mod tests;
