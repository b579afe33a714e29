//! What a person on this host may ask and order of the mirror, and of other clusters' roots.

use smartfw_core::{Agent, agent::OriginListed};
use smartfw_proto::{
    limits::PEM,
    view::{ForeignRoot, MirrorView},
    wire::{self, mirror_server::Mirror as Wire},
};
use tonic::{Request, Response, Status};

use super::{
    cluster::{audit::Caller, of_root},
    service::Service,
};
use crate::mirror::{Mirror, Root};

/// The service.
#[derive(Clone)]
pub struct MirrorService {
    /// The node.
    pub service: Service,
    /// The mirror.
    pub mirror: Mirror,
}

#[tonic::async_trait]
impl Wire for MirrorService {
    async fn show_mirror(
        &self,
        _: Request<wire::ShowMirrorRequest>,
    ) -> Result<Response<wire::MirrorView>, Status> {
        let origins = self.origins().await?;
        let roots = self.mirror.roots.all().iter().map(|root| shown(root, &origins)).collect();
        Ok(Response::new(MirrorView { roots, ..self.mirror.view() }.into()))
    }

    async fn add_root(
        &self,
        request: Request<wire::AddRootRequest>,
    ) -> Result<Response<wire::ForeignRoot>, Status> {
        of_root(&request, "believe another cluster")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let pem = request.into_inner().pem;
        let added = if pem.len() > PEM {
            Err(Status::invalid_argument(format!("a root's certificate has at most {PEM} bytes")))
        } else {
            let ours = self.service.fleet.cluster();
            let added = self.mirror.roots.add(&pem, ours.as_deref());
            added.map_err(|why| Status::failed_precondition(why.to_string()))
        };
        self.mirror.roots.tell(&self.service.inbox);
        let root =
            caller.ended("add_root", added, |root| format!("cluster {}, {:#}", root.cluster, root.id))?;
        Ok(Response::new(shown(&root, &self.origins().await?).into()))
    }

    async fn remove_root(
        &self,
        request: Request<wire::RemoveRootRequest>,
    ) -> Result<Response<wire::ForeignRoot>, Status> {
        of_root(&request, "disbelieve another cluster")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let origins = self.origins().await?;
        let removed = self.mirror.roots.remove(&request.into_inner().cluster);
        // Also where no mirror listens, and in no cluster.
        self.mirror.roots.tell(&self.service.inbox);
        let removed = removed.map_err(|why| Status::failed_precondition(why.to_string()));
        let root = caller.ended("remove_root", removed, |root| format!("cluster {}", root.cluster))?;
        Ok(Response::new(shown(&root, &origins).into()))
    }
}

impl MirrorService {
    async fn origins(&self) -> Result<Vec<OriginListed>, Status> {
        self.service.ask(|agent: &Agent, _| agent.fleet_origins()).await
    }
}

/// A root with what its cluster says here.
fn shown(root: &Root, origins: &[OriginListed]) -> ForeignRoot {
    let of = origins.iter().find(|origin| origin.id == root.id);
    ForeignRoot {
        cluster: root.cluster.clone(),
        id: root.id,
        fingerprint: root.fingerprint,
        blocks: of.map_or(0, |origin| origin.blocks as u64),
        withheld: of.map_or(0, |origin| origin.withheld.values().sum::<usize>() as u64),
        trust: of.map_or(1.0, |origin| origin.trust),
        believed: of.is_none_or(|origin| origin.believed),
    }
}
