//! Events as a fleet of two hundred nodes would send them, 300 bytes each, the same in every run.

use std::net::Ipv4Addr;

use smartfw_core::{Class, IpNet, Time, fleet::NodeId};
use smartfw_history::{Event, EventKind};

/// Nodes of the fleet.
pub(crate) const NODES: u64 = 200;

/// Events a second: ten million in a bit more than a day.
const RATE: u64 = 100;

/// When the first event happens.
const BEGIN: u64 = 1_700_000_000;

/// The moment of the event with this number.
pub(crate) fn time(number: u64) -> Time {
    Time::from_nanos(BEGIN * 1_000_000_000 + number * (1_000_000_000 / RATE))
}

/// The node with this number.
pub(crate) fn node(number: u64) -> NodeId {
    let mut id = [0; 32];
    id.as_chunks_mut::<8>()
        .0
        .iter_mut()
        .zip(1..)
        .for_each(|(part, salt)| *part = mix(number * 5 + salt).to_be_bytes());
    NodeId(id)
}

/// One of a hundred thousand attackers, the first of them much busier than the last.
pub(crate) fn attacker(chance: u64) -> IpNet {
    let rank = 100_000f64.powf((chance % 1_000_003) as f64 / 1_000_003.0) as u32;
    IpNet::from(std::net::IpAddr::from(Ipv4Addr::from(
        0x0100_0000 + rank.wrapping_mul(2_654_435_761) % 0xd000_0000,
    )))
}

/// The event with this number.
pub(crate) fn event(number: u64) -> Event {
    let chance = mix(number);
    let (node_number, sequence) = (number % NODES, number / NODES);
    let address = attacker(chance);
    let class = Class::ALL[(chance >> 32) as usize % Class::ALL.len()];
    let kind = EventKind::ALL[(chance >> 40) as usize % 3];
    let mut body = format!(
        r#"{{"kind":"{kind}","id":"{chance:016x}","node":"web-{node_number}","source":"{}","class":"{class}","confidence":0.{:02},"detector":"rules","evidence":"handshake","count":{},"reason":"{} ports in {}.{} s","action":"block"}}"#,
        address.addr(),
        chance >> 8 & 63,
        chance >> 16 & 15,
        chance >> 20 & 1023,
        chance >> 24 & 15,
        chance >> 28 & 7,
    );
    let filling = 270usize.saturating_sub(body.len());
    body.insert_str(
        1,
        &format!(
            r#""trace":"{}","#,
            &format!("{:032x}{:032x}", mix(chance), mix(!chance))[..filling.min(64)]
        ),
    );
    Event {
        node: format!("web-{node_number}"),
        id: node(node_number),
        epoch: 1,
        sequence,
        time: time(number),
        kind,
        address: Some(address),
        class: Some(class),
        body,
    }
}

/// A number that looks drawn by chance (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
