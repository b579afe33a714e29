//! Datagrams on their way from the socket to the driver: what is nobody's is left here, before it costs the driver
//! anything, and whatever strangers send, there is room for members.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use smartfw_core::members::{MAX_DATAGRAM, is_for};
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::{Input as FleetInput, stream::Shared};
use crate::inbox::Input;

/// Datagrams from where members are that wait for the driver: a second of the largest fleet's. What does not fit is
/// lost, as datagrams are.
const MEMBERS: usize = 1024;
/// Datagrams from elsewhere: of those who come for the first time, or from an address that nobody knows of them.
const OTHERS: usize = 64;
/// Datagrams that the driver is given at once: it looks around only once for all of them.
const BATCH: usize = 32;
/// How long to wait when the system does not give what has arrived.
const BREATH: Duration = Duration::from_millis(50);

/// A datagram, and its room in the driver's queue.
pub struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Takes datagrams in, for ever.
pub(super) async fn receive(shared: Arc<Shared>, udp: UdpSocket) {
    let door = Door { shared, members: room(MEMBERS), others: room(OTHERS) };
    let mut bytes = [0; MAX_DATAGRAM + 1];
    loop {
        let Ok((length, from)) = udp.recv_from(&mut bytes).await else {
            // An earlier datagram's ICMP error, or one that lasts.
            sleep(BREATH).await;
            continue;
        };
        let mut batch = Vec::new();
        batch.extend(door.admit(from, &bytes[..length]));
        for _ in 1..BATCH {
            let Ok((length, from)) = udp.try_recv_from(&mut bytes) else { break };
            batch.extend(door.admit(from, &bytes[..length]));
        }
        if !batch.is_empty() {
            door.shared.inbox.send(Input::Fleet(FleetInput::Datagrams(batch)));
        }
    }
}

fn room(size: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(size))
}

struct Door {
    shared: Arc<Shared>,
    members: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Door {
    /// The datagram, where it may be for us and there is room.
    fn admit(&self, from: SocketAddr, bytes: &[u8]) -> Option<Datagram> {
        let counters = &self.shared.counters.fleet;
        counters.datagrams.add(1);
        let room = if self.shared.links.is_address(from) { &self.members } else { &self.others };
        let fits = is_for(&self.shared.me, bytes).then(|| room.clone().try_acquire_owned().ok()).flatten();
        if fits.is_none() {
            counters.datagrams_dropped.add(1);
        }
        fits.map(|room| Datagram { from, bytes: bytes.to_vec(), _room: room })
    }
}
