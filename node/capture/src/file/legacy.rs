//! Classic pcap: one header, then records.

use std::io::Read;

use pcap_parser::{
    LegacyPcapBlock, PcapHeader, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
};
use smartfw_core::{
    Time,
    packet::{Direction, Frame, Link},
};

use super::{
    Stop, ended,
    window::{MAX_RECORD, Window},
};
use crate::Captured;

const HEADER: usize = 24;
/// The link type is in the low 26 bits; above them libpcap keeps the length of a frame check sequence.
const LINK_MASK: u32 = 0x03ff_ffff;

pub(super) struct Legacy {
    link: Option<Link>,
    /// Its number in the file.
    link_number: u32,
    /// Packets passed over because nobody parses that link type.
    pub(super) unusable: u64,
    nanos_per_tick: u64,
    big_endian: bool,
    record_header: usize,
    /// Before version 2.4 some writers swapped the two lengths.
    lengths_may_be_swapped: bool,
}

impl Legacy {
    /// Reads the file's header.
    pub(super) fn open<R: Read>(window: &mut Window<R>) -> Result<Self, Stop> {
        if !window.need(HEADER)? {
            return Err(Stop::Truncated);
        }
        let header = window.take(HEADER);
        let (_, header) = pcap_parser::parse_pcap_header(header)
            .map_err(|_| Stop::Damaged("the file header cannot be read".into()))?;
        if header.version_major != 2 {
            let PcapHeader { version_major, version_minor, .. } = header;
            return Err(Stop::Damaged(format!("pcap version {version_major}.{version_minor} is unknown")));
        }
        let link_number = header.network.0 as u32 & LINK_MASK;
        Ok(Self {
            link: Link::from_dlt(link_number),
            link_number,
            unusable: 0,
            nanos_per_tick: if header.is_nanosecond_precision() { 1 } else { 1000 },
            big_endian: header.is_bigendian(),
            record_header: if header.is_modified_format() { 24 } else { 16 },
            lengths_may_be_swapped: header.version_minor < 4,
        })
    }

    /// Whether packets were passed over because nobody parses the file's link type.
    pub(super) fn unknown_link(&self) -> Option<u32> {
        self.link.is_none().then_some(self.link_number)
    }

    /// The next packet.
    #[inline]
    pub(super) fn next<'a, R: Read>(&mut self, window: &'a mut Window<R>) -> Result<Captured<'a>, Stop> {
        match self.link {
            Some(link) => Ok(self.captured(link, self.record(window)?)),
            None => loop {
                self.record(window)?;
                self.unusable += 1;
            },
        }
    }

    #[inline]
    fn record<'a, R: Read>(&self, window: &'a mut Window<R>) -> Result<LegacyPcapBlock<'a>, Stop> {
        if !window.need(self.record_header)? {
            return Err(ended(window));
        }
        let length = self.captured_length(window.data())?;
        if !window.need(self.record_header + length)? {
            return Err(Stop::Truncated);
        }
        let record = window.take(self.record_header + length);
        let parsed = match (self.record_header, self.big_endian) {
            (16, false) => parse_pcap_frame(record),
            (16, true) => parse_pcap_frame_be(record),
            _ => parse_pcap_frame_modified(record),
        };
        parsed.map(|(_, block)| block).map_err(|_| Stop::Damaged("a record cannot be read".into()))
    }

    #[inline]
    fn captured_length(&self, record: &[u8]) -> Result<usize, Stop> {
        let bytes = [record[8], record[9], record[10], record[11]];
        let length = if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        if length as usize + self.record_header > MAX_RECORD {
            return Err(Stop::Damaged(format!("a packet of {length} bytes, longer than any")));
        }
        Ok(length as usize)
    }

    #[inline]
    fn captured<'a>(&self, link: Link, block: LegacyPcapBlock<'a>) -> Captured<'a> {
        let swapped = self.lengths_may_be_swapped && block.caplen > block.origlen;
        let bytes = if swapped { &block.data[..block.origlen as usize] } else { block.data };
        let wire_len = block.origlen.max(block.caplen);
        let nanos = u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec) * self.nanos_per_tick;
        Captured { at: Time::from_nanos(nanos), frame: frame(bytes, link, None, wire_len), interface: 0 }
    }
}

/// A frame as a file has it.
#[inline]
pub(super) fn frame(bytes: &[u8], link: Link, direction: Option<Direction>, wire_len: u32) -> Frame<'_> {
    Frame { bytes, link, direction, wire_len, gso_size: 0, trusted: false }
}
