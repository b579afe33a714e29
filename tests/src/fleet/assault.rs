//! Attacks on members, as short as they can be and still be seen for what they are.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use super::{Fleet, address, address6};

/// An answer comes within this, or the packets are dropped.
const PATIENCE: Duration = Duration::from_millis(30);
/// So many ports without an answer, one after the other, and the attacker gives up: closed ones refuse at once.
const GIVES_UP: usize = 4;

/// Ports that are open on a node, until dropped; whoever connects is taken and hears nothing.
#[derive(Debug)]
pub struct Ports {
    _listeners: Vec<TcpListener>,
}

impl Fleet<'_> {
    /// Opens ports on a node, in both families.
    pub fn open(&self, node: usize, ports: &[u16]) -> Ports {
        let open = |port: &u16| TcpListener::bind(SocketAddr::from(([0_u16; 8], *port))).unwrap();
        Ports { _listeners: self.wire.nodes[node].inside(|| ports.iter().map(open).collect()).unwrap() }
    }

    /// An attack that is proven: many ports asked, after a handshake with one that is open. It ends when nothing
    /// answers any more; whether anything was dropped.
    pub fn attack(&self, node: usize, from: impl Into<IpAddr>) -> bool {
        let from = from.into();
        self.wire.pose(from);
        let victim: IpAddr = if from.is_ipv4() { address(node).into() } else { address6(node).into() };
        let _open = self.open(node, &[8080]);
        let scan = move || {
            let proof = connect(SocketAddr::new(victim, 8080));
            let mut silent = 0;
            for port in 1000..1200 {
                let refused = connect(SocketAddr::new(victim, port));
                let dropped = refused.is_err_and(|error| error.kind() == ErrorKind::TimedOut);
                silent = if dropped { silent + 1 } else { 0 };
                if silent == GIVES_UP {
                    break;
                }
            }
            drop(proof);
            silent == GIVES_UP
        };
        self.wire.attacker.inside(scan).unwrap()
    }
}

/// Connects, with little patience.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&to, PATIENCE)
}
