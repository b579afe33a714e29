use super::*;

/// Segments and bytes of a TCP frame with so much payload.
fn counted(payload: usize, gso_size: u16) -> (u32, u32) {
    let packet = v4(TCP, &tcp((1, 80), (0, 0), ACK, &vec![0; payload]));
    let frame = Frame { gso_size, ..frame(Link::Raw, &packet) };
    let packet = parse(&frame).unwrap().unwrap();
    (packet.segments, packet.bytes)
}

#[test]
fn a_merged_frame_counts_as_the_segments_that_were_on_the_wire() {
    let (mut segments, mut bytes) = (0, 0);
    for _ in 0..45 {
        let one = counted(1448, 0);
        (segments, bytes) = (segments + one.0, bytes + one.1);
    }
    assert_eq!(counted(45 * 1448, 1448), (segments, bytes));
    assert_eq!(counted(45 * 1448, 0), (segments, bytes), "guessed where nobody recorded it");
}

#[test]
fn a_rest_is_a_segment_of_its_own() {
    assert_eq!(counted(2897, 1448).0, 3);
    assert_eq!(counted(2896, 1448).0, 2);
    assert_eq!(counted(1, 1448).0, 1);
    assert_eq!(counted(0, 1448), (1, 40));
}

#[test]
fn full_segments_of_every_usual_path_stay_one() {
    for payload in [1380, 1428, 1440, 1448, 1460] {
        assert_eq!(counted(payload, 0).0, 1, "{payload} bytes");
    }
    assert_eq!(counted(1461, 0).0, 2);
}

#[test]
fn merged_datagrams_are_counted_too() {
    let packet = v4(UDP, &udp((1, 443), &[0; 6000]));
    let merged = Frame { gso_size: 1200, ..frame(Link::Raw, &packet) };
    assert_eq!(parse(&merged).unwrap().unwrap().segments, 5);
    assert_eq!(read(Link::Raw, &packet).segments, 1, "a large datagram is one without a word");
}

#[test]
fn no_frame_is_longer_than_a_kernel_can_make_it() {
    let mut packet = v4(UDP, &udp((1, 443), &[0; 100]));
    packet[2..4].fill(0);
    packet[24..26].fill(0);
    let forged = Frame { wire_len: u32::MAX, ..frame(Link::Raw, &packet) };
    assert_eq!(parse(&forged).unwrap().unwrap().bytes, 1 << 20);
}
