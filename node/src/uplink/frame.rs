//! An event as it lies in a piece of the buffer: its length, a sum over length and event, the event.

use prost::Message as _;
use smartfw_core::Event;
use smartfw_proto::{limits, wire};

/// What is before each event: its length and the sum, little-endian.
const HEAD: usize = 8;
/// The shortest frame that there is: a sequence, a time and a kind.
pub(super) const SHORTEST: u64 = HEAD as u64 + 13;
/// Bytes of an event around its body, at most.
const AROUND: usize = 128;

/// Appends an event.
pub(super) fn write(event: Event, to: &mut Vec<u8>) {
    let payload = wire::NodeEvent::from(event).encode_to_vec();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    to.extend_from_slice(&length);
    to.extend_from_slice(&sum(length, &payload).to_le_bytes());
    to.extend_from_slice(&payload);
}

/// The event at the beginning of `bytes`, and where the next one begins; `None` where there is no whole one.
pub(super) fn read(bytes: &[u8]) -> Option<(Event, usize)> {
    let length: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    let expected = u32::from_le_bytes(bytes.get(4..HEAD)?.try_into().ok()?);
    let long = usize::try_from(u32::from_le_bytes(length)).ok()?;
    if long > limits::EVENT + AROUND {
        return None;
    }
    let payload = bytes.get(HEAD..HEAD + long)?;
    if sum(length, payload) != expected {
        return None;
    }
    let event = wire::NodeEvent::decode(payload).ok()?;
    Some((event.try_into().ok()?, HEAD + long))
}

/// Over the length, too: bytes that are all zero are no event.
fn sum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&length);
    sum.update(payload);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smartfw_core::{Class, EventKind, Time};

    use super::*;

    fn event(sequence: u64, body: &str) -> Event {
        Event {
            sequence,
            time: Time::from_secs(5),
            kind: EventKind::Alert,
            address: Some("2001:db8::/64".parse().unwrap()),
            class: Some(Class::BruteForce),
            body: body.to_owned(),
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_written_and_a_changed_one_is_none() {
        let mut bytes = Vec::new();
        write(event(u64::MAX, &"x".repeat(limits::EVENT)), &mut bytes);
        write(event(2, "{}"), &mut bytes);
        let (first, next) = read(&bytes).unwrap();
        assert_eq!(first.sequence, u64::MAX);
        assert_eq!(read(&bytes[next..]).unwrap(), (event(2, "{}"), bytes.len() - next));
        let second = bytes.split_off(next);
        for at in 0..second.len() {
            let mut changed = second.clone();
            changed[at] ^= 1;
            assert_eq!(read(&changed), None, "{at}");
            assert_eq!(read(&second[..at]), None, "{at}");
        }
        assert_eq!(read(&[0; 64]), None, "what a crash left empty");
    }

    #[test]
    fn no_event_is_shorter_than_the_shortest() {
        let mut bytes = Vec::new();
        let bare = Event { address: None, class: None, body: String::new(), ..event(1, "") };
        write(bare, &mut bytes);
        assert_eq!(bytes.len() as u64, SHORTEST);
    }

    proptest! {
        #[test]
        fn whatever_lies_there_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
