//! What a person on this host may ask and order of the cluster.

pub(super) mod audit;
mod lists;
mod membership;
mod orders;

use smartfw_core::{IpNet, members::MemberState, order::Refusal};
use smartfw_proto::{
    limits,
    view::{Covers, Entering, FleetBlockFilter, Founding, Given, Invite},
    wire::{self, cluster_server::Cluster},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::service::Service;
use crate::fleet::{FleetRefused, Named, asked, joining::Vault};
use audit::{Caller, uid};

/// The service.
#[derive(Clone)]
pub struct ClusterService {
    /// The node.
    pub service: Service,
    /// Where the root is while signers are made.
    pub vault: Vault,
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Cluster for ClusterService {
    type ListNodesStream = Stream<wire::NodeChunk>;
    type ListFleetBlocksStream = Stream<wire::FleetBlockChunk>;
    type ListOrdersStream = Stream<wire::OrderChunk>;

    async fn found(
        &self,
        request: Request<wire::FoundRequest>,
    ) -> Result<Response<wire::FoundAnswer>, Status> {
        of_root(&request, "make a cluster")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let founding = Founding::try_from(request.into_inner())?;
        let founded = membership::found(&self.service.fleet, &self.service.facts.node, founding).await;
        let founded =
            caller.ended("found", founded, |made| format!("cluster {}, by {:#}", made.cluster, made.node))?;
        Ok(Response::new(founded.into()))
    }

    async fn invite(
        &self,
        request: Request<wire::InviteRequest>,
    ) -> Result<Response<wire::InviteAnswer>, Status> {
        of_root(&request, "give out tokens")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let invite = Invite::try_from(request.into_inner())?;
        let what = format!("a token for one {}", invite.role);
        let invited = membership::invite(&self.service.fleet, &self.vault, invite).await;
        let invited = caller.ended("invite", invited, |_| what)?;
        Ok(Response::new(invited.into()))
    }

    async fn enter(
        &self,
        request: Request<wire::EnterRequest>,
    ) -> Result<Response<wire::EnterAnswer>, Status> {
        of_root(&request, "join a cluster")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let entering = Entering::try_from(request.into_inner())?;
        let entered = membership::enter(&self.service.fleet, &self.service.facts.node, entering).await;
        let entered =
            caller.ended("enter", entered, |made| format!("cluster {}, as {:#}", made.cluster, made.node))?;
        Ok(Response::new(entered.into()))
    }

    async fn leave(
        &self,
        request: Request<wire::LeaveRequest>,
    ) -> Result<Response<wire::LeaveAnswer>, Status> {
        of_root(&request, "leave the cluster")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let left = membership::leave(&self.service.fleet, request.into_inner().force).await;
        let cluster = caller.ended("leave", left, |cluster| format!("cluster {cluster}"))?;
        self.vault.clear();
        Ok(Response::new(wire::LeaveAnswer { cluster }))
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Result<Response<Self::ListNodesStream>, Status> {
        let nodes = lists::nodes(self).await?;
        Ok(Response::new(super::lists::chunks(nodes, limits::NODES, |nodes| wire::NodeChunk { nodes })))
    }

    async fn list_fleet_blocks(
        &self,
        request: Request<wire::ListFleetBlocksRequest>,
    ) -> Result<Response<Self::ListFleetBlocksStream>, Status> {
        let asked = FleetBlockFilter::try_from(request.into_inner())?;
        Ok(Response::new(lists::blocks(self.service.fleet.clone(), asked)))
    }

    async fn list_orders(
        &self,
        request: Request<wire::ListOrdersRequest>,
    ) -> Result<Response<Self::ListOrdersStream>, Status> {
        let blocks = request.into_inner().blocks;
        Ok(Response::new(lists::orders(&self.service, blocks).await?))
    }

    async fn covers(
        &self,
        request: Request<wire::CoversRequest>,
    ) -> Result<Response<wire::CoversAnswer>, Status> {
        let asked = wire::CheckAllowedRequest { target: request.into_inner().target };
        let target = IpNet::try_from(asked)?;
        let covers: Covers =
            self.service.ask(move |agent, now| asked::covers(agent, now, target, usize::MAX)).await?;
        Ok(Response::new(covers.into()))
    }

    async fn check_targets(
        &self,
        request: Request<wire::CheckTargetsRequest>,
    ) -> Result<Response<wire::CheckTargetsAnswer>, Status> {
        let (targets, force) = <(Vec<IpNet>, bool)>::try_from(request.into_inner())?;
        let refused: Vec<(IpNet, Refusal)> =
            self.service.ask(move |agent, _| orders::refused(agent, &targets, force)).await?;
        Ok(Response::new(refused.into()))
    }

    async fn give(&self, request: Request<wire::GiveRequest>) -> Result<Response<wire::GiveAnswer>, Status> {
        let caller = Caller::of(&request, &self.service.uplink);
        let given = Given::try_from(request.into_inner())?;
        orders::give(&self.service.fleet, caller, given.orders).await?;
        let members = self.service.fleet.named().await.map_or(1, |members| hearing(&members));
        Ok(Response::new(wire::GiveAnswer { members: members.try_into().unwrap_or(u32::MAX) }))
    }

    async fn revoke(
        &self,
        request: Request<wire::RevokeRequest>,
    ) -> Result<Response<wire::RevokeAnswer>, Status> {
        let caller = Caller::of(&request, &self.service.uplink);
        let Given { orders, revocations } = Given::try_from(request.into_inner())?;
        // Who is expelled is kept out at once; that its word is void may follow.
        let expelled = self.service.fleet.revoke(revocations).await.map_err(|why| refusal(&why));
        let expelled = caller.ended("revoke", expelled, |nodes| {
            nodes.iter().map(|node| format!("{node:#}")).collect::<Vec<_>>().join(", ")
        })?;
        orders::give(&self.service.fleet, caller, orders).await.map_err(|why| after_expulsion(&why))?;
        Ok(Response::new(wire::RevokeAnswer { expelled: expelled.len().try_into().unwrap_or(u32::MAX) }))
    }
}

/// Identity is root's: the socket's group may look and order, and not make members.
pub(super) fn of_root<T>(request: &Request<T>, what: &str) -> Result<(), Status> {
    if uid(request).is_some_and(|uid| uid == 0 || uid == nix::unistd::geteuid().as_raw()) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("only root may {what}: try it with sudo")))
}

/// How many members hear an order at once, this one among them: a suspect may be cut off, or this node from it.
fn hearing(members: &[Named]) -> usize {
    members.iter().filter(|member| member.state == MemberState::Alive).count().max(1)
}

/// Why only half of a revocation was done.
fn after_expulsion(why: &Status) -> Status {
    Status::new(why.code(), format!("expelled; the order beside it was not given: {}", why.message()))
}

/// What a refusal is on the wire.
fn refusal(why: &FleetRefused) -> Status {
    let text = why.to_string();
    match why {
        FleetRefused::Slow(_) => Status::deadline_exceeded(text),
        FleetRefused::Ending => Status::unavailable(text),
        _ => Status::failed_precondition(text),
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::fleet::NodeId;

    use super::*;

    #[test]
    fn only_who_is_surely_there_is_said_to_hear_an_order() {
        let member = |state| Named {
            id: NodeId([1; 32]),
            name: "web-1".into(),
            address: ([192, 0, 2, 1], 7000).into(),
            state,
        };
        let states = [MemberState::Alive, MemberState::Suspect, MemberState::Alive, MemberState::Left];
        assert_eq!(hearing(&states.map(member)), 2);
        assert_eq!(hearing(&[]), 1, "this one");
    }

    #[test]
    fn half_a_revocation_says_which_half_was_done() {
        let why = after_expulsion(&Status::deadline_exceeded("the disk is slow"));
        assert_eq!(why.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(why.message(), "expelled; the order beside it was not given: the disk is slow");
    }
}
