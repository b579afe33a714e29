//! The few lines of the tar format that a bundle of small files needs (POSIX.1-1988, ustar).

use std::io::{self, Write};

const BLOCK: usize = 512;
/// The longest file: everything in a bundle is cut to a megabyte or two before.
const LIMIT: usize = 8 << 20;

/// A tar stream that is being written.
pub(super) struct Bundle<W> {
    out: W,
    /// The time that every file gets, seconds since 1970.
    seconds: u64,
}

impl<W: Write> Bundle<W> {
    pub(super) const fn new(out: W, seconds: u64) -> Self {
        Self { out, seconds }
    }

    /// Adds a file in the folder `smartfw-support/`. What is longer than the limit is cut.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let content = &content[..content.len().min(LIMIT)];
        self.out.write_all(&header(name, content.len(), self.seconds))?;
        self.out.write_all(content)?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        self.out.write_all(&[0; BLOCK][..padding])
    }

    /// Two empty blocks end it.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }
}

fn header(name: &str, size: usize, seconds: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &format!("smartfw-support/{name}"));
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, &format!("{seconds:011o}\0"));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn tar_itself_reads_what_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.tar");
        let mut bundle = Bundle::new(Vec::new(), 1_769_860_800);
        bundle.add("empty.txt", b"").unwrap();
        bundle.add("one.txt", &[b'x'; 513]).unwrap();
        bundle.add("two.txt", b"two\n").unwrap();
        std::fs::write(&path, bundle.finish().unwrap()).unwrap();
        let listed = Command::new("tar").arg("-tf").arg(&path).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let expected = "smartfw-support/empty.txt\nsmartfw-support/one.txt\nsmartfw-support/two.txt\n";
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), expected);
        let shown =
            Command::new("tar").arg("-xOf").arg(&path).arg("smartfw-support/one.txt").output().unwrap();
        assert_eq!(shown.stdout, [b'x'; 513]);
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut bundle = Bundle::new(Vec::new(), 0);
        bundle.add("long.txt", &vec![0; LIMIT + 1]).unwrap();
        assert_eq!(bundle.finish().unwrap().len(), BLOCK + LIMIT + 2 * BLOCK);
    }
}
