//! Bytes into lines of bounded length.

/// The longest line that is looked at. sshd's message has at most a kilobyte; the journal adds a handful of fields.
pub(super) const MAX_LINE: usize = 16 * 1024;

/// Puts lines together out of pieces.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    skipping: bool,
}

impl Lines {
    /// Takes a piece and gives `each` the lines that it completes, what is no text in them replaced; how many were too
    /// long and passed over.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(&str)) -> u64 {
        let mut too_long = 0;
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            if !self.skipping && self.partial.len() + text.len() > MAX_LINE {
                self.skipping = true;
                self.partial.clear();
                too_long += 1;
            }
            if !self.skipping {
                self.partial.extend_from_slice(text);
            }
            if ends {
                if !self.skipping {
                    each(&String::from_utf8_lossy(&self.partial));
                }
                self.skipping = false;
                self.partial.clear();
            }
        }
        too_long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_too_long_is_passed_over_whole() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut push = |bytes: &[u8]| lines.push(bytes, &mut |line| seen.push(line.to_owned()));
        assert_eq!(push(b"one\n"), 0);
        assert_eq!((0..10).map(|_| push(&[b'x'; 4096])).sum::<u64>(), 1);
        assert_eq!(push(b"the end of it\ntwo\nthr"), 0);
        assert_eq!(push(b"ee\n"), 0);
        assert_eq!(seen, ["one", "two", "three"]);
    }
}
