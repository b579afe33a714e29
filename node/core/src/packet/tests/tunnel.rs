use super::*;

/// Expects the SYN to port 80 within `outer`, and its tunnel's ends.
fn carries_the_syn(outer: &[u8]) {
    let packet = read(Link::Raw, outer);
    assert_eq!(port(&packet), 80, "{outer:02x?}");
    let ends =
        if outer[0] >> 4 == 4 { ("192.0.2.1", "198.51.100.2") } else { ("2001:db8::1", "2001:db8::2") };
    assert_eq!(packet.tunnel, Some((address(ends.0), address(ends.1))));
}

fn inner() -> Vec<u8> {
    ip(address("10.0.0.1"), address("10.0.0.2"), TCP, &syn())
}

#[test]
fn ip_is_found_in_ip_of_either_version() {
    let inner6 = ip(address("fd00::1"), address("fd00::2"), TCP, &syn());
    for outer in [v4(4, &inner()), v4(41, &inner6), v6(4, &inner()), v6(41, &inner6)] {
        carries_the_syn(&outer);
    }
}

#[test]
fn gre_is_read_with_every_optional_field() {
    carries_the_syn(&v4(47, &[&[0, 0, 8, 0][..], &inner()].concat()));
    carries_the_syn(&v4(47, &[&[0x20, 0, 8, 0, 0, 0, 0, 7][..], &inner()].concat()));
    carries_the_syn(&v6(47, &[&[0x30, 0, 8, 0][..], &[0; 8], &inner()].concat()));
    carries_the_syn(&v4(47, &[&[0xb0, 0, 8, 0][..], &[0; 12], &inner()].concat()));
    let bridged = ethernet(0x0800, &inner());
    carries_the_syn(&v4(47, &[&[0, 0, 0x65, 0x58][..], &bridged].concat()));
}

#[test]
fn mirrored_ports_are_read() {
    let bridged = ethernet(0x0800, &inner());
    carries_the_syn(&v4(47, &[&[0, 0, 0x88, 0xbe][..], &bridged].concat()));
    carries_the_syn(&v4(47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0; 8], &bridged].concat()));
    carries_the_syn(&v4(47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0; 12], &bridged].concat()));
    let mut third = [0; 20];
    third[11] = 1;
    carries_the_syn(&v4(47, &[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &third, &bridged].concat()));
}

#[test]
fn overlays_are_read() {
    let bridged = ethernet(0x0800, &inner());
    let vxlan = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &bridged].concat();
    carries_the_syn(&v4(UDP, &udp((50_000, 4789), &vxlan)));
    let geneve = [&[1, 0, 0x65, 0x58, 0, 0, 7, 0, 0, 0, 0, 0][..], &bridged].concat();
    carries_the_syn(&v4(UDP, &udp((50_000, 6081), &geneve)));
    let routed = [&[0, 0, 8, 0, 0, 0, 7, 0][..], &inner()].concat();
    carries_the_syn(&v4(UDP, &udp((50_000, 6081), &routed)));
}

#[test]
fn what_only_uses_a_tunnels_port_stays_a_datagram() {
    for (port_, payload) in [(4789, &[0u8; 40][..]), (4789, b"hi"), (6081, &[0xff; 40]), (6081, b"hi")] {
        let packet = v4(UDP, &udp((50_000, port_), payload));
        let packet = read(Link::Raw, &packet);
        assert_eq!((port(&packet), packet.tunnel), (port_, None));
    }
    let arp = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &ethernet(0x0806, &[0; 28])].concat();
    assert_eq!(port(&read(Link::Raw, &v4(UDP, &udp((1, 4789), &arp)))), 4789);
}

#[test]
fn gre_of_other_versions_and_contents_is_only_named() {
    for header in [[0, 1, 0x88, 0x0b], [0x40, 0, 8, 0], [0, 0, 0x88, 0xcc], [0, 0, 0x12, 0x34]] {
        let packet = v4(47, &[&header[..], &[0; 40]].concat());
        assert_eq!(read(Link::Raw, &packet).transport, Transport::Other(47));
    }
    assert_eq!(refused(&v4(47, &[0, 0, 8])), Malformed::TunnelHeader);
    assert_eq!(refused(&v4(47, &[0xb0, 0, 8, 0, 1, 2, 3, 4])), Malformed::TunnelHeader);
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth| (0..depth).fold(v4(TCP, &syn()), |inner, _| v4(4, &inner));
    carries_the_syn(&nested(4));
    assert_eq!(refused(&nested(5)), Malformed::Nesting);
}

#[test]
fn lengths_inside_a_tunnel_are_the_inner_ones() {
    let inner = ip(address("10.0.0.1"), address("10.0.0.2"), TCP, &tcp((1, 80), (0, 0), ACK, &[0; 900]));
    let outer = v4(47, &[&[0, 0, 8, 0][..], &inner].concat());
    let cut = Frame { wire_len: outer.len() as u32, ..frame(Link::Raw, &outer[..80]) };
    let packet = parse(&cut).unwrap().unwrap();
    assert_eq!((packet.bytes, packet.transport.payload_len()), (940, 900));
}
