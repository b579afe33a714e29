use super::*;

fn refused_as(bytes: &[u8], why: Malformed) {
    assert_eq!(refused(bytes), why, "{bytes:02x?}");
}

/// An extension header of `words` times eight bytes more than its first eight.
fn extension(next: u8, words: u8) -> Vec<u8> {
    let mut header = vec![next, words];
    header.resize(8 + usize::from(words) * 8, 0);
    header
}

#[test]
fn options_stand_before_the_content() {
    let mut packet = v4(TCP, &[&[7, 7, 4, 0, 0, 0, 0, 0][..], &syn()].concat());
    packet[0] = 0x47;
    assert_eq!(port(&read(Link::Raw, &packet)), 80);
    assert_eq!(read(Link::Raw, &packet).bytes, 48);
}

#[test]
fn a_header_shorter_than_it_can_be_is_refused() {
    let mut packet = v4(TCP, &syn());
    packet[0] = 0x44;
    refused_as(&packet, Malformed::IpHeader);
    packet[0] = 0x4f;
    refused_as(&packet[..40], Malformed::IpHeader);
    refused_as(&packet[..19], Malformed::IpHeader);
    refused_as(&v6(TCP, &syn())[..39], Malformed::IpHeader);
    refused_as(&[], Malformed::IpHeader);
    refused_as(&[0x50; 60], Malformed::IpVersion);
}

#[test]
fn a_length_of_0_is_a_segmented_send() {
    let mut packet = v4(TCP, &tcp((1, 80), (0, 0), ACK, &[0; 5000]));
    packet[2..4].fill(0);
    let read = read(Link::Raw, &packet);
    assert_eq!(read.transport.payload_len(), 5000);
    assert_eq!(read.segments, 4);
}

#[test]
fn a_promise_of_more_than_was_on_the_wire_is_refused() {
    let mut packet = v4(TCP, &syn());
    packet[3] = 41;
    refused_as(&packet, Malformed::IpLength);
    packet[3] = 19;
    refused_as(&packet, Malformed::IpLength);
    let mut packet = v6(TCP, &syn());
    packet[5] += 1;
    refused_as(&packet, Malformed::IpLength);
}

#[test]
fn padding_is_not_counted() {
    let mut bytes = ethernet(0x0800, &v4(TCP, &syn()));
    bytes.resize(60, 0);
    let packet = read(Link::Ethernet, &bytes);
    assert_eq!((packet.bytes, packet.transport.payload_len()), (40, 0));
    let Transport::Tcp(tcp) = packet.transport else { panic!("{packet:?}") };
    assert_eq!(tcp.payload, b"");
}

#[test]
fn what_was_not_captured_is_counted_all_the_same() {
    let packet = v4(TCP, &tcp((1, 80), (0, 0), ACK, &[0; 1000]));
    let cut = Frame { wire_len: 1040, ..frame(Link::Raw, &packet[..60]) };
    let packet = parse(&cut).unwrap().unwrap();
    assert_eq!((packet.bytes, packet.transport.payload_len()), (1040, 1000));
}

#[test]
fn a_wrong_checksum_is_no_reason_to_refuse() {
    let mut packet = v4(TCP, &syn());
    packet[10..12].fill(0xff);
    packet[36..38].fill(0xff);
    assert_eq!(port(&read(Link::Raw, &packet)), 80);
}

#[test]
fn mapped_addresses_are_the_ipv4_addresses_that_they_are() {
    let packet = ip(address("::ffff:192.0.2.7"), address("2001:db8::2"), TCP, &syn());
    assert_eq!(read(Link::Raw, &packet).source, address("192.0.2.7"));
}

#[test]
fn extension_headers_are_walked() {
    for kind in [0, 43, 60, 135, 139, 140] {
        for words in [0, 1, 4] {
            let packet = v6(kind, &[&extension(TCP, words), &syn()[..]].concat());
            let read = read(Link::Raw, &packet);
            assert_eq!((port(&read), read.bytes as usize), (80, packet.len()), "header {kind}");
        }
    }
    // Authentication counts words of four, less two.
    let packet = v6(51, &[&[TCP, 4][..], &[0; 22], &syn()].concat());
    assert_eq!(port(&read(Link::Raw, &packet)), 80);
    let chain = [extension(60, 0), extension(43, 1), extension(TCP, 0), syn()].concat();
    assert_eq!(port(&read(Link::Raw, &v6(0, &chain))), 80);
}

#[test]
fn extension_headers_are_refused_when_cut_and_when_too_many() {
    refused_as(&v6(0, &[6]), Malformed::ExtensionHeader);
    refused_as(&v6(0, &extension(TCP, 4)[..39]), Malformed::ExtensionHeader);
    refused_as(&v6(44, &[TCP, 0, 0]), Malformed::ExtensionHeader);
    let chain = |count: usize| [extension(60, 0).repeat(count - 1), extension(TCP, 0), syn()].concat();
    assert_eq!(port(&read(Link::Raw, &v6(60, &chain(11)))), 80);
    refused_as(&v6(60, &chain(12)), Malformed::ExtensionHeader);
}

#[test]
fn nothing_next_and_what_is_encrypted_are_only_named() {
    assert_eq!(read(Link::Raw, &v6(59, b"")).transport, Transport::Other(59));
    assert_eq!(read(Link::Raw, &v6(50, &[0; 16])).transport, Transport::Other(50));
    assert_eq!(read(Link::Raw, &v4(51, &[0; 24])).transport, Transport::Other(51));
}

#[test]
fn a_jumbogram_is_as_long_as_its_frame() {
    let mut packet = v6(TCP, &tcp((1, 80), (0, 0), ACK, &[0; 9000]));
    packet[4..6].fill(0);
    assert_eq!(read(Link::Raw, &packet).transport.payload_len(), 9000);
    // BIG TCP announces itself with a jumbo option.
    let hop = [TCP, 0, 0xc2, 4, 0, 2, 0, 0];
    let mut packet = v6(0, &[&hop[..], &tcp((1, 80), (0, 0), ACK, &[0; 9000])].concat());
    packet[4..6].fill(0);
    let frame = Frame { wire_len: 48 + 20 + 131_052, ..frame(Link::Raw, &packet) };
    let packet = parse(&frame).unwrap().unwrap();
    assert_eq!(packet.transport.payload_len(), 131_052);
}

#[test]
fn the_first_fragment_shows_its_port_and_later_ones_nothing() {
    let fragment = |offset: u16, content: &[u8]| {
        let mut packet = v4(TCP, content);
        packet[6..8].copy_from_slice(&offset.to_be_bytes());
        packet
    };
    assert_eq!(port(&read(Link::Raw, &fragment(0x2000, &syn()))), 80);
    assert_eq!(read(Link::Raw, &fragment(0x4000, &syn())).segments, 1, "don't fragment is not a fragment");
    let tiny = fragment(0x2000, &syn()[..8]);
    assert_eq!(read(Link::Raw, &tiny).transport, Transport::Fragment { destination_port: Some(80) });
    let tinier = fragment(0x2000, &syn()[..2]);
    assert_eq!(read(Link::Raw, &tinier).transport, Transport::Fragment { destination_port: None });
    for offset in [1, 0x2001, 0x1fff] {
        let later = fragment(offset, &syn());
        assert_eq!(read(Link::Raw, &later).transport, Transport::Fragment { destination_port: None });
    }
}

#[test]
fn fragments_of_ipv6_are_the_same() {
    let fragment = |word: u16, content: &[u8]| {
        let header = [TCP, 0, (word >> 8) as u8, word as u8, 0, 0, 0, 9];
        v6(44, &[&header[..], content].concat())
    };
    assert_eq!(port(&read(Link::Raw, &fragment(0, &syn()))), 80, "an atomic fragment is whole");
    assert_eq!(port(&read(Link::Raw, &fragment(1, &syn()))), 80);
    let tiny = fragment(1, &syn()[..8]);
    assert_eq!(read(Link::Raw, &tiny).transport, Transport::Fragment { destination_port: Some(80) });
    let later = fragment(8, &syn());
    assert_eq!(read(Link::Raw, &later).transport, Transport::Fragment { destination_port: None });
    // What follows a later fragment's header is content, whatever it looks like.
    let mut later = fragment(8, &[0xff; 8]);
    later[40] = 60;
    assert_eq!(read(Link::Raw, &later).transport, Transport::Fragment { destination_port: None });
}

#[test]
fn the_first_part_of_a_long_datagram_is_a_datagram() {
    let mut packet = v4(UDP, &udp((53, 5353), &[0; 2000])[..1480]);
    packet[6] = 0x20;
    assert_eq!(port(&read(Link::Raw, &packet)), 5353);
    assert_eq!(read(Link::Raw, &packet).transport.payload_len(), 1472);
}
