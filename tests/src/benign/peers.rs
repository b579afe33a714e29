//! Those who talk to many hosts, as a scanner that sweeps a network does, but for honest reasons.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    ops::Range,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, ensure};

use super::Guest;
use crate::{
    peers::{self, Manner, Peer},
    simulation::Chance,
    web::Connection,
};

/// How often a peer that has not answered is asked again.
const ATTEMPTS: u32 = 3;
/// The pause between two questions to one peer.
const AGAIN: Duration = Duration::from_secs(2);
/// Peers with whom a conversation is kept up.
const FRIENDS: usize = 6;

/// A program of a network without a middle, such as one that shares files or calls people: it asks each peer that it
/// remembers on the peer's own port, from one socket, again where nothing comes back; where a program is gone it tries
/// the web's port; and it keeps up a few conversations.
pub(super) fn peer_to_peer(guest: &Guest<'_>) -> Result<()> {
    // Two visits are not the same: how many are remembered, in what order, and how hastily they are asked.
    let mut chance = Chance::new(moment());
    let mut known: Vec<Peer> = peers::all(guest.v6).collect();
    for last in (1..known.len()).rev() {
        known.swap(last, chance.below(last + 1));
    }
    known.truncate(16 + chance.below(known.len() - 15));
    let pace = Duration::from_millis([60, 120, 250, 600][chance.below(4)]);
    let socket = UdpSocket::bind(if guest.v6 { "[::]:0" } else { "0.0.0.0:0" })?;
    socket.set_nonblocking(true)?;
    let mut talk = Talk { socket, chance, asked: BTreeSet::new(), answered: BTreeSet::new() };
    talk.introduce(guest, &known, pace)?;
    talk.converse(guest, &known)?;
    talk.hear();
    let missed = talk.asked.difference(&talk.answered).count();
    // What was sent last is still under way.
    ensure!(missed <= 2 + talk.asked.len() / 20, "{missed} of {} peers did not answer", talk.asked.len());
    Ok(())
}

/// What one program says and hears.
struct Talk {
    socket: UdpSocket,
    chance: Chance,
    /// Peers that answer and were asked.
    asked: BTreeSet<IpAddr>,
    answered: BTreeSet<IpAddr>,
}

impl Talk {
    /// Asks everybody, those who are silent again.
    fn introduce(&mut self, guest: &Guest<'_>, known: &[Peer], pace: Duration) -> Result<()> {
        let mut waiting: Vec<(&Peer, u32, Instant)> = Vec::new();
        let mut fresh = known.iter();
        while guest.stop.sleep(pace) {
            self.hear();
            waiting.retain(|(peer, ..)| !self.answered.contains(&peer.address));
            let due = waiting.iter().position(|(.., at)| at.elapsed() >= AGAIN);
            let (peer, attempt) = match due.map(|i| waiting.swap_remove(i)) {
                Some((peer, attempt, _)) => (peer, attempt + 1),
                None => match fresh.next() {
                    Some(peer) => (peer, 1),
                    None if waiting.is_empty() => break,
                    None => continue,
                },
            };
            self.say(peer, 20..140)?;
            match peer.manner {
                Manner::Gone => call(guest, peer),
                _ if attempt < ATTEMPTS => waiting.push((peer, attempt, Instant::now())),
                _ => {}
            }
        }
        Ok(())
    }

    /// Says something to a few of those who answered, about twice a second to one of them, until the end.
    fn converse(&mut self, guest: &Guest<'_>, known: &[Peer]) -> Result<()> {
        let friends: Vec<&Peer> =
            known.iter().filter(|peer| self.answered.contains(&peer.address)).take(FRIENDS).collect();
        let busy = self.chance.percent(50);
        let pause = Duration::from_millis(if busy { 25 } else { 450 });
        while !friends.is_empty() && guest.stop.sleep(pause) {
            let friend = friends[self.chance.below(friends.len())];
            self.say(friend, if busy { 200..1300 } else { 20..200 })?;
            self.hear();
        }
        Ok(())
    }

    fn say(&mut self, peer: &Peer, lengths: Range<usize>) -> Result<()> {
        let length = lengths.start + self.chance.below(lengths.len());
        self.socket.send_to(&[0x2a; 1500][..length], (peer.address, peer.port))?;
        if peer.manner == Manner::Answers {
            self.asked.insert(peer.address);
        }
        Ok(())
    }

    fn hear(&mut self) {
        let mut buffer = [0; 1500];
        while let Ok((_, from)) = self.socket.recv_from(&mut buffer) {
            self.answered.insert(from.ip());
        }
    }
}

/// Where the program is gone its host may have another: the peer's own port by TCP, then the web's.
fn call(guest: &Guest<'_>, peer: &Peer) {
    for port in [peer.port, 80] {
        let limit = Duration::from_millis(500);
        if guest.stop.reached() {
            return;
        }
        if let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::new(peer.address, port), limit) {
            let _ = stream.set_read_timeout(Some(limit));
            let _ = stream.write_all(b"HEAD / HTTP/1.0\r\n\r\n");
            let _ = stream.read(&mut [0; 1000]);
        }
    }
}

/// A balancer that looks every few seconds whether each of sixty-four sites is well, over connections that it does not
/// keep.
pub(super) fn site_checks(guest: &Guest<'_>) -> Result<()> {
    let mut chance = Chance::new(moment());
    let pause = Duration::from_millis([5, 40, 100][chance.below(3)]);
    loop {
        for peer in peers::all(guest.v6) {
            Connection::open(peer.address)?.get("/index.html")?;
            if !guest.stop.sleep(pause) {
                return Ok(());
            }
        }
        if !guest.stop.sleep(Duration::from_secs(4)) {
            return Ok(());
        }
    }
}

/// A seed that no two visits have in common.
fn moment() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}
