//! Attacks on members, as short as they can be and still be seen for what they are.

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    time::Duration,
};

use super::{Fleet, SPREAD, address, address6};
use crate::process::until;

/// An answer comes within this, or the packets are dropped.
const PATIENCE: Duration = Duration::from_millis(30);
/// So many ports without an answer, one after the other, and the attacker looks whether it is dropped: closed ones
/// refuse at once.
const GIVES_UP: usize = 4;
/// Which ports an attacker asks.
const PORTS: Range<u16> = 1000..1200;

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

    /// An attack that is proven: many ports asked, after a handshake with one that is open. It ends when the node
    /// drops the attacker, which it must.
    #[track_caller]
    pub fn attack(&self, node: usize, from: impl Into<IpAddr>) {
        let from = from.into();
        self.wire.pose(from);
        let victim: IpAddr = if from.is_ipv4() { address(node).into() } else { address6(node).into() };
        let _open = self.open(node, &[8080]);
        let dropped = || self.drops(node, from);
        let scan = || {
            let proof = TcpStream::connect_timeout(&SocketAddr::new(victim, 8080), SPREAD).unwrap();
            let mut silent = 0;
            for port in PORTS {
                silent = if answers(SocketAddr::new(victim, port)) { 0 } else { silent + 1 };
                // A busy machine may be silent, too.
                if silent >= GIVES_UP && dropped() {
                    break;
                }
            }
            drop(proof);
        };
        self.wire.attacker.inside(scan).unwrap();
        let seen = until("the node drops its attacker", SPREAD, dropped);
        let said = || ["status", "alerts"].map(|what| self.guards[node].order(&[what]));
        assert!(
            seen.is_ok(),
            "{from} asked node {node}: {seen:?}, in the kernel {:?}; it says {:#?}",
            self.kernel(node),
            said()
        );
        let next = || answers(SocketAddr::new(victim, PORTS.end));
        assert!(
            !self.wire.attacker.inside(next).unwrap(),
            "{from} is answered by node {node}, which drops it"
        );
    }
}

/// Whether a port accepts or refuses at once.
fn answers(port: SocketAddr) -> bool {
    let asked = TcpStream::connect_timeout(&port, PATIENCE);
    asked.err().is_none_or(|error| error.kind() != ErrorKind::TimedOut)
}
