//! pcapng: sections of blocks.
//!
//! Section and interface blocks are parsed by `pcap-parser`. Packet blocks are cut here, since that crate collects
//! every packet's options into a vector; and blocks of no interest are passed over without being held in memory.

use std::io::Read;

use pcap_parser::{
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le, parse_sectionheaderblock,
};
use smartfw_core::{
    Time,
    packet::{Direction, Link},
};

use super::{
    Stop, ended,
    legacy::frame,
    resolution::Resolution,
    window::{MAX_RECORD, Window},
};
use crate::Captured;

/// Interfaces kept of a section. Real files have a handful; beyond this, packets are counted as unusable.
const MAX_INTERFACES: usize = 4096;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// Type, length, and the length again behind the body.
const FRAMING: usize = 12;
/// What a packet block has before its data: interface, time, two lengths.
const PACKET_HEADER: usize = 20;
const OPTION_FLAGS: u16 = 2;

pub(super) struct Ng {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Where the block last looked at begins.
    pub(super) block: u64,
    /// Packets that no described interface saw, and packet blocks that are too short for what they claim.
    pub(super) unusable: u64,
    /// The last link type that nobody parses, of a packet.
    pub(super) unknown_link: Option<u32>,
}

#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    snaplen: u32,
    resolution: Resolution,
}

/// Where a packet lies within its block's body.
struct Place {
    interface: u32,
    at: Time,
    link: Link,
    captured: usize,
    header: usize,
    wire_len: u32,
}

impl Ng {
    /// A reader before its first section header.
    pub(super) fn new() -> Self {
        Self { big_endian: false, interfaces: Vec::new(), block: 0, unusable: 0, unknown_link: None }
    }

    /// The next packet.
    pub(super) fn next<'a, R: Read>(&mut self, window: &'a mut Window<R>) -> Result<Captured<'a>, Stop> {
        loop {
            self.block = window.offset();
            let (kind, length) = self.header(window)?;
            match kind {
                SECTION => self.section(whole(window, length)?)?,
                INTERFACE => self.interface(whole(window, length)?)?,
                PACKET | SIMPLE_PACKET | ENHANCED_PACKET => {
                    fits(length)?;
                    if !window.need(length)? {
                        return Err(Stop::Truncated);
                    }
                    match self.place(kind, &window.data()[8..length - 4]) {
                        Some(place) => return Ok(self.captured(&place, &window.take(length)[8..length - 4])),
                        None => self.unusable += 1,
                    }
                    window.take(length);
                }
                _ => {
                    if !window.skip(length as u64)? {
                        return Err(Stop::Truncated);
                    }
                }
            }
        }
    }

    /// The next block's type and whole length.
    fn header<R: Read>(&mut self, window: &mut Window<R>) -> Result<(u32, usize), Stop> {
        if !window.need(FRAMING)? {
            return Err(ended(window));
        }
        let data = window.data();
        if data[..4] == SECTION.to_be_bytes() {
            self.big_endian = byte_order(&data[8..12])?;
        }
        let kind = self.u32(data, 0);
        let length = self.u32(data, 4) as usize;
        if length < FRAMING || !length.is_multiple_of(4) {
            return Err(Stop::Damaged(format!("a block of {length} bytes")));
        }
        Ok((kind, length))
    }

    /// A new section: its interfaces are numbered from zero again.
    fn section(&mut self, block: &[u8]) -> Result<(), Stop> {
        let (_, header) = parse_sectionheaderblock(block)
            .map_err(|_| Stop::Damaged("a section header cannot be read".into()))?;
        if header.major_version != 1 {
            return Err(Stop::Damaged(format!("pcapng version {} is unknown", header.major_version)));
        }
        self.interfaces.clear();
        Ok(())
    }

    fn interface(&mut self, block: &[u8]) -> Result<(), Stop> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Ok(());
        }
        let parse = if self.big_endian {
            parse_interfacedescriptionblock_be
        } else {
            parse_interfacedescriptionblock_le
        };
        let (_, parsed) =
            parse(block).map_err(|_| Stop::Damaged("an interface description cannot be read".into()))?;
        // The parser reads the offset as little-endian, whatever the section is.
        let offset = if self.big_endian { parsed.if_tsoffset.swap_bytes() } else { parsed.if_tsoffset };
        self.interfaces.push(Interface {
            link: parsed.linktype.0 as u32,
            snaplen: parsed.snaplen,
            resolution: Resolution::new(parsed.if_tsresol, offset),
        });
        Ok(())
    }

    /// Where the packet is, if the block is what it claims to be.
    fn place(&mut self, kind: u32, body: &[u8]) -> Option<Place> {
        let place = if kind == SIMPLE_PACKET { self.simple(body)? } else { self.packet(kind, body)? };
        (place.header + place.captured <= body.len()).then_some(place)
    }

    fn simple(&mut self, body: &[u8]) -> Option<Place> {
        let interface = *self.interfaces.first()?;
        let wire_len = body.first_chunk::<4>().map(|_| self.u32(body, 0))?;
        let limit = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = wire_len.min(limit) as usize;
        let link = self.link(interface.link)?;
        Some(Place { interface: 0, at: Time::ZERO, link, captured, header: 4, wire_len })
    }

    fn packet(&mut self, kind: u32, body: &[u8]) -> Option<Place> {
        body.first_chunk::<PACKET_HEADER>()?;
        let id = if kind == PACKET { u32::from(self.u16(body, 0)) } else { self.u32(body, 0) };
        let interface = *self.interfaces.get(id as usize)?;
        let ticks = u64::from(self.u32(body, 4)) << 32 | u64::from(self.u32(body, 8));
        let captured = self.u32(body, 12);
        Some(Place {
            interface: id,
            at: interface.resolution.time(ticks),
            link: self.link(interface.link)?,
            captured: captured as usize,
            header: PACKET_HEADER,
            wire_len: self.u32(body, 16).max(captured),
        })
    }

    fn link(&mut self, number: u32) -> Option<Link> {
        let link = Link::from_dlt(number);
        if link.is_none() {
            self.unknown_link = Some(number);
        }
        link
    }

    fn captured<'a>(&self, place: &Place, body: &'a [u8]) -> Captured<'a> {
        let end = place.header + place.captured;
        let direction = self.direction(body.get(end.next_multiple_of(4)..).unwrap_or_default());
        let frame = frame(&body[place.header..end], place.link, direction, place.wire_len);
        Captured { at: place.at, frame, interface: place.interface }
    }

    /// The direction out of a packet's options: both packet blocks have the flags under the same number.
    fn direction(&self, mut options: &[u8]) -> Option<Direction> {
        while options.len() >= 4 {
            let (code, length) = (self.u16(options, 0), usize::from(self.u16(options, 2)));
            if code == 0 {
                return None;
            }
            if code == OPTION_FLAGS && length == 4 && options.len() >= 8 {
                return match self.u32(options, 4) & 3 {
                    1 => Some(Direction::In),
                    2 => Some(Direction::Out),
                    _ => None,
                };
            }
            options = options.get(4 + length.next_multiple_of(4)..)?;
        }
        None
    }

    #[inline]
    fn u32(&self, data: &[u8], at: usize) -> u32 {
        let bytes = [data[at], data[at + 1], data[at + 2], data[at + 3]];
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    #[inline]
    fn u16(&self, data: &[u8], at: usize) -> u16 {
        let bytes = [data[at], data[at + 1]];
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

fn byte_order(magic: &[u8]) -> Result<bool, Stop> {
    match magic {
        [0x1a, 0x2b, 0x3c, 0x4d] => Ok(true),
        [0x4d, 0x3c, 0x2b, 0x1a] => Ok(false),
        _ => Err(Stop::Damaged("a section header without its byte-order magic".into())),
    }
}

fn fits(length: usize) -> Result<(), Stop> {
    if length > MAX_RECORD {
        return Err(Stop::Damaged(format!("a block of {length} bytes, longer than any packet")));
    }
    Ok(())
}

fn whole<R: Read>(window: &mut Window<R>, length: usize) -> Result<&[u8], Stop> {
    fits(length)?;
    if window.need(length)? { Ok(window.take(length)) } else { Err(Stop::Truncated) }
}
