//! A cluster service that answers as the test wants, and keeps what it is given.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use smartfw_core::{
    IpNet, Time,
    fleet::{NodeId, Version},
    order::Refusal,
    protect::Why,
};
use smartfw_identity::{Founding, Label, Passphrase};
use smartfw_proto::{
    convert::decode_order,
    view::{Covers, Entered, Founded, Given, Invite, Invited, OperatorKey, StandingOrder},
    wire::{self, cluster_server::Cluster},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use crate::daemon::Script;

type Answers<T> = ReceiverStream<Result<T, Status>>;

/// The service.
pub(crate) struct Fleet {
    pub(crate) script: Script,
    pub(crate) given: Arc<Mutex<Vec<Given>>>,
    pub(crate) founded: Arc<AtomicBool>,
}

fn now() -> Time {
    Time::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

/// A cluster, made on the spot.
fn founded(passphrase: &str) -> Founded {
    let folder = tempfile::tempdir().unwrap();
    let label = |text: &str| Label::new(text).unwrap();
    let (cluster, site, signer, operator) = (label("prod"), label("default"), label("web-1"), label("alice"));
    let founding = Founding { cluster: &cluster, site: &site, signer: &signer, operator: &operator };
    let founded = founding.found(folder.path(), now()).unwrap();
    let root = founded.root.certificate();
    Founded {
        cluster: "prod".into(),
        node: founded.identity.id(),
        name: "web-1".into(),
        root: founded.root.export(&Passphrase::new(passphrase).unwrap()).unwrap(),
        fingerprint: root.fingerprint(),
        operator: OperatorKey {
            key: founded.operator.key().pkcs8().to_vec(),
            chain: founded.operator.chain().to_bytes(),
            root: root.der().to_vec(),
        },
    }
}

impl Fleet {
    fn allowed(&self) -> Result<(), Status> {
        self.script.refusal.clone().map_or(Ok(()), Err)
    }

    fn take(&self, given: Given) {
        self.given.lock().unwrap().push(given);
    }
}

fn once<T: Send + 'static>(value: T) -> Response<Answers<T>> {
    let (sender, stream) = tokio::sync::mpsc::channel(1);
    sender.try_send(Ok(value)).unwrap();
    Response::new(ReceiverStream::new(stream))
}

fn refused(target: IpNet) -> Refusal {
    Refusal::Protected { net: target, why: Why::Gateway, detail: "eth0".into() }
}

#[tonic::async_trait]
impl Cluster for Fleet {
    type ListNodesStream = Answers<wire::NodeChunk>;
    type ListFleetBlocksStream = Answers<wire::FleetBlockChunk>;
    type ListOrdersStream = std::pin::Pin<Box<dyn Stream<Item = Result<wire::OrderChunk, Status>> + Send>>;

    async fn found(
        &self,
        request: Request<wire::FoundRequest>,
    ) -> Result<Response<wire::FoundAnswer>, Status> {
        self.allowed()?;
        self.founded.store(true, Ordering::SeqCst);
        Ok(Response::new(founded(&request.into_inner().passphrase).into()))
    }

    async fn invite(
        &self,
        request: Request<wire::InviteRequest>,
    ) -> Result<Response<wire::InviteAnswer>, Status> {
        self.allowed()?;
        let invite = Invite::try_from(request.into_inner())?;
        assert!(invite.role != "signer" || invite.root.is_some());
        let expires = now().after(invite.lasts);
        Ok(Response::new(
            Invited { token: "smartfw-token-x".into(), expires, address: "10.0.0.1:7470".into() }.into(),
        ))
    }

    async fn enter(
        &self,
        request: Request<wire::EnterRequest>,
    ) -> Result<Response<wire::EnterAnswer>, Status> {
        self.allowed()?;
        assert_eq!(request.into_inner().address, "10.0.0.1:7470");
        let entered = Entered {
            cluster: "prod".into(),
            site: "default".into(),
            name: "web-2".into(),
            role: "node".into(),
            node: NodeId([2; 32]),
            members: 2,
            ahead: 0,
        };
        Ok(Response::new(entered.into()))
    }

    async fn leave(&self, _: Request<wire::LeaveRequest>) -> Result<Response<wire::LeaveAnswer>, Status> {
        self.allowed()?;
        Ok(Response::new(wire::LeaveAnswer { cluster: "prod".into() }))
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Result<Response<Self::ListNodesStream>, Status> {
        Ok(once(self.script.nodes.clone().into()))
    }

    async fn list_fleet_blocks(
        &self,
        _: Request<wire::ListFleetBlocksRequest>,
    ) -> Result<Response<Self::ListFleetBlocksStream>, Status> {
        Ok(once(self.script.fleet_blocks.clone().into()))
    }

    async fn list_orders(
        &self,
        _: Request<wire::ListOrdersRequest>,
    ) -> Result<Response<Self::ListOrdersStream>, Status> {
        let given = self.given.lock().unwrap().clone();
        let orders = given.iter().flat_map(|given| &given.orders).map(|signed| {
            let order = decode_order(&signed.bytes).unwrap();
            StandingOrder { order, targets: 1, expires: None }.try_into().unwrap()
        });
        let chunk = wire::OrderChunk { orders: orders.collect() };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(chunk)]))))
    }

    async fn covers(
        &self,
        request: Request<wire::CoversRequest>,
    ) -> Result<Response<wire::CoversAnswer>, Status> {
        let target = request.into_inner().target.unwrap();
        let net: IpNet = wire::CheckAllowedRequest { target: Some(target) }.try_into().unwrap();
        let covers = Covers {
            covers: vec![(NodeId([2; 32]), Version { epoch: 1, sequence: 9 })],
            orders: vec![7],
            lasts: Some(Duration::from_secs(7200)),
            targets: vec![net],
            total: 1,
            more: net.prefix_len() < 24,
        };
        Ok(Response::new(covers.into()))
    }

    async fn check_targets(
        &self,
        request: Request<wire::CheckTargetsRequest>,
    ) -> Result<Response<wire::CheckTargetsAnswer>, Status> {
        let (targets, force) = <(Vec<IpNet>, bool)>::try_from(request.into_inner())?;
        let bad = targets.into_iter().filter(|target| !force && Some(*target) == self.script.refuse);
        Ok(Response::new(bad.map(|target| (target, refused(target))).collect::<Vec<_>>().into()))
    }

    async fn give(&self, request: Request<wire::GiveRequest>) -> Result<Response<wire::GiveAnswer>, Status> {
        self.allowed()?;
        if self.script.calls.is_some_and(|most| self.given.lock().unwrap().len() >= most) {
            return Err(Status::failed_precondition("too many orders wait"));
        }
        self.take(request.into_inner().try_into()?);
        Ok(Response::new(wire::GiveAnswer { members: 3 }))
    }

    async fn revoke(
        &self,
        request: Request<wire::RevokeRequest>,
    ) -> Result<Response<wire::RevokeAnswer>, Status> {
        self.allowed()?;
        self.take(request.into_inner().try_into()?);
        Ok(Response::new(wire::RevokeAnswer { expelled: 1 }))
    }
}
