//! What the node answers: the control socket, and the page of metrics.

use std::{sync::Arc, time::Instant};

use smartfw_config::NodeConfig;
use smartfw_proto::{
    limits,
    wire::{
        cluster_server::ClusterServer, control_server::ControlServer, feeds_server::FeedsServer,
        mirror_server::MirrorServer, models_server::ModelsServer,
    },
};

use super::{inward, parts::Links, shown};
use crate::{
    control::{
        ClusterService, ControlSocket, Drops, Facts, FeedsService, MirrorService, ModelsService, Reload,
        Service,
    },
    feeds::Feeds,
    fleet::{FleetHandle, joining::Vault},
    health::{Level, Matter},
    mirror::Mirror,
};

/// Calls at once on one connection: a person has one terminal, a script perhaps a few threads.
const CALLS: usize = 32;

/// Serves the control socket.
pub(super) fn serve(
    config: &NodeConfig,
    links: &Links,
    drops: Arc<Drops>,
    (reload, fleet, vault, feeds, mirror): (Reload, FleetHandle, Vault, Feeds, Mirror),
    started: Instant,
    mut socket: ControlSocket,
) -> tokio::task::JoinHandle<()> {
    let facts = Facts {
        node: config.policy.node.clone(),
        enforcer: config.enforcer.as_str().into(),
        started,
        interfaces: links.interfaces.clone(),
    };
    let service = Service {
        inbox: links.inbox.clone(),
        board: links.board.clone(),
        counters: links.shared.counters.clone(),
        health: links.shared.health.clone(),
        alerts: links.alerts.clone(),
        recent: links.recent.clone(),
        drops,
        facts,
        reload,
        fleet,
        models: links.models.clone(),
        uplink: links.uplink.clone(),
    };
    links.uplink.told_by(Arc::new(service.clone()));
    let models = ModelsService::new(service.clone());
    let cluster = ClusterService { service: service.clone(), vault };
    let mirror = MirrorService { service: service.clone(), mirror };
    let connections = socket.connections();
    let server = tonic::transport::Server::builder()
        .concurrency_limit_per_connection(CALLS)
        .add_service(ControlServer::new(service).max_decoding_message_size(limits::MESSAGE))
        .add_service(ClusterServer::new(cluster).max_decoding_message_size(limits::MESSAGE))
        .add_service(
            FeedsServer::new(FeedsService::new(feeds, inward::geo(config), links.uplink.clone()))
                .max_decoding_message_size(limits::MESSAGE),
        )
        .add_service(MirrorServer::new(mirror).max_decoding_message_size(limits::MESSAGE))
        .add_service(ModelsServer::new(models).max_decoding_message_size(limits::MESSAGE))
        .serve_with_incoming(connections);
    let vital = links.shared.vital.clone();
    tokio::spawn(async move {
        let _socket = socket; // removed when the server ends
        let why = server.await.err().map_or_else(String::new, |error| format!(": {error}"));
        vital.failed(format!("the control service ended{why}"));
    })
}

/// A page that cannot be served keeps nobody from guarding.
pub(super) fn metrics(config: &NodeConfig, shown: shown::Shown) {
    let Some(address) = config.metrics else { return };
    let health = shown.links.shared.health.clone();
    tokio::spawn(async move {
        match crate::metrics::serve(address, Arc::new(move || shown.page())).await {
            Ok(address) => tracing::info!(%address, "metrics"),
            Err(error) => health.set(Matter::Metrics, Level::Warn, error.to_string(), "smartfw-node --check"),
        }
    });
}
