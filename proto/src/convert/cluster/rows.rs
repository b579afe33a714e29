//! Members and the fleet's blocks, as they are listed.

use std::time::Duration;

use smartfw_core::Time;

use super::{
    super::{
        ConvertError, peer,
        scalar::{
            Result, address, address_bytes, clip, clip_share, durations, name, nanos, optional_name, share,
            target, text, times,
        },
    },
    within,
};
use crate::{
    limits,
    view::{ClusterNode, FleetBlockFilter, FleetBlockRow},
    wire,
};

impl From<ClusterNode> for wire::Node {
    fn from(node: ClusterNode) -> Self {
        Self {
            name: clip(limits::NAME, node.name),
            id: node.id.map(|id| id.0.to_vec()),
            address: node.address.map(|address| clip(limits::ADDRESS, address)),
            state: wire::MemberState::from(node.state).into(),
            version: clip(limits::NAME, node.version),
            blocks: node.blocks,
            withheld: node.withheld,
            trust: clip_share(node.trust),
            believed: node.believed,
            round_trip: node.round_trip.map(nanos),
            certificate_expires: node.certificate_expires.map(Time::as_nanos),
            site: clip(limits::NAME, node.site),
            me: node.me,
            role: node.role.map_or_else(String::new, |role| clip(limits::NAME, role)),
            signer: node.signer.map(|id| id.0.to_vec()),
        }
    }
}

impl TryFrom<wire::Node> for ClusterNode {
    type Error = ConvertError;
    fn try_from(node: wire::Node) -> Result<Self> {
        let address = node.address;
        Ok(Self {
            name: text("node.name", limits::NAME, node.name)?,
            id: node.id.map(|id| peer::node("node.id", &id)).transpose()?,
            address: address.map(|at| text("node.address", limits::ADDRESS, at)).transpose()?,
            state: name("node.state", node.state)?,
            version: text("node.version", limits::NAME, node.version)?,
            blocks: node.blocks,
            withheld: node.withheld,
            trust: share("node.trust", node.trust)?,
            believed: node.believed,
            round_trip: durations(node.round_trip),
            certificate_expires: times(node.certificate_expires),
            site: text("node.site", limits::NAME, node.site)?,
            me: node.me,
            role: Some(text("node.role", limits::NAME, node.role)?).filter(|role| !role.is_empty()),
            signer: node.signer.map(|id| peer::node("node.signer", &id)).transpose()?,
        })
    }
}

impl From<FleetBlockFilter> for wire::ListFleetBlocksRequest {
    fn from(FleetBlockFilter { origin, covering }: FleetBlockFilter) -> Self {
        Self { origin, covering: covering.map(address_bytes) }
    }
}

impl TryFrom<wire::ListFleetBlocksRequest> for FleetBlockFilter {
    type Error = ConvertError;
    fn try_from(asked: wire::ListFleetBlocksRequest) -> Result<Self> {
        let covering = asked.covering;
        Ok(Self {
            origin: asked.origin.map(|name| text("fleet_blocks.origin", limits::NAME, name)).transpose()?,
            covering: covering.map(|bytes| address("fleet_blocks.covering", &bytes)).transpose()?,
        })
    }
}

impl From<FleetBlockRow> for wire::FleetBlock {
    fn from(row: FleetBlockRow) -> Self {
        let names = |limit: usize, names: Vec<String>| {
            names.into_iter().take(limit).map(|name| clip(limits::NAME, name)).collect()
        };
        let measured = |(node, took): (String, Duration)| wire::Propagation {
            node: clip(limits::NAME, node),
            took: nanos(took),
        };
        Self {
            target: Some(row.target.into()),
            class: wire::Class::from(row.class).into(),
            origin: clip(limits::NAME, row.origin),
            confirmed_by: names(limits::CONFIRMERS, row.confirmed_by),
            enforced_on: names(limits::ENFORCERS, row.enforced_on),
            since: row.since.as_nanos(),
            expires: row.expires.map(Time::as_nanos),
            propagation: row.propagation.into_iter().take(limits::ENFORCERS).map(measured).collect(),
            withheld: row.withheld.map_or(wire::Withheld::Unspecified, Into::into).into(),
            origin_id: row.origin_id.map(|id| id.0.to_vec()),
        }
    }
}

impl TryFrom<wire::FleetBlock> for FleetBlockRow {
    type Error = ConvertError;
    fn try_from(row: wire::FleetBlock) -> Result<Self> {
        let measured = |wire::Propagation { node, took }| {
            Ok((text("fleet_block.propagation.node", limits::NAME, node)?, Duration::from_nanos(took)))
        };
        within("fleet_block.propagation", limits::ENFORCERS, row.propagation.len())?;
        Ok(Self {
            target: target("fleet_block.target", row.target)?,
            class: name("fleet_block.class", row.class)?,
            origin: text("fleet_block.origin", limits::NAME, row.origin)?,
            confirmed_by: names("fleet_block.confirmed_by", limits::CONFIRMERS, row.confirmed_by)?,
            enforced_on: names("fleet_block.enforced_on", limits::ENFORCERS, row.enforced_on)?,
            since: Time::from_nanos(row.since),
            expires: times(row.expires),
            propagation: row.propagation.into_iter().map(measured).collect::<Result<_>>()?,
            withheld: optional_name("fleet_block.withheld", row.withheld)?,
            origin_id: row.origin_id.map(|id| peer::node("fleet_block.origin_id", &id)).transpose()?,
        })
    }
}

fn names(field: &'static str, limit: usize, names: Vec<String>) -> Result<Vec<String>> {
    within(field, limit, names.len())?;
    names.into_iter().map(|name| text(field, limits::NAME, name)).collect()
}
