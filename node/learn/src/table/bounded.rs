//! A bounded number of bytes, in lines of a bounded length: what a compressed file unfolds to is not known before.

use std::io::{self, BufRead, Read};

/// A line of more bytes than this is no table's.
pub(super) const MAX_LINE: u64 = 64 << 10;

/// Reads until a bound is passed; an error then.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    /// Bytes since the last end of a line.
    line: u64,
}

impl<R: BufRead> Bounded<R> {
    pub(super) fn new(inner: R, bytes: u64) -> Self {
        Self { inner, left: bytes, line: 0 }
    }

    /// The comments before the header, each without its `#`.
    pub(super) fn comments(&mut self) -> io::Result<Vec<String>> {
        let mut comments = Vec::new();
        while self.inner.fill_buf()?.first() == Some(&b'#') {
            let mut line = Vec::new();
            self.inner.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            self.count(&line)?;
            comments.push(String::from_utf8_lossy(&line[1..]).trim().to_owned());
        }
        Ok(comments)
    }

    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bound = |what| io::Error::new(io::ErrorKind::FileTooLarge, what);
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| bound("the table has more bytes than allowed"))?;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line += part.len() as u64;
            if self.line > MAX_LINE {
                return Err(bound("the line is too long for a table's"));
            }
            if part.ends_with(b"\n") {
                self.line = 0;
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.count(&out[..read])?;
        Ok(read)
    }
}
