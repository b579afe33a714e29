use super::*;

#[test]
fn a_tcp_header_is_read_whole() {
    let packet = v4(TCP, &tcp((40_000, 443), (0x1234_5678, 0x9abc_def0), PSH | ACK, b"hello"));
    let Transport::Tcp(tcp) = read(Link::Raw, &packet).transport else { panic!() };
    assert_eq!((tcp.source_port, tcp.destination_port), (40_000, 443));
    assert_eq!((tcp.sequence, tcp.acknowledgement), (0x1234_5678, 0x9abc_def0));
    assert_eq!((tcp.window, tcp.payload_len, tcp.payload), (1024, 5, &b"hello"[..]));
    assert_eq!(std::format!("{:?}", tcp.flags), "PA");
}

#[test]
fn options_are_not_payload() {
    let mut segment = tcp((1, 80), (0, 0), SYN, &[2, 4, 5, 0xb4, b'x']);
    segment[12] = 6 << 4;
    let packet = v4(TCP, &segment);
    let Transport::Tcp(tcp) = read(Link::Raw, &packet).transport else { panic!() };
    assert_eq!((tcp.payload_len, tcp.payload), (1, &b"x"[..]));
}

#[test]
fn control_bits_mean_what_they_mean_together() {
    let flags = |bits| TcpFlags(bits);
    assert!(flags(SYN).is_syn() && flags(SYN | URG | PSH | 0xc0).is_syn());
    for bits in [0, ACK, SYN | ACK, SYN | RST, SYN | FIN] {
        assert!(!flags(bits).is_syn(), "{:?}", flags(bits));
    }
    assert!(flags(SYN | ACK).is_syn_ack() && flags(SYN | ACK | 0x40).is_syn_ack());
    for bits in [SYN, ACK, SYN | ACK | RST] {
        assert!(!flags(bits).is_syn_ack(), "{:?}", flags(bits));
    }
    assert!(flags(RST | ACK).is_rst() && flags(FIN | ACK).is_fin() && flags(FIN | ACK).is_ack());
    assert!(!flags(ACK).is_rst() && !flags(ACK).is_fin() && !flags(SYN).is_ack());
}

#[test]
fn a_header_cut_anywhere_is_refused_by_its_name() {
    let cases = [
        (TCP, tcp((1, 80), (0, 0), SYN, b""), Malformed::TcpHeader),
        (UDP, udp((1, 53), b""), Malformed::UdpHeader),
        (ICMP, vec![8, 0, 0, 0], Malformed::IcmpHeader),
    ];
    for (protocol, content, why) in cases {
        assert!(parse(&frame(Link::Raw, &v4(protocol, &content))).is_ok());
        for end in 0..content.len() {
            assert_eq!(refused(&v4(protocol, &content[..end])), why, "{protocol} cut at {end}");
        }
    }
    for end in 0..4 {
        assert_eq!(refused(&v6(ICMP6, &[128, 0, 0, 0][..end])), Malformed::IcmpHeader);
    }
}

#[test]
fn a_tcp_header_that_does_not_fit_is_refused() {
    let mut segment = syn();
    segment[12] = 4 << 4;
    assert_eq!(refused(&v4(TCP, &segment)), Malformed::TcpHeader);
    segment[12] = 6 << 4;
    assert_eq!(refused(&v4(TCP, &segment)), Malformed::TcpHeader);
}

#[test]
fn a_datagram_is_as_long_as_it_says_where_that_can_be() {
    let mut short = udp((1, 53), b"abcd");
    short[5] = 10;
    let packet = v4(UDP, &short);
    let Transport::Udp(read) = read(Link::Raw, &packet).transport else { panic!() };
    assert_eq!((read.payload_len, read.payload), (2, &b"ab"[..]));
    for length in [7, 13] {
        let mut wrong = udp((1, 53), b"abcd");
        wrong[5] = length;
        assert_eq!(refused(&v4(UDP, &wrong)), Malformed::UdpHeader);
    }
    let mut jumbo = udp((1, 53), b"abcd");
    jumbo[5] = 0;
    assert_eq!(super::read(Link::Raw, &v4(UDP, &jumbo)).transport.payload_len(), 4);
}

#[test]
fn icmp_types_are_told_apart() {
    let v4_type = |kind| read(Link::Raw, &v4(ICMP, &[kind, 0, 0, 0, 0, 0, 0, 0])).transport_icmp();
    let v6_type = |kind| read(Link::Raw, &v6(ICMP6, &[kind, 0, 0, 0, 0, 0, 0, 0])).transport_icmp();
    assert_eq!((v4_type(8), v6_type(128)), (Icmp::EchoRequest, Icmp::EchoRequest));
    assert_eq!((v4_type(0), v6_type(129)), (Icmp::EchoReply, Icmp::EchoReply));
    assert_eq!((v4_type(3), v6_type(1)), (Icmp::Unreachable, Icmp::Unreachable));
    assert_eq!((v4_type(13), v6_type(139)), (Icmp::Other(13), Icmp::Other(139)));
    for error in [4, 5, 11, 12] {
        assert_eq!(v4_type(error), Icmp::Error, "type {error} answers a packet");
    }
    for error in [2, 3, 4, 100, 127] {
        assert_eq!(v6_type(error), Icmp::Error, "type {error} answers a packet");
    }
    for discovery in [130, 133, 134, 135, 136, 137, 143] {
        assert_eq!(v6_type(discovery), Icmp::Discovery);
    }
}

impl Packet<'_> {
    fn transport_icmp(&self) -> Icmp {
        match self.transport {
            Transport::Icmp(icmp) => icmp,
            other => panic!("{other:?}"),
        }
    }
}
