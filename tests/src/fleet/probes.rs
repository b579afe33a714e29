//! When each node's kernel begins to drop an address, told by the packets themselves: numbered datagrams go out to
//! every node at once at a steady pace, and the first that does not arrive tells.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Wire, address, address6};
use crate::process::{Stop, until};

/// Where they go: nobody answers, which is no offence below ten thousand in ten seconds.
const PORT: u16 = 9;
/// What nobody has heard for so long is dropped.
const SILENCE: Duration = Duration::from_millis(250);
/// How long probes go out at most.
const LONGEST: Duration = Duration::from_secs(15);

/// Datagrams on their way to every node.
#[derive(Debug)]
pub struct Probes {
    stop: Stop,
    pace: Duration,
    sender: JoinHandle<Vec<Instant>>,
    ears: Vec<JoinHandle<()>>,
    heard: Arc<[Heard]>,
    sent: Arc<AtomicU64>,
}

/// What a node has heard.
#[derive(Debug, Default)]
struct Heard {
    count: AtomicU64,
    /// The highest number, plus one.
    next: AtomicU64,
}

impl Probes {
    /// Sends one to each node at every `pace`, from this address; waits until every node has heard some.
    pub fn start(wire: &Wire, from: IpAddr, pace: Duration) -> Self {
        wire.lend(from);
        let (stop, sent) = (Stop::after(LONGEST), Arc::<AtomicU64>::default());
        let heard: Arc<[Heard]> = wire.nodes.iter().map(|_| Heard::default()).collect();
        let mut ears = Vec::new();
        for (node, namespace) in wire.nodes.iter().enumerate() {
            let socket = namespace.inside(|| UdpSocket::bind(SocketAddr::from(([0_u16; 8], PORT)))).unwrap();
            let (socket, stop, heard) = (socket.unwrap(), stop.clone(), heard.clone());
            ears.push(thread::spawn(move || listen(&socket, &stop, &heard[node])));
        }
        let socket = wire.attacker.inside(|| UdpSocket::bind((from, 0))).unwrap().unwrap();
        let to = |node| if from.is_ipv4() { address(node).into() } else { address6(node).into() };
        let to: Vec<SocketAddr> = (0..wire.nodes.len()).map(|node| SocketAddr::new(to(node), PORT)).collect();
        let (ending, counter) = (stop.clone(), sent.clone());
        let sender = thread::spawn(move || send(&socket, &to, pace, &ending, &counter));
        let all = || heard.iter().all(|heard| heard.count.load(SeqCst) > 20);
        until("every node hears the probes", Duration::from_secs(5), all).unwrap();
        Self { stop, pace, sender, ears, heard, sent }
    }

    /// Waits until nobody hears them any more.
    pub fn silenced(&self, limit: Duration) -> bool {
        let behind = (SILENCE.as_micros() / self.pace.as_micros()) as u64;
        let silent = |heard: &Heard| heard.next.load(SeqCst) + behind < self.sent.load(SeqCst);
        until("all is dropped", limit, || self.heard.iter().all(silent)).is_ok()
    }

    /// Ends them: when the first that each node did not hear any more was sent, and how many were lost before.
    pub fn end(self) -> Vec<(Option<Instant>, u64)> {
        self.stop.now();
        let sent = self.sender.join().unwrap();
        self.ears.into_iter().for_each(|ear| ear.join().unwrap());
        let dropped = |heard: &Heard| {
            let (next, count) = (heard.next.load(SeqCst), heard.count.load(SeqCst));
            (sent.get(next as usize).copied(), next - count)
        };
        self.heard.iter().map(dropped).collect()
    }
}

fn send(
    socket: &UdpSocket,
    to: &[SocketAddr],
    pace: Duration,
    stop: &Stop,
    counter: &AtomicU64,
) -> Vec<Instant> {
    hurry();
    let mut sent = Vec::new();
    while !stop.reached() {
        let now = Instant::now();
        for to in to {
            // A node that drops and one that cannot be reached are the same to who sends.
            let _ = socket.send_to(&(sent.len() as u64).to_be_bytes(), to);
        }
        sent.push(now);
        counter.store(sent.len() as u64, SeqCst);
        thread::sleep(pace.saturating_sub(now.elapsed()));
    }
    sent
}

fn listen(socket: &UdpSocket, stop: &Stop, heard: &Heard) {
    widen(socket);
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut number = [0; 8];
    while !stop.reached() {
        if socket.recv(&mut number).is_ok_and(|length| length == number.len()) {
            heard.count.fetch_add(1, SeqCst);
            heard.next.fetch_max(u64::from_be_bytes(number) + 1, SeqCst);
        }
    }
}

/// Probes go out in time however busy the machine is. Without the right to it they go out as they can.
fn hurry() {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: the structure lives until the call returns; only the calling thread is changed.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) };
}

/// A busy ear must not lose what has come: that would look like a drop.
fn widen(socket: &UdpSocket) {
    let bytes: libc::c_int = 8 << 20;
    let length = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the option is an integer that lives until the call returns; the socket is open.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const bytes).cast(),
            length,
        );
    }
}
