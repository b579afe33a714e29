//! One datagram a record. What the network loses nobody hears of; a closed port is heard of at the next record.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{UdpSocket, lookup_host};

use crate::{settings::HostPort, trouble::Trouble};

#[derive(Debug)]
pub(super) struct Link {
    to: HostPort,
    socket: Option<UdpSocket>,
}

impl Link {
    pub(super) const fn new(to: HostPort) -> Self {
        Self { to, socket: None }
    }

    pub(super) async fn send(&mut self, records: &[Vec<u8>], done: &mut usize) -> Result<(), Trouble> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => open(&self.to).await.map_err(|error| Trouble::unreachable(&error))?,
        };
        let socket = self.socket.insert(socket);
        for record in records {
            socket.send(record).await.map_err(|error| Trouble::unreachable(&error))?;
            *done += 1;
        }
        Ok(())
    }

    /// The next record looks the name up again.
    pub(super) fn close(&mut self) {
        self.socket = None;
    }
}

async fn open(to: &HostPort) -> std::io::Result<UdpSocket> {
    let found = lookup_host((to.host.as_str(), to.port)).await?.next();
    let address = found.ok_or_else(|| std::io::Error::other("the name has no address"))?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket)
}
