//! What was open before the node looked.

use smartfw_core::sensor::OpenConnection;

use crate::{EnforceError, netlink::sockets::Sockets};

/// Connections that are told: as many as the sensor follows. A host with more has the sensor's table full anyway.
const LIMIT: usize = 131_072;

/// The established TCP connections of this network namespace. The other end began those on a port on which somebody
/// here listens.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn open_connections() -> Result<Vec<OpenConnection>, EnforceError> {
    let asked = Sockets::open()?.open_connections(LIMIT);
    let (open, listening) = asked.map_err(|failure| {
        EnforceError::system("looking for open connections")(nix::Error::from_raw(failure.code()))
    })?;
    let told = |found: crate::netlink::sockets::Found| OpenConnection {
        local: found.local,
        remote: (found.remote, found.remote_port),
        remote_began: listening.contains(&found.local.1),
    };
    Ok(open.into_iter().map(told).collect())
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn both_ends_of_a_connection_over_loopback_are_told_and_who_began_it() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let open = open_connections().unwrap();
            let ends = |socket: &TcpStream| {
                let end = |end: SocketAddr| (end.ip(), end.port());
                (end(socket.local_addr().unwrap()), end(socket.peer_addr().unwrap()))
            };
            for (socket, remote_began) in [(&server, true), (&client, false)] {
                let (local, remote) = ends(socket);
                assert!(open.contains(&OpenConnection { local, remote, remote_began }), "{open:?}");
            }
        }
    }
}
