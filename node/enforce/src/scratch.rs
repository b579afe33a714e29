//! A proof that this host can drop packets, in a network namespace of its own, so that nothing else is touched.

use std::{
    fs::File,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sched::{CloneFlags, setns, unshare};
use smartfw_core::{
    BlockId, Class, IpNet, Strength, Time,
    enforcement::{Change, Entry, Note},
    prefix,
};

use crate::{EnforceError, Enforcer, Iptables, Options, command};

/// A datagram over a virtual wire takes microseconds.
const PATIENCE: Duration = Duration::from_millis(300);
/// The two ends of the wire, from the range for documentation.
const TARGET: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const ATTACKER: [&str; 2] = ["192.0.2.2", "2001:db8::2"];
const LENGTH: [&str; 2] = ["24", "64"];

/// What was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// A blocked IPv4 packet was dropped, and one before and one after the block came through.
    pub v4: bool,
    /// The same for IPv6.
    pub v6: bool,
    /// Where packets are dropped.
    pub hooks: Vec<String>,
}

/// Makes two network namespaces joined by a virtual wire, sends a packet, blocks its source, sends another, unblocks,
/// sends a third, and takes everything away again.
///
/// # Errors
/// When namespaces cannot be made (not root, or inside a container), or when the enforcer cannot be installed.
pub fn can_drop_in_scratch(options: Options) -> Result<Proof, EnforceError> {
    let prover = thread::Builder::new().name("scratch".into()).spawn(move || prove(options));
    let prover =
        prover.map_err(|source| EnforceError::System { what: "starting a thread".into(), source })?;
    // The thread's namespaces end with it.
    prover
        .join()
        .unwrap_or_else(|_| Err(EnforceError::Malformed { what: "the proof in a scratch namespace".into() }))
}

fn prove(options: Options) -> Result<Proof, EnforceError> {
    let target = namespace()?;
    let attacker = namespace()?;
    enter(&target)?;
    connect(&attacker)?;
    let mut enforcer = Iptables::open(options)?;
    let hooks = enforcer.install(&[])?.hooks;
    let mut proof = Proof { hooks, ..Proof::default() };
    proof.v4 = drops(&mut enforcer, &target, &attacker, 0)?;
    proof.v6 = drops(&mut enforcer, &target, &attacker, 1)?;
    Ok(proof)
}

/// A new namespace; the calling thread is in it.
fn namespace() -> Result<File, EnforceError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(EnforceError::system("making a network namespace"))?;
    let path = "/proc/thread-self/ns/net";
    File::open(path).map_err(EnforceError::file(path))
}

fn enter(namespace: &File) -> Result<(), EnforceError> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(EnforceError::system("entering a network namespace"))
}

/// Lays the wire from here to `other`; the thread comes back here.
fn connect(other: &File) -> Result<(), EnforceError> {
    let here = "/proc/thread-self/ns/net";
    let here = File::open(here).map_err(EnforceError::file(here))?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), other.as_raw_fd());
    ip(&["link", "add", "sfw-a", "type", "veth", "peer", "name", "sfw-b"])?;
    ip(&["link", "set", "sfw-b", "netns", &path])?;
    address("sfw-a", TARGET)?;
    enter(other)?;
    address("sfw-b", ATTACKER)?;
    enter(&here)
}

fn address(device: &str, addresses: [&str; 2]) -> Result<(), EnforceError> {
    ip(&["link", "set", device, "up"])?;
    for (address, length) in addresses.iter().zip(LENGTH) {
        let net = format!("{address}/{length}");
        let mut arguments = vec!["addr", "add", &net, "dev", device];
        if address.contains(':') {
            // Without waiting for an answer to "is this address taken?".
            arguments.push("nodad");
        }
        // A kernel without IPv6 fails the proof of IPv6 alone.
        let done = ip(&arguments);
        if !address.contains(':') {
            done?;
        }
    }
    Ok(())
}

fn drops(
    enforcer: &mut dyn Enforcer,
    target: &File,
    attacker: &File,
    family: usize,
) -> Result<bool, EnforceError> {
    let Some((receiver, sender)) = sockets(target, attacker, family)? else { return Ok(false) };
    let Ok(source) = ATTACKER[family].parse::<IpAddr>() else { return Ok(false) };
    let net = prefix::host(source);
    let before = arrives(&receiver, &sender);
    enforcer.apply(now(), &[Change::Block(entry(net))])?;
    let during = arrives(&receiver, &sender);
    let counted = enforcer.counters()?.get(&net).is_some_and(|counters| counters.packets > 0);
    enforcer.apply(now(), &[Change::Unblock(net)])?;
    let after = arrives(&receiver, &sender);
    Ok(before && !during && counted && after)
}

/// A socket in either namespace; `None` when there is no such family.
fn sockets(
    target: &File,
    attacker: &File,
    family: usize,
) -> Result<Option<(UdpSocket, UdpSocket)>, EnforceError> {
    let bind = |text: &str| {
        let address: IpAddr = text.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok::<_, io::Error>(socket)
    };
    enter(attacker)?;
    let sender = bind(ATTACKER[family]);
    enter(target)?;
    let receiver = bind(TARGET[family]);
    Ok(receiver.ok().zip(sender.ok()))
}

fn arrives(receiver: &UdpSocket, sender: &UdpSocket) -> bool {
    let to = receiver.local_addr();
    to.and_then(|to| sender.send_to(b"smartfw", to)).is_ok() && receiver.recv(&mut [0; 16]).is_ok()
}

fn entry(target: IpNet) -> Entry {
    let note = Note { id: BlockId(0), class: Class::Manual, origin: "selftest".into() };
    Entry { target, strength: Strength::Hard, expires: None, note }
}

fn ip(arguments: &[&str]) -> Result<(), EnforceError> {
    command::run("ip", arguments, b"").map(drop)
}

fn now() -> Time {
    Time::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
