//! A bounded number of bytes, in records of a bounded length: what a compressed file unfolds to is not known before.

use std::io::{self, BufRead, Read};

/// A record of more bytes than this is no table's. It may be many lines: in quotes, or empty ones before it. What was read
/// ahead with the record before is not counted.
pub(super) const MAX_RECORD: u64 = 64 << 10;
/// More comments than this are no table's: ours have one.
pub(super) const MAX_COMMENTS: usize = 64;

/// Reads until a bound is passed; an error then.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    /// Bytes since the last end of a record.
    record: u64,
}

impl<R: BufRead> Bounded<R> {
    pub(super) fn new(inner: R, bytes: u64) -> Self {
        Self { inner, left: bytes, record: 0 }
    }

    /// The comments before the header, each without its `#`.
    pub(super) fn comments(&mut self) -> io::Result<Vec<String>> {
        let mut comments = Vec::new();
        while self.inner.fill_buf()?.first() == Some(&b'#') {
            if comments.len() >= MAX_COMMENTS {
                return Err(bound("there are more comments than a table has"));
            }
            let mut line = Vec::new();
            self.inner.by_ref().take(MAX_RECORD + 1).read_until(b'\n', &mut line)?;
            self.count(line.len())?;
            self.end_record();
            comments.push(String::from_utf8_lossy(&line[1..]).trim().to_owned());
        }
        Ok(comments)
    }

    /// A record was read to its end.
    pub(super) fn end_record(&mut self) {
        self.record = 0;
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes as u64;
        let left = self.left.checked_sub(bytes);
        self.left = left.ok_or_else(|| bound("the table has more bytes than allowed"))?;
        self.record += bytes;
        if self.record > MAX_RECORD { Err(bound("it is too long for a table's record")) } else { Ok(()) }
    }
}

fn bound(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, what)
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count(read)?;
        Ok(read)
    }
}
