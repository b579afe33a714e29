//! A buffer of fixed size that slides over a stream.

use std::io::{self, Read};

/// The longest record or block that is looked at as a whole. Frames of BIG TCP have up to 512 KiB, libpcap stops at
/// 256 KiB; a length beyond this is damage, not a packet.
pub(super) const MAX_RECORD: usize = 1 << 20;
/// Bytes asked for in one read: they stay in the second-level cache until they are handed out.
const READ: usize = 256 * 1024;

pub(super) struct Window<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    offset: u64,
    cut: bool,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; MAX_RECORD + READ].into(), start: 0, end: 0, offset: 0, cut: false }
    }

    /// Where the window begins, in bytes from the stream's start.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the stream broke off in what packs it.
    pub(super) fn cut(&self) -> bool {
        self.cut
    }

    /// What is in the buffer.
    pub(super) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Makes sure that `count` bytes (at most [`MAX_RECORD`]) are in the buffer; `false` when the stream ends before.
    #[inline]
    pub(super) fn need(&mut self, count: usize) -> io::Result<bool> {
        if self.end - self.start >= count { Ok(true) } else { self.fill(count.min(MAX_RECORD)) }
    }

    /// The first `count` bytes, which must be in the buffer; the window begins behind them.
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let from = self.start;
        self.start = (from + count).min(self.end);
        self.offset += (self.start - from) as u64;
        &self.buffer[from..self.start]
    }

    /// Passes over `count` bytes, however many; `false` when the stream ends before.
    pub(super) fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            if self.start == self.end && !self.fill(1)? {
                return Ok(false);
            }
            let step = count.min((self.end - self.start) as u64);
            self.take(step as usize);
            count -= step;
        }
        Ok(true)
    }

    fn fill(&mut self, count: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while self.end < count {
            let room = (self.end + READ).min(self.buffer.len());
            match self.reader.read(&mut self.buffer[self.end..room]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.cut = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow pipe may.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    #[test]
    fn bytes_that_come_one_by_one_are_put_together() {
        let mut window = Window::new(Drip(b"hello world"));
        assert!(window.need(5).unwrap());
        assert_eq!(window.take(5), b"hello");
        assert!(window.skip(1).unwrap());
        assert!(window.need(5).unwrap());
        assert_eq!(window.take(5), b"world");
        assert_eq!(window.offset(), 11);
        assert!(!window.need(1).unwrap());
    }

    #[test]
    fn a_record_of_the_longest_kind_fits_wherever_it_begins() {
        let stream = vec![7; 3 * MAX_RECORD];
        let mut window = Window::new(stream.as_slice());
        assert!(window.need(READ).unwrap());
        window.take(READ - 1);
        assert!(window.need(MAX_RECORD).unwrap());
        assert_eq!(window.take(MAX_RECORD).len(), MAX_RECORD);
    }

    #[test]
    fn skipping_beyond_the_end_is_noticed() {
        let mut window = Window::new([0_u8; 100].as_slice());
        assert!(!window.skip(1 << 40).unwrap());
        assert_eq!(window.offset(), 100);
    }
}
