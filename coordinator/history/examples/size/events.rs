//! Events as a fleet of two hundred nodes sends them, about 300 bytes each, the same in every run. Each is made from its
//! number alone, so that whoever asks knows what the answer must be.

use std::net::{IpAddr, Ipv4Addr};

use smartfw_core::{Class, IpNet, Time, fleet::NodeId};
use smartfw_history::{Event, EventKind};

/// Nodes of the fleet, but for the rare ones.
const NODES: u64 = 200;

/// Nanoseconds between events: ten million in a bit more than a day.
const BETWEEN: u64 = 10_000_000;

/// When the first event happens, in seconds.
const BEGIN: u64 = 1_700_000_000;

/// Attackers, the first of them much busier than the last.
const ATTACKERS: f64 = 100_000.0;

/// Which events have a rare value: those whose number leaves `at` when it is divided by `every`.
#[derive(Clone, Copy)]
pub(crate) struct Rare {
    every: u64,
    at: u64,
}

/// The classes that few events have; those before them in the list are common, the last one never comes.
pub(crate) const RARE_CLASSES: [(Class, Rare); 2] = rare([Class::Anomaly, Class::Feed], 0);

/// The nodes that tell little.
pub(crate) const RARE_NODES: [(u64, Rare); 2] = rare([NODES, NODES + 1], 10);

/// The ends of the addresses that are seen seldom.
pub(crate) const RARE_ENDS: [(u8, Rare); 2] = rare([1, 2], 20);

/// One value in so many that several are in each segment's neighbour, and one that is in few segments.
const fn rare<T: Copy>(values: [T; 2], at: u64) -> [(T, Rare); 2] {
    [(values[0], Rare { every: 31_250, at }), (values[1], Rare { every: 200_000, at: at + 1 })]
}

impl Rare {
    /// How many there are from this number up to and with that one.
    pub(crate) const fn within(self, from: u64, to: u64) -> u64 {
        self.below(to + 1) - self.below(from)
    }

    const fn below(self, end: u64) -> u64 {
        (end + self.every - 1 - self.at) / self.every
    }

    /// The value that the event with this number has of these.
    fn of<T: Copy>(values: &[(T, Self)], number: u64) -> Option<T> {
        let mut having = values.iter().filter(|(_, rare)| number % rare.every == rare.at);
        having.next().map(|(value, _)| *value)
    }
}

/// The moment of the event with this number.
pub(crate) fn time(number: u64) -> Time {
    Time::from_nanos(BEGIN * 1_000_000_000 + number * BETWEEN)
}

/// The node with this number.
pub(crate) fn node(number: u64) -> NodeId {
    let part = |salt: u64| mix(number * 5 + salt).to_be_bytes();
    let mut id = [0; 32];
    id.as_chunks_mut().0.iter_mut().zip(1..).for_each(|(chunk, salt)| *chunk = part(salt));
    NodeId(id)
}

/// A class that many events have.
pub(crate) fn class(chance: u64) -> Class {
    Class::ALL[(chance % 8).min(chance / 8 % 8) as usize]
}

/// A node that tells much.
pub(crate) fn busy_node(chance: u64) -> u64 {
    chance % NODES
}

/// The attacker of this rank.
pub(crate) fn attacker(rank: u32) -> IpNet {
    IpNet::from(IpAddr::from(Ipv4Addr::from(0x0100_0000 + rank.wrapping_mul(2_654_435_761) % 0xd000_0000)))
}

/// An address that is no attacker's of any rank.
pub(crate) fn seldom(end: u8) -> IpNet {
    IpNet::from(IpAddr::from([240, 0, 0, end]))
}

/// The event with this number.
pub(crate) fn event(number: u64) -> Event {
    let chance = mix(number);
    let node_number = Rare::of(&RARE_NODES, number).unwrap_or_else(|| busy_node(chance >> 50));
    let class = Rare::of(&RARE_CLASSES, number).unwrap_or_else(|| class(chance >> 32));
    let rank = ATTACKERS.powf((chance % 1_000_003) as f64 / 1_000_003.0) as u32;
    let address = Rare::of(&RARE_ENDS, number).map_or_else(|| attacker(rank), seldom);
    let kind = EventKind::ALL[(chance >> 40) as usize % 3];
    Event {
        node: format!("web-{node_number}"),
        id: node(node_number),
        epoch: 1,
        sequence: number,
        time: time(number),
        kind,
        address: Some(address),
        class: Some(class),
        body: body(chance, node_number, kind, class, address),
    }
}

fn body(chance: u64, node: u64, kind: EventKind, class: Class, address: IpNet) -> String {
    let noise = format!("{:032x}{:032x}", mix(chance), mix(!chance));
    format!(
        r#"{{"kind":"{kind}","id":"{chance:016x}","node":"web-{node}","source":"{}","class":"{class}","confidence":0.{:02},"detector":"rules","evidence":"handshake","count":{},"reason":"{} ports in {}.{} s","action":"block","trace":"{}"}}"#,
        address.addr(),
        chance >> 8 & 63,
        chance >> 16 & 15,
        chance >> 20 & 1023,
        chance >> 24 & 15,
        chance >> 28 & 7,
        &noise[..48],
    )
}

/// A number that looks drawn by chance (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
