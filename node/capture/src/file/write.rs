//! Classic pcap with nanoseconds, for tests and for evidence.

use std::io::{self, Write};

use smartfw_core::Time;

/// Writes frames as a pcap file.
pub struct PcapWriter<W> {
    out: W,
}

impl<W: Write> PcapWriter<W> {
    /// Begins a file of frames of one link type (1: Ethernet, 101: IP).
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(mut out: W, link: u32) -> io::Result<Self> {
        const SNAPLEN: u32 = 262_144;
        let header: [u32; 6] = [0xa1b2_3c4d, 4 << 16 | 2, 0, 0, SNAPLEN, link];
        out.write_all(&header.map(u32::to_le_bytes).concat())?;
        Ok(Self { out })
    }

    /// Appends a frame, of which `bytes` may be the beginning only.
    ///
    /// # Errors
    /// When it cannot be written, or is later than the year 2106 or longer than 4 GiB, which the format cannot say.
    pub fn write(&mut self, at: Time, bytes: &[u8], wire_len: u32) -> io::Result<()> {
        let number = |value: u64| u32::try_from(value).map_err(|_| io::ErrorKind::InvalidInput);
        let captured = number(bytes.len() as u64)?;
        let nanos = number(at.as_nanos() % 1_000_000_000)?;
        let header = [number(at.as_secs())?, nanos, captured, wire_len.max(captured)];
        self.out.write_all(&header.map(u32::to_le_bytes).concat())?;
        self.out.write_all(bytes)
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When what is buffered cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}
