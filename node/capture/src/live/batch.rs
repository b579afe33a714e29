//! The memory that one system call fills with frames, and how a frame is read out of it.

use std::time::{SystemTime, UNIX_EPOCH};

use smartfw_core::{
    Time,
    packet::{Direction, Frame, Link},
};

/// Frames received in one system call: enough that its cost vanishes, few enough that their headers stay in the cache.
pub(super) const BATCH: usize = 64;
/// Bytes kept of a frame. What GRO and TSO merge has up to 64 KiB; of the larger ones of BIG TCP the rest is cut off, and
/// only their length counts.
pub(super) const SNAPLEN: usize = 65_536;
/// Room before a frame for the VLAN tag that the kernel took out of it.
const HEADROOM: usize = 4;
/// From one frame's place to the next: no power of two, or all headers would compete for the same lines of the cache.
pub(super) const STRIDE: usize = SNAPLEN + 320;
/// Bytes of control messages per frame: the time stamp (16) and the auxiliary data (20), each behind 16 of header.
pub(super) const CONTROL: usize = 128;
/// `struct virtio_net_hdr`.
pub(super) const VNET_HEADER: usize = 10;

/// Room for a batch of frames, 4 MiB.
pub(super) struct Batch {
    data: Box<[u8]>,
    control: Box<[u8]>,
    headers: Box<[[u8; VNET_HEADER]]>,
    addresses: Box<[libc::sockaddr_ll]>,
    lengths: [(usize, usize); BATCH],
}

/// A batch's parts, for the system call to fill.
pub(super) struct Memory<'a> {
    pub(super) data: &'a mut [u8],
    pub(super) headroom: usize,
    pub(super) control: &'a mut [u8],
    pub(super) headers: &'a mut [[u8; VNET_HEADER]],
    pub(super) addresses: &'a mut [libc::sockaddr_ll],
    /// Of each frame: its length on the wire (with the header that precedes it), and that of its control messages.
    pub(super) lengths: &'a mut [(usize, usize); BATCH],
}

/// What the socket that filled a batch implies for all of its frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Frames begin with an Ethernet header.
    pub(super) ethernet: bool,
    /// Each frame is preceded by a `virtio_net_hdr`.
    pub(super) with_header: bool,
    /// What leaves comes back at once: only the coming back counts.
    pub(super) loopback: bool,
}

/// What the control messages of a frame say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Control {
    at: Option<Time>,
    /// Tag protocol and tag.
    vlan: Option<(u16, u16)>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let nobody = libc::sockaddr_ll {
            sll_family: 0,
            sll_protocol: 0,
            sll_ifindex: 0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        Self {
            data: vec![0; BATCH * STRIDE].into(),
            control: vec![0; BATCH * CONTROL].into(),
            headers: vec![[0; VNET_HEADER]; BATCH].into(),
            addresses: vec![nobody; BATCH].into(),
            lengths: [(0, 0); BATCH],
        }
    }

    pub(super) fn memory(&mut self) -> Memory<'_> {
        Memory {
            data: &mut self.data,
            headroom: HEADROOM,
            control: &mut self.control,
            headers: &mut self.headers,
            addresses: &mut self.addresses,
            lengths: &mut self.lengths,
        }
    }

    /// Which way the frame in `slot` went; `None` for a frame that is none of ours: for another host, or a copy.
    pub(super) fn direction(&self, slot: usize, kind: Kind) -> Option<Direction> {
        match self.addresses[slot].sll_pkttype {
            libc::PACKET_HOST | libc::PACKET_BROADCAST | libc::PACKET_MULTICAST => Some(Direction::In),
            libc::PACKET_OUTGOING if !kind.loopback => Some(Direction::Out),
            _ => None,
        }
    }

    /// Whether the frame in `slot` is one that the core can parse.
    pub(super) fn is_usable(&self, slot: usize, kind: Kind) -> bool {
        let protocol = i32::from(u16::from_be(self.addresses[slot].sll_protocol));
        kind.ethernet || [libc::ETH_P_IP, libc::ETH_P_IPV6].contains(&protocol)
    }

    /// The Ethernet source of the frame in `slot`.
    pub(super) fn source(&self, slot: usize) -> [u8; 6] {
        let start = slot * STRIDE + HEADROOM + 6;
        self.data[start..start + 6].try_into().unwrap_or_default()
    }

    /// The frame in `slot`, and when the kernel saw it.
    pub(super) fn frame(
        &mut self,
        slot: usize,
        kind: Kind,
        direction: Direction,
        trusted: bool,
    ) -> (Time, Frame<'_>) {
        let (length, control) = self.lengths[slot];
        let control = read_control(&self.control[slot * CONTROL..][..control.min(CONTROL)]);
        let mut wire_len = if kind.with_header { length.saturating_sub(VNET_HEADER) } else { length };
        let place = &mut self.data[slot * STRIDE..][..STRIDE];
        let mut end = HEADROOM + wire_len.min(STRIDE - HEADROOM);
        let mut start = HEADROOM;
        if let (true, Some((protocol, tag)), true) = (kind.ethernet, control.vlan, end >= HEADROOM + 12) {
            place.copy_within(HEADROOM..HEADROOM + 12, 0);
            place[12..14].copy_from_slice(&protocol.to_be_bytes());
            place[14..16].copy_from_slice(&tag.to_be_bytes());
            start = 0;
            wire_len += HEADROOM;
        }
        end = end.min(start + SNAPLEN);
        let frame = Frame {
            bytes: &place[start..end],
            link: if kind.ethernet { Link::Ethernet } else { Link::Raw },
            direction: Some(direction),
            wire_len: wire_len as u32,
            gso_size: if kind.with_header { gso_size(&self.headers[slot]) } else { 0 },
            trusted,
        };
        (control.at.unwrap_or_else(now), frame)
    }
}

/// Payload bytes per segment, from a `virtio_net_hdr`; 0 when the frame is one segment.
fn gso_size(header: &[u8; VNET_HEADER]) -> u16 {
    const GSO_NONE: u8 = 0;
    if header[1] == GSO_NONE { 0 } else { u16::from_ne_bytes([header[4], header[5]]) }
}

/// Reads the time stamp and the auxiliary data out of a frame's control messages.
fn read_control(mut bytes: &[u8]) -> Control {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    const WORD: usize = size_of::<usize>();
    let mut control = Control::default();
    while bytes.len() >= HEADER {
        let length = bytes.first_chunk::<WORD>().map_or(0, |word| usize::from_ne_bytes(*word));
        let number = |at| bytes[at..].first_chunk::<4>().map_or(0, |number| i32::from_ne_bytes(*number));
        let Some(value) = bytes.get(HEADER..length) else { break };
        match (number(HEADER - 8), number(HEADER - 4)) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => control.at = time(value),
            (libc::SOL_PACKET, libc::PACKET_AUXDATA) => control.vlan = vlan(value),
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(WORD)..).unwrap_or_default();
    }
    control
}

fn time(timespec: &[u8]) -> Option<Time> {
    const WORD: usize = size_of::<libc::time_t>();
    let seconds = libc::time_t::from_ne_bytes(timespec.get(..WORD)?.try_into().ok()?);
    let nanos = libc::c_long::from_ne_bytes(timespec.get(WORD..2 * WORD)?.try_into().ok()?);
    let seconds = u64::try_from(seconds).ok()?;
    Some(Time::from_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos as u64)?))
}

/// The tag out of a `tpacket_auxdata`.
fn vlan(auxdata: &[u8]) -> Option<(u16, u16)> {
    let status = u32::from_ne_bytes(*auxdata.first_chunk()?);
    let number = |at: usize| Some(u16::from_ne_bytes(*auxdata.get(at..)?.first_chunk()?));
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let named = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    let protocol = if named { number(18)? } else { libc::ETH_P_8021Q as u16 };
    Some((protocol, number(16)?))
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::ZERO.after(since)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ETHERNET: Kind = Kind { ethernet: true, with_header: true, loopback: false };

    fn message(level: i32, kind: i32, value: &[u8]) -> Vec<u8> {
        let length = size_of::<libc::cmsghdr>() + value.len();
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(level.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(value);
        message.resize(length.next_multiple_of(size_of::<usize>()), 0);
        message
    }

    fn auxdata(status: u32, tag: u16, protocol: u16) -> Vec<u8> {
        let mut value = [status, 60, 60, 0].map(u32::to_ne_bytes).concat();
        value.extend([tag, protocol].map(u16::to_ne_bytes).concat());
        value
    }

    #[test]
    fn time_and_tag_are_read_from_the_control_messages() {
        let time = [7_u64, 5].map(u64::to_ne_bytes).concat();
        let bytes = [
            message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time),
            message(libc::SOL_PACKET, libc::PACKET_AUXDATA, &auxdata(0x50, 42, 0x88a8)),
        ]
        .concat();
        assert!(bytes.len() <= CONTROL);
        let expected = Control { at: Some(Time::from_nanos(7_000_000_005)), vlan: Some((0x88a8, 42)) };
        assert_eq!(read_control(&bytes), expected);
        let untagged = message(libc::SOL_PACKET, libc::PACKET_AUXDATA, &auxdata(1, 42, 0x8100));
        assert_eq!(read_control(&untagged), Control::default());
        let old = message(libc::SOL_PACKET, libc::PACKET_AUXDATA, &auxdata(0x10, 42, 0));
        assert_eq!(read_control(&old).vlan, Some((0x8100, 42)));
    }

    #[test]
    fn a_tag_that_the_kernel_took_out_is_put_back() {
        let mut batch = Batch::new();
        let frame: Vec<u8> = (0..60).collect();
        batch.data[STRIDE + HEADROOM..][..60].copy_from_slice(&frame);
        let control = message(libc::SOL_PACKET, libc::PACKET_AUXDATA, &auxdata(0x50, 42, 0x8100));
        batch.control[CONTROL..][..control.len()].copy_from_slice(&control);
        batch.lengths[1] = (60 + VNET_HEADER, control.len());
        let (_, seen) = batch.frame(1, ETHERNET, Direction::In, false);
        assert_eq!(seen.bytes, [&frame[..12], &[0x81, 0, 0, 42], &frame[12..]].concat());
        assert_eq!((seen.wire_len, seen.gso_size), (64, 0));
    }

    #[test]
    fn a_frame_longer_than_the_buffer_is_cut_and_keeps_its_length() {
        let mut batch = Batch::new();
        batch.lengths[BATCH - 1] = (512 * 1024 + VNET_HEADER, 0);
        batch.headers[BATCH - 1] = [0, 1, 0, 0, 180, 5, 0, 0, 0, 0];
        let (_, seen) = batch.frame(BATCH - 1, ETHERNET, Direction::Out, false);
        assert_eq!((seen.bytes.len(), seen.wire_len), (SNAPLEN, 512 * 1024));
        assert_eq!(seen.gso_size, u16::from_ne_bytes([180, 5]));
    }

    #[test]
    fn frames_for_others_and_copies_are_none_of_ours() {
        let mut batch = Batch::new();
        let mut direction = |pkttype, kind| {
            batch.addresses[0].sll_pkttype = pkttype;
            batch.direction(0, kind)
        };
        assert_eq!(direction(libc::PACKET_OUTGOING, ETHERNET), Some(Direction::Out));
        assert_eq!(direction(libc::PACKET_BROADCAST, ETHERNET), Some(Direction::In));
        assert_eq!(direction(libc::PACKET_OTHERHOST, ETHERNET), None);
        assert_eq!(direction(libc::PACKET_OUTGOING, Kind { loopback: true, ..ETHERNET }), None);
    }

    proptest! {
        #[test]
        fn random_control_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..CONTROL)) {
            read_control(&bytes);
        }
    }
}
