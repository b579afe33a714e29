//! A member that hears us, over a real connection.

use std::sync::{Mutex, atomic::AtomicBool, atomic::Ordering};

use smartfw_core::fleet::NodeId;
use smartfw_identity::{
    Identity, Role, Roles,
    tls::{Accepted, Listening},
};
use smartfw_proto::{
    convert::FleetMember,
    wire::{
        AnnounceAnswer, ExpelAnswer, ExpelRequest,
        announcement_server::{Announcement, AnnouncementServer},
    },
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use super::*;
use crate::testing::Cluster;

/// A member, and what it heard.
struct Member {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    expelled: Arc<Mutex<Vec<Vec<u8>>>>,
    refuses: Arc<AtomicBool>,
    _net: Net,
}

/// What a member answers.
struct Ear {
    heard: Arc<Mutex<Vec<String>>>,
    expelled: Arc<Mutex<Vec<Vec<u8>>>>,
    refuses: Arc<AtomicBool>,
    answer: Announced,
}

#[tonic::async_trait]
impl Announcement for Ear {
    async fn announce(&self, request: Request<AnnounceRequest>) -> Result<Response<AnnounceAnswer>, Status> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Status::unavailable("the driver is busy"));
        }
        self.heard.lock().unwrap().push(request.into_inner().address);
        Ok(Response::new(self.answer.clone().into()))
    }

    async fn expel(&self, request: Request<ExpelRequest>) -> Result<Response<ExpelAnswer>, Status> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Status::failed_precondition("a revocation was not signed by whom it names"));
        }
        self.expelled.lock().unwrap().push(request.into_inner().revocation);
        Ok(Response::new(ExpelAnswer {}))
    }
}

impl Member {
    async fn start(identity: Identity, revocations: Vec<Vec<u8>>) -> Self {
        let set = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let net = Net::new(Current::new(identity.clone()), set);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let Accepted { members, listener, .. } =
            net.listen(listener, Listening { roles: Roles::SERVING, joiners: false });
        let this = FleetMember {
            id: identity.id(),
            name: "web-1".into(),
            site: "default".into(),
            address: address.to_string(),
            state: "alive".into(),
        };
        let other = FleetMember { id: NodeId([7; 32]), address: "192.0.2.7:7470".into(), ..this.clone() };
        let lasts = Duration::from_secs(3600);
        let answer = Announced { lasts, members: vec![this, other], revocations };
        let (heard, refuses) = (Arc::<Mutex<_>>::default(), Arc::<AtomicBool>::default());
        let expelled = Arc::<Mutex<_>>::default();
        let ear = Ear { heard: heard.clone(), expelled: expelled.clone(), refuses: refuses.clone(), answer };
        let server = tonic::transport::Server::builder().add_service(AnnouncementServer::new(ear));
        tokio::spawn(async move {
            let _listener = listener;
            server.serve_with_incoming(members).await
        });
        Self { address, heard, expelled, refuses, _net: net }
    }
}

fn announcing_with(cluster: &Cluster, folder: &std::path::Path, seeds: Vec<SocketAddr>) -> Announcing {
    let name = format!("memory-{}", clock::now().as_nanos());
    let identity = cluster.admit(&name, Role::Coordinator);
    let (current, trust) = (Current::new(identity.clone()), identity.trust().clone());
    let revocations = Arc::new(Revocations::in_memory(trust));
    Announcing {
        net: Arc::new(Net::new(current.clone(), revocations.clone())),
        current,
        revocations,
        view: Arc::default(),
        health: Arc::default(),
        known: Arc::new(Known::load(folder, seeds)),
        advertise: None,
        listen: SocketAddr::from(([0, 0, 0, 0], 7471)),
        heard: Arc::default(),
    }
}

#[tokio::test]
async fn a_member_hears_where_we_are_and_we_hear_who_is_there_and_who_is_expelled() {
    let (cluster, folder) = (Cluster::found("prod"), tempfile::tempdir().unwrap());
    let expelled = cluster.admit("web-9", Role::Node);
    let nonsense = vec![1, 2, 3];
    let revocations = vec![nonsense, cluster.revoke(&expelled)];
    let member = Member::start(cluster.admit("web-1", Role::Node), revocations).await;
    // Nobody is at the first seed: the second is asked.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let announcing = announcing_with(&cluster, folder.path(), vec![nobody, member.address]);
    assert_eq!(announcing.once().await, Some(Duration::from_secs(3600)));
    // The address that leads to the member, with the port that is listened on.
    assert_eq!(*member.heard.lock().unwrap(), ["127.0.0.1:7471"]);
    assert_eq!(announcing.view.nodes().len(), 2);
    assert!(announcing.revocations.check(expelled.member()).is_err());
    // After a restart without seeds the members of the last answer are asked.
    let again = announcing_with(&cluster, folder.path(), Vec::new());
    let again = Announcing { advertise: Some("192.0.2.1:1".parse().unwrap()), ..again };
    assert!(again.once().await.is_some());
    assert_eq!(member.heard.lock().unwrap()[1], "192.0.2.1:1");
}

#[tokio::test]
async fn that_nobody_hears_is_shown_and_is_worse_when_the_fleet_has_forgotten() {
    let (cluster, folder) = (Cluster::found("prod"), tempfile::tempdir().unwrap());
    let member = Member::start(cluster.admit("web-1", Role::Node), Vec::new()).await;
    member.refuses.store(true, Ordering::SeqCst);
    // Who is of another cluster is no member.
    let foreign = Member::start(Cluster::found("prod").admit("web-1", Role::Node), Vec::new()).await;
    let announcing = announcing_with(&cluster, folder.path(), vec![member.address, foreign.address]);
    assert_eq!(announcing.once().await, None);
    assert!(foreign.heard.lock().unwrap().is_empty());
    for (until, level) in [(clock::now().after(EVERY), Level::Warn), (Time::ZERO, Level::Error)] {
        announcing.unheard(until);
        assert_eq!(announcing.health.list()[0].level, level);
    }
}

fn expelling(cluster: &Cluster, folder: &std::path::Path, seeds: Vec<SocketAddr>) -> Expelling {
    let Announcing { net, current, revocations, known, .. } = announcing_with(cluster, folder, seeds);
    Expelling { net, current, revocations, known }
}

#[tokio::test]
async fn who_is_expelled_is_told_to_members_and_kept_here() {
    let (cluster, folder) = (Cluster::found("prod"), tempfile::tempdir().unwrap());
    let (whom, other) = (cluster.admit("web-9", Role::Node), cluster.admit("web-8", Role::Node));
    let expelled = Member::start(whom.clone(), Vec::new()).await;
    let member = Member::start(cluster.admit("web-1", Role::Node), Vec::new()).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let expelling = expelling(&cluster, folder.path(), vec![expelled.address, nobody, member.address]);
    let statement = cluster.revoke(&whom);
    expelling.expel(whom.id(), statement.clone()).await.unwrap();
    assert_eq!(*member.expelled.lock().unwrap(), [statement]);
    assert!(expelled.expelled.lock().unwrap().is_empty(), "it is told by nobody that it is out");
    assert!(expelling.revocations.check(whom.member()).is_err());
    assert!(expelling.revocations.check(other.member()).is_ok());
}

#[tokio::test]
async fn what_no_member_takes_expels_nobody_here_and_says_why() {
    let (cluster, folder) = (Cluster::found("prod"), tempfile::tempdir().unwrap());
    let whom = cluster.admit("web-9", Role::Node);
    let own = Member::start(whom.clone(), Vec::new()).await;
    let alone = expelling(&cluster, folder.path(), vec![own.address]);
    let refused = alone.expel(whom.id(), cluster.revoke(&whom)).await.unwrap_err();
    assert!(matches!(refused, NotExpelled::Nobody), "{refused}");
    let member = Member::start(cluster.admit("web-1", Role::Node), Vec::new()).await;
    member.refuses.store(true, Ordering::SeqCst);
    let refusing = expelling(&cluster, folder.path(), vec![own.address, member.address]);
    let refused = refusing.expel(whom.id(), cluster.revoke(&whom)).await.unwrap_err();
    assert!(refused.to_string().contains("not signed by whom it names"), "{refused}");
    for set in [&alone.revocations, &refusing.revocations] {
        assert!(set.check(whom.member()).is_ok());
    }
    // Seven that are not there stand before the one that is: six are tried.
    let closed = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut seeds: Vec<SocketAddr> = (0..7).map(|_| closed()).collect();
    member.refuses.store(false, Ordering::SeqCst);
    seeds.push(member.address);
    let far = expelling(&cluster, folder.path(), seeds);
    assert!(far.expel(whom.id(), cluster.revoke(&whom)).await.is_err());
    far.expel(whom.id(), cluster.revoke(&whom)).await.unwrap();
}

#[test]
fn a_member_of_an_earlier_version_is_told_apart_from_one_that_refuses() {
    let why = |status: Status| expelling::not_heard(status).to_string();
    assert!(why(Status::unimplemented("")).contains("of a version"));
    assert!(why(Status::failed_precondition("it is forged")).contains("it is forged"));
    assert!(why(Status::unavailable("ending")).contains("none of the members"));
}
