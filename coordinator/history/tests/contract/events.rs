//! Events of a small fleet, the same in every run.

use smartfw_core::{Class, IpNet, Time, fleet::NodeId};
use smartfw_history::{Event, EventKind};

/// A time after which nothing of the tests happens.
pub(crate) const NOW: Time = Time::from_secs(1_800_000_000);

/// The time so many seconds before [`NOW`].
pub(crate) fn ago(seconds: u64) -> Time {
    Time::from_secs(NOW.as_secs() - seconds)
}

/// The node with this number.
pub(crate) fn node(number: u64) -> NodeId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    NodeId(id)
}

/// An event of the first node, a day before [`NOW`] and so many seconds later.
pub(crate) fn event(sequence: u64) -> Event {
    Event {
        node: "web-1".to_owned(),
        id: node(1),
        epoch: 1,
        sequence,
        time: ago(100_000 - sequence),
        kind: EventKind::Alert,
        address: None,
        class: None,
        body: format!(r#"{{"kind":"alert","n":{sequence}}}"#),
    }
}

/// An event about an address.
pub(crate) fn about(sequence: u64, address: &str) -> Event {
    Event { address: Some(address.parse().unwrap()), ..event(sequence) }
}

/// So many events of five nodes in turn, of every kind and class, about few addresses, not always in order of time. What the
/// nodes are called changes: one has a name after the other, and several the same.
pub(crate) fn mixed(count: u64) -> Vec<Event> {
    (0..count).map(one_of_many).collect()
}

fn one_of_many(number: u64) -> Event {
    let chance = mix(number);
    let pick = |salt: u64, of: usize| (mix(chance ^ salt) % of as u64) as usize;
    let addresses =
        ["203.0.113.7/32", "203.0.113.0/24", "198.51.100.9/32", "2001:db8::7/128", "2001:db8::/32"];
    let address = addresses.get(pick(1, 6)).map(|text| text.parse::<IpNet>().unwrap());
    let kind = EventKind::ALL[pick(2, EventKind::ALL.len())];
    Event {
        node: format!("web-{}", (number % 5 + number / 700) % 6),
        id: node(number % 5),
        epoch: 1 + number / 500,
        sequence: number,
        time: Time::from_nanos(ago(5_000).as_nanos() + (number + chance % 7) / 4 * 1_000_000_000),
        kind,
        address,
        class: Class::ALL.get(pick(3, Class::ALL.len() + 1)).copied(),
        body: format!(
            r#"{{"kind":"{kind}","n":{number},"word":"{}"}}"#,
            ["alpha", "beta", "gamma"][pick(4, 3)]
        ),
    }
}

/// A number that looks drawn by chance (splitmix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
