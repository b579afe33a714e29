use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;

const LINKS: [Link; 7] =
    [Link::Ethernet, Link::LinuxCooked, Link::LinuxCooked2, Link::Null, Link::Loop, Link::Raw, Link::Ppp];

/// Frames that reach deep, to be damaged.
fn valid() -> Vec<(Link, Vec<u8>)> {
    let inner = v4(TCP, &tcp((1, 80), (5, 6), PSH | ACK, b"GET / HTTP/1.1\r\n\r\n"));
    let bridged = ethernet(0x0800, &inner);
    let fragment = v6(44, &[&[TCP, 0, 0, 1, 0, 0, 0, 9][..], &syn()].concat());
    let chain = [[60, 0, 1, 4, 0, 0, 0, 0], [43, 0, 1, 4, 0, 0, 0, 0], [UDP, 0, 0, 0, 0, 0, 0, 0]].concat();
    let vlan = [&[0x81u8, 0, 0, 7, 8, 0][..], &inner].concat();
    vec![
        (Link::Ethernet, bridged.clone()),
        (Link::Ethernet, ethernet(0x88a8, &[&[0, 7][..], &vlan].concat())),
        (Link::Ethernet, ethernet(0x8847, &[&[0, 1, 0, 64, 0, 2, 1, 64][..], &inner].concat())),
        (Link::Ethernet, ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 42, 0, 0x21][..], &inner].concat())),
        (Link::Raw, v4(UDP, &udp((9, 4789), &[&[8, 0, 0, 0, 0, 0, 7, 0][..], &bridged].concat()))),
        (Link::Raw, v4(UDP, &udp((9, 6081), &[&[1, 0, 0x65, 0x58][..], &[0; 8], &bridged].concat()))),
        (Link::Raw, v4(47, &[&[0x30, 0, 0x22, 0xeb][..], &[0; 20], &bridged].concat())),
        (Link::Raw, v6(0, &[chain, udp((53, 9), &[7; 30])].concat())),
        (Link::Raw, fragment),
        (Link::Raw, v4(4, &v4(41, &v6(ICMP6, &[128, 0, 0, 0, 0, 0, 0, 0])))),
        (Link::Null, [&[2, 0, 0, 0][..], &inner].concat()),
        (Link::LinuxCooked2, [&[8, 0][..], &[0; 18], &inner].concat()),
    ]
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        3 => (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: Vec<Damage>) -> Vec<u8> {
    for damage in damages {
        let room = bytes.len().max(1);
        match damage {
            Damage::Flip(at, bits) => {
                if let Some(byte) = bytes.get_mut(at.index(room)) {
                    *byte ^= bits;
                }
            }
            Damage::Cut(at) => bytes.truncate(at.index(room)),
            Damage::Insert(at, more) => {
                let at = at.index(room).min(bytes.len());
                bytes.splice(at..at, more);
            }
        }
    }
    bytes
}

/// Whatever is reported was on the wire: what a length of segments adds is their headers alone.
fn holds_no_more_than_the_wire(frame: &Frame<'_>) -> Result<(), TestCaseError> {
    let Ok(Some(packet)) = parse(frame) else { return Ok(()) };
    prop_assert!(packet.transport.payload_len() <= frame.wire_len);
    prop_assert!(packet.segments >= 1);
    let one = parse(&Frame { gso_size: u16::MAX, ..*frame }).unwrap().unwrap();
    prop_assert!(one.bytes <= frame.wire_len.max(one.segments * frame.wire_len.min(1 << 20)));
    if one.segments == 1 {
        prop_assert!(one.bytes <= frame.wire_len, "{} of {}", one.bytes, frame.wire_len);
    }
    if let Transport::Tcp(Tcp { payload, payload_len, .. })
    | Transport::Udp(Udp { payload, payload_len, .. }) = packet.transport
    {
        prop_assert!(payload.len() <= payload_len as usize);
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bytes_of_any_link_type_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..200),
        link in prop::sample::select(&LINKS[..]),
        longer in prop_oneof![Just(0), 0..70_000u32, any::<u32>()],
        gso_size in any::<u16>(),
    ) {
        let wire_len = longer.saturating_add(bytes.len() as u32);
        holds_no_more_than_the_wire(&Frame { wire_len, gso_size, ..frame(link, &bytes) })?;
    }

    #[test]
    fn damaged_frames_are_read_or_refused(
        (link, bytes) in prop::sample::select(valid()),
        damages in vec(damage(), 1..6),
        gso_size in prop_oneof![Just(0), any::<u16>()],
    ) {
        let bytes = damaged(bytes, damages);
        holds_no_more_than_the_wire(&Frame { gso_size, ..frame(link, &bytes) })?;
    }

    #[test]
    fn a_wire_length_below_what_was_captured_is_not_believed(
        (link, bytes) in prop::sample::select(valid()),
        wire_len in 0..40u32,
    ) {
        let honest = parse(&frame(link, &bytes));
        prop_assert_eq!(parse(&Frame { wire_len, ..frame(link, &bytes) }), honest);
    }
}

#[test]
fn every_frame_to_be_damaged_is_valid() {
    for (link, bytes) in valid() {
        assert!(matches!(parse(&frame(link, &bytes)), Ok(Some(_))), "{bytes:02x?}");
    }
}
