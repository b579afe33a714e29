//! Opening and closing this node's part in a fleet.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use smartfw_core::fleet::NodeId;
use smartfw_identity::{Current, Identity, Judge, Revocations};
use smartfw_proto::convert::Told;
use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    FleetRefused, Opening,
    beside::{BesideOf, Opened},
    codec::PeerCodec,
    links::Links,
    network::{Network, Parts, Sockets, Udp},
    place::{FOLDER, Reach, is_identity},
    stream::Shared,
};
use crate::{
    clock,
    counters::Counters,
    health::{Health, Level, Matter},
    inbox::Inbox,
    mirror::Mouth,
    uplink::Uplink,
};

/// Members to dial because something waits for them.
const WANTED: usize = 64;
/// The peers' port.
const PORT: u16 = 7470;
/// How the folder of an identity begins that was given up.
const LEFT: &str = "identity.left-";

/// What opens and closes networks.
pub struct Control {
    /// The state folder.
    pub state_dir: PathBuf,
    /// Where to listen; `None`: on every address.
    pub listen: Option<SocketAddr>,
    /// The way to the driver.
    pub inbox: Inbox,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Where trouble shows.
    pub health: Arc<Health>,
    /// The way to coordinators.
    pub uplink: Uplink,
    /// The way to the mirror.
    pub mouth: Mouth,
    /// What is served beside the streams.
    pub beside: BesideOf,
    /// The network, and its parts until it begins.
    pub state: Mutex<State>,
}

/// A network, at work or about to be.
#[derive(Default)]
pub enum State {
    /// None.
    #[default]
    None,
    /// Opened: the driver is about to hear of it.
    Opened(Box<Waiting>),
    /// At work.
    Running(Box<Working>),
}

/// A network that has not begun.
pub struct Waiting(Parts);

/// A network that has.
pub struct Working(Network);

impl Control {
    /// Where the identity is.
    pub fn folder(&self) -> PathBuf {
        self.state_dir.join(FOLDER)
    }

    /// Whether there is an identity.
    pub fn has_identity(&self) -> bool {
        is_identity(&self.folder())
    }

    /// Reads the identity and binds its sockets; nothing is served before [`begin`](Self::begin). Without a `reach`, as at
    /// a start, the network waits for a port that is taken.
    ///
    /// # Errors
    /// When there is no identity, it cannot be used, or the sockets cannot be had.
    pub fn open(&self, reach: Option<&Reach>) -> Result<Opening, FleetRefused> {
        let folder = self.folder();
        if let State::Running(working) = &*self.state() {
            return Err(FleetRefused::InCluster(working.0.shared.cluster.clone()));
        }
        let unusable = |why: String| FleetRefused::Identity(format!("the identity cannot be used: {why}"));
        let identity = Identity::load(&folder, None).map_err(|error| unusable(error.to_string()))?;
        if let Some(reach) = reach {
            reach.save(&folder).map_err(|error| unusable(error.to_string()))?;
        }
        let patient = reach.is_none();
        let reach = Reach::load(&folder).map_err(|error| unusable(error.to_string()))?;
        let listen = self.listen.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, PORT).into());
        let bound = match Sockets::bind(listen) {
            Ok(bound) => Some(bound),
            // At a start nobody is there to be told: the network waits for the port.
            Err(_) if patient && listen.port() != 0 => None,
            Err(error) => {
                return Err(FleetRefused::System(format!(
                    "cannot listen for members on {listen}: {error}; choose another address by --listen"
                )));
            }
        };
        let local = bound.as_ref().map_or(Ok(listen), |bound| bound.tcp.local_addr());
        let address =
            local.and_then(|local| address(&reach, local)).map_err(|error| unusable(error.to_string()))?;
        self.put_together(identity, reach, (bound, listen), address)
    }

    /// Shows what lets nobody in.
    fn show(&self, revocations: &Revocations) {
        let Some(why) = revocations.unreadable() else { return self.health.clear(Matter::Revocations) };
        self.health.set(
            Matter::Revocations,
            Level::Error,
            format!("who was expelled from the cluster cannot be read, so no member is let in: {why}"),
            "restore the file, or copy that of another member, and restart the node; it goes on enforcing",
        );
    }

    fn put_together(
        &self,
        identity: Identity,
        reach: Reach,
        (sockets, listen): (Option<Sockets>, SocketAddr),
        address: SocketAddr,
    ) -> Result<Opening, FleetRefused> {
        let (me, trust) = (identity.id(), identity.trust().clone());
        let cluster = trust.cluster().to_string();
        let revocations = Arc::new(Revocations::open(&self.folder().join("revocations"), trust.clone()));
        self.show(&revocations);
        let judge = Arc::new(Judge::new(trust, revocations.clone(), PeerCodec));
        let (wanted, wants) = mpsc::channel(WANTED);
        let links = Arc::new(Links::new(me, self.inbox.clone(), self.counters.clone(), wanted));
        let udp = Udp::default();
        let by = sockets.as_ref().map_or(Ok(()), |sockets| udp.by(&sockets.udp));
        by.map_err(|error| FleetRefused::System(error.to_string()))?;
        let current = Current::new(identity);
        let epoch = Arc::<AtomicU64>::default();
        let places = watch::Sender::default();
        let opened =
            Opened { current: current.clone(), revocations: revocations.clone(), folder: self.folder() };
        let shared = Arc::new(Shared {
            me,
            cluster: cluster.clone(),
            current: current.clone(),
            revocations: revocations.clone(),
            judge: judge.clone(),
            links: links.clone(),
            inbox: self.inbox.clone(),
            counters: self.counters.clone(),
            health: self.health.clone(),
            epoch: epoch.clone(),
            judging: Semaphore::new(1),
        });
        let (beside, seeds) = ((self.beside)(&opened), reach.seeds.clone());
        let reported = (self.uplink.clone(), places.subscribe());
        let parts =
            Parts { shared, sockets, listen, udp: udp.clone(), wanted: wants, seeds, beside, reported };
        *self.state() = State::Opened(Box::new(Waiting(parts)));
        let (counters, health) = (self.counters.clone(), self.health.clone());
        Ok(Opening {
            cluster,
            current,
            revocations,
            judge,
            links,
            udp,
            address,
            seeds: reach.seeds,
            epoch,
            places,
            counters,
            health,
            mouth: self.mouth.clone(),
        })
    }

    /// Serves what was opened. The driver hears of it first.
    ///
    /// # Errors
    /// When threads or sockets cannot be had.
    pub fn begin(&self) -> io::Result<()> {
        let mut state = self.state();
        if let State::Opened(waiting) = std::mem::take(&mut *state) {
            *state = State::Running(Box::new(Working(Network::start(waiting.0)?)));
        }
        Ok(())
    }

    /// Ends the network; with `leave` the identity is put aside. This waits for its tasks.
    ///
    /// # Errors
    /// When it cannot be put aside.
    pub fn close(&self, leave: bool) -> Result<(), FleetRefused> {
        // Waited for without the lock, which those who ask take, too.
        let ended = std::mem::take(&mut *self.state());
        drop(ended);
        if !leave {
            return Ok(());
        }
        self.uplink.forget();
        let folder = self.folder();
        let aside = self.state_dir.join(format!("{LEFT}{}", clock::now().as_secs()));
        std::fs::rename(&folder, &aside).map_err(|error| {
            let folder = folder.display();
            FleetRefused::System(format!("left, but {folder} cannot be put aside: {error}; move it away"))
        })?;
        self.forget_earlier(&aside);
        Ok(())
    }

    /// Of the identities that were given up only the last is kept: each holds a private key.
    fn forget_earlier(&self, last: &Path) {
        let earlier = std::fs::read_dir(&self.state_dir).into_iter().flatten().flatten();
        for entry in earlier {
            let left = entry.file_name().to_str().is_some_and(|name| name.starts_with(LEFT));
            if left && entry.path() != last {
                let path = entry.path();
                if let Err(error) = std::fs::remove_dir_all(&path) {
                    tracing::warn!(path = %path.display(), %error, "an identity given up earlier cannot be removed");
                }
            }
        }
    }

    /// Adds revocations, and tells everybody what was new. This waits for the disk.
    ///
    /// # Errors
    /// When there is no cluster, or a statement does not hold.
    pub fn revoke(&self, statements: &[Vec<u8>]) -> Result<Vec<NodeId>, FleetRefused> {
        let shared = match &*self.state() {
            State::Running(working) => working.0.shared.clone(),
            _ => return Err(FleetRefused::NoCluster),
        };
        let inserted = shared.revocations.insert(statements.iter().map(Vec::as_slice));
        let (new, refused) = inserted.map_err(|error| FleetRefused::Order(error.to_string()))?;
        if !new.is_empty() {
            let signed = new.iter().map(|revocation| revocation.bytes().to_vec()).collect();
            shared.links.tell_all(None, &Told::Revocations(signed));
        }
        match refused {
            Some(why) if new.is_empty() => Err(FleetRefused::Order(why.to_string())),
            _ => Ok(new.into_iter().map(|revocation| revocation.node).collect()),
        }
    }

    /// How many members have a stream.
    pub fn connected(&self) -> usize {
        match &*self.state() {
            State::Running(working) => working.0.shared.links.count(),
            _ => 0,
        }
    }

    /// Closes every stream: those that are kept are opened again.
    #[cfg(test)]
    pub(super) fn close_streams(&self) {
        if let State::Running(working) = &*self.state() {
            working.0.shared.links.close_all();
        }
    }

    /// The cluster that this node takes part in, or is about to; asks nobody.
    pub fn cluster(&self) -> Option<String> {
        self.shared().map(|shared| shared.cluster.clone())
    }

    /// What this node is called in its cluster; asks nobody.
    pub fn name(&self) -> Option<String> {
        self.shared().map(|shared| shared.current.get().member().name.name.to_string())
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        match &*self.state() {
            State::Running(working) => Some(working.0.shared.clone()),
            State::Opened(waiting) => Some(waiting.0.shared.clone()),
            State::None => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where others reach us: what a person said; else what is listened on; else the address that leads to a seed, or out.
fn address(reach: &Reach, local: SocketAddr) -> io::Result<SocketAddr> {
    if let Some(address) = reach.advertise {
        return Ok(address);
    }
    if !local.ip().is_unspecified() {
        return Ok(local);
    }
    let outside = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), PORT));
    let towards = reach.seeds.iter().copied().chain([outside]);
    let found = towards.filter_map(|towards| source(towards).ok()).find(|ip| !ip.is_unspecified());
    let found = found.ok_or_else(|| {
        io::Error::other("no address is known at which others reach this node; give one by --advertise")
    })?;
    Ok((found, local.port()).into())
}

/// The address that the kernel would send from; nothing is sent.
fn source(towards: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr =
        if towards.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(towards)?;
    Ok(socket.local_addr()?.ip())
}
