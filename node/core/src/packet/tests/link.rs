use super::*;

/// Puts `header` before a SYN to port 80 and expects to find the SYN.
fn finds_the_syn(link: Link, header: &[u8]) {
    let bytes = [header, &v4(TCP, &syn())].concat();
    let packet = read(link, &bytes);
    assert_eq!((packet.source, port(&packet)), (address("192.0.2.1"), 80), "{link:?} {header:02x?}");
    assert_eq!(packet.bytes, 40, "the link header is not counted");
    for end in 0..header.len() {
        let cut = parse(&frame(link, &bytes[..end]));
        assert!(!matches!(cut, Ok(Some(_))), "{link:?} cut at {end}");
    }
}

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn ethernet_header(rest: &[u8]) -> Vec<u8> {
    [&MACS[..], rest].concat()
}

#[test]
fn every_link_header_is_skipped() {
    finds_the_syn(Link::Ethernet, &ethernet_header(&[8, 0]));
    finds_the_syn(Link::Raw, &[]);
    finds_the_syn(Link::LinuxCooked, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]);
    let cooked2 = [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    finds_the_syn(Link::LinuxCooked2, &cooked2);
    finds_the_syn(Link::Null, &[2, 0, 0, 0]);
    finds_the_syn(Link::Null, &[0, 0, 0, 2]);
    finds_the_syn(Link::Loop, &[0, 0, 0, 2]);
    finds_the_syn(Link::Ppp, &[0, 0x21]);
    finds_the_syn(Link::Ppp, &[0xff, 3, 0, 0x21]);
}

#[test]
fn tags_labels_and_sessions_are_followed() {
    finds_the_syn(Link::Ethernet, &ethernet_header(&[0x81, 0, 0, 7, 8, 0]));
    finds_the_syn(Link::Ethernet, &ethernet_header(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9, 8, 0]));
    finds_the_syn(Link::Ethernet, &ethernet_header(&[0, 48, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]));
    finds_the_syn(Link::Ethernet, &ethernet_header(&[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64]));
    finds_the_syn(Link::Ethernet, &ethernet_header(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 42, 0, 0x21]));
    finds_the_syn(Link::LinuxCooked, &[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x81, 0, 0, 5, 8, 0]);
}

#[test]
fn every_address_family_of_ipv6_is_known_in_either_byte_order() {
    let packet = v6(TCP, &syn());
    for family in [10, 24, 28, 30] {
        for header in [[family, 0, 0, 0], [0, 0, 0, family]] {
            let bytes = [&header, &packet[..]].concat();
            assert_eq!(read(Link::Null, &bytes).source, address("2001:db8::1"), "family {family}");
        }
    }
    for (link, header) in [(Link::Ppp, [0, 0x57]), (Link::Ethernet, [0x86, 0xdd])] {
        let header = if link == Link::Ethernet { ethernet_header(&header) } else { header.to_vec() };
        assert_eq!(port(&read(link, &[&header, &packet[..]].concat())), 80);
    }
}

#[test]
fn what_is_not_ip_is_no_error() {
    let others: [(Link, &[u8]); 8] = [
        (Link::Ethernet, &ethernet_header(&[8, 6, 0, 1])),
        (Link::Ethernet, &ethernet_header(&[0x88, 0xcc, 2, 7])),
        (Link::Ethernet, &ethernet_header(&[0, 38, 0x42, 0x42, 3, 0, 0, 0, 0, 0])),
        (Link::Ethernet, &ethernet_header(&[0x88, 0x63, 0x11, 9, 0, 0, 0, 0])),
        (Link::Ethernet, &ethernet_header(&[0x88, 0x47, 0, 1, 1, 64, 0x00, 0])),
        (Link::Ppp, &[0xc0, 0x21, 1, 1]),
        (Link::Null, &[7, 0, 0, 0, 0]),
        (Link::Null, &[1, 2, 3, 4, 0]),
    ];
    for (link, bytes) in others {
        assert_eq!(parse(&frame(link, bytes)), Ok(None), "{link:?} {bytes:02x?}");
    }
}

#[test]
fn more_tags_than_any_network_nests_are_refused() {
    let tags = |count: usize| {
        let header = ethernet_header(&[0x81, 0, 0, 7].repeat(count));
        [&header, &[8, 0][..], &v4(TCP, &syn())].concat()
    };
    assert_eq!(port(&read(Link::Ethernet, &tags(7))), 80);
    assert_eq!(parse(&frame(Link::Ethernet, &tags(8))), Err(Malformed::LinkHeader));
    let labels = ethernet_header(&[&[0x88, 0x47][..], &[0, 1, 0, 64].repeat(20)].concat());
    assert_eq!(parse(&frame(Link::Ethernet, &labels)), Err(Malformed::LinkHeader));
}

#[test]
fn link_types_have_the_numbers_of_capture_files() {
    let numbers = [
        (0, Link::Null),
        (1, Link::Ethernet),
        (9, Link::Ppp),
        (50, Link::Ppp),
        (12, Link::Raw),
        (14, Link::Raw),
    ];
    for (number, link) in numbers {
        assert_eq!(Link::from_dlt(number), Some(link));
    }
    let numbers = [(101, Link::Raw), (108, Link::Loop), (113, Link::LinuxCooked), (276, Link::LinuxCooked2)];
    for (number, link) in numbers {
        assert_eq!(Link::from_dlt(number), Some(link));
    }
    assert_eq!(Link::from_dlt(127), None, "radiotap is not understood");
}
