//! What else is served where members connect: joining and renewing, which are no part of the fleet's runtime.

use std::{future::Future, io, pin::Pin};

use smartfw_identity::tls::JoinStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

/// Services beside the streams. Every request has a [`PeerInfo`](smartfw_identity::tls::PeerInfo) (of members) or a
/// [`Stranger`](smartfw_identity::tls::Stranger) (of joiners) among its extensions.
pub trait Beside: Send + Sync {
    /// What members may call.
    fn members(&self) -> Routes {
        Routes::default()
    }

    /// Whether strangers with tokens are let in: on signers.
    fn welcomes(&self) -> bool {
        false
    }

    /// Serves strangers until the network ends; within its runtime.
    fn joiners(
        &self,
        strangers: ReceiverStream<io::Result<JoinStream>>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        drop(strangers);
        Box::pin(std::future::ready(()))
    }
}

/// Makes what is served beside the streams of one identity, each time that a network begins.
pub type BesideOf = Box<dyn Fn(&Opened) -> std::sync::Arc<dyn Beside> + Send + Sync>;

/// A network about to begin.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The identity in use: a renewed one is put there.
    pub current: smartfw_identity::Current,
    /// Who was expelled.
    pub revocations: std::sync::Arc<smartfw_identity::Revocations>,
    /// The identity's folder.
    pub folder: std::path::PathBuf,
}

/// Nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl Beside for Nothing {}
