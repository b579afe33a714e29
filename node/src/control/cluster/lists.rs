//! Members, the fleet's blocks, operators' orders.

use std::{collections::BTreeMap, time::Duration};

use smartfw_core::{
    Agent,
    fleet::{NodeId, OrderKind},
    members::MemberState,
};
use smartfw_proto::{
    limits,
    view::{ClusterNode, FleetBlockFilter, StandingOrder},
    wire,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{super::service::Service, ClusterService, refusal};
use crate::fleet::{FleetBlockView, FleetBlocks, FleetHandle, MemberView, asked};

/// Chunks that may wait for a slow reader.
const WAITING: usize = 4;

/// The members, this node first; without a cluster this node.
pub(super) async fn nodes(cluster: &ClusterService) -> Result<Vec<ClusterNode>, Status> {
    let members = cluster.service.fleet.members().await.map_err(|why| refusal(&why))?;
    if members.is_empty() {
        return Ok(vec![alone(&cluster.service).await?]);
    }
    let believed = |agent: &Agent| {
        let origins = agent.fleet_origins().into_iter();
        origins.map(|origin| (origin.id, origin.believed)).collect::<BTreeMap<NodeId, bool>>()
    };
    let believed = cluster.service.ask(move |agent, _| believed(agent)).await?;
    let node = |(at, member): (usize, MemberView)| {
        let believed = believed.get(&member.id).copied().unwrap_or(true);
        node(member, believed, at == 0)
    };
    Ok(members.into_iter().enumerate().map(node).collect())
}

fn node(member: MemberView, believed: bool, me: bool) -> ClusterNode {
    let withheld = member.withheld.values().sum::<usize>() as u64;
    // To ourselves there is none.
    let millis = member.rtt_ms.filter(|took| !me && took.is_finite() && *took >= 0.0);
    ClusterNode {
        name: member.name,
        id: Some(member.id),
        address: Some(member.address.to_string()),
        state: member.state,
        version: member.version,
        blocks: member.blocks as u64,
        withheld,
        trust: member.trust,
        believed,
        round_trip: millis.map(|took| Duration::from_secs_f64(took.min(3.6e6) / 1e3)),
        certificate_expires: Some(member.certificate_expires),
        site: member.site,
        me,
        role: member.role.map(|role| role.as_str().to_owned()),
        signer: member.signer,
    }
}

async fn alone(service: &Service) -> Result<ClusterNode, Status> {
    let name = service.facts.node.clone();
    let ask = move |agent: &Agent, _| ClusterNode {
        name,
        id: None,
        address: None,
        state: MemberState::Alive,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        blocks: agent.block_count() as u64,
        withheld: 0,
        trust: 1.0,
        believed: true,
        round_trip: None,
        certificate_expires: None,
        site: String::new(),
        me: true,
        role: None,
        signer: None,
    };
    service.ask(ask).await
}

/// The fleet's blocks that are asked for, read piece by piece.
pub(super) fn blocks(
    fleet: FleetHandle,
    asked: FleetBlockFilter,
) -> ReceiverStream<Result<wire::FleetBlockChunk, Status>> {
    let (sender, stream) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let FleetBlockFilter { origin, covering } = asked;
        let says =
            |view: &FleetBlockView, name: &String| view.origin == *name || view.confirmed_by.contains(name);
        let of = |view: &FleetBlockView| origin.as_ref().is_none_or(|name| says(view, name));
        let mut behind = None;
        loop {
            let piece = match covering {
                Some(address) => {
                    let blocks = fleet.blocks_covering(address).await;
                    blocks.map(|blocks| FleetBlocks { blocks, behind: None })
                }
                None => fleet.blocks(behind, limits::FLEET_BLOCKS).await,
            };
            let piece = match piece {
                Ok(piece) => piece,
                Err(why) => return drop(sender.send(Err(refusal(&why))).await),
            };
            let blocks: Vec<_> =
                piece.blocks.into_iter().filter(of).map(|view| asked::row(view).into()).collect();
            for blocks in blocks.chunks(limits::FLEET_BLOCKS).map(<[_]>::to_vec) {
                if sender.send(Ok(wire::FleetBlockChunk { blocks })).await.is_err() {
                    return;
                }
            }
            behind = piece.behind;
            if behind.is_none() {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}

/// The operators' orders that are not over.
pub(super) async fn orders(
    service: &Service,
    blocks: bool,
) -> Result<ReceiverStream<Result<wire::OrderChunk, Status>>, Status> {
    let wanted = move |kind: &OrderKind| blocks || !matches!(kind, OrderKind::Block { .. });
    let standing = move |agent: &Agent| {
        let listed = agent.fleet_orders().filter(|listed| wanted(&listed.order.kind));
        let standing = listed.map(|listed| StandingOrder {
            order: listed.order,
            targets: listed.targets as u64,
            expires: listed.expires,
        });
        standing.collect::<Vec<_>>()
    };
    let standing = service.ask(move |agent, _| standing(agent)).await?;
    // What the wire cannot carry came over it once; it is left out rather than the others with it.
    let rows: Vec<wire::StandingOrder> = standing.into_iter().filter_map(|one| one.try_into().ok()).collect();
    Ok(super::super::lists::chunks(rows, limits::STANDING, |orders| wire::OrderChunk { orders }))
}
