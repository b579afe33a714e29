//! Follows a log file: new lines only, across rotation by renaming and by truncation.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::lines::Lines;

/// Bytes read in one call: a flood of lines must not keep the caller.
const MAX_READ: u64 = 1 << 20;

/// A log file that is being followed.
pub(super) struct Follower {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    file: File,
    identity: (u64, u64),
    offset: u64,
    lines: Lines,
}

impl Follower {
    /// Follows the file at `path` from its present end; a file that appears later, from its beginning.
    pub(super) fn new(path: &Path) -> Self {
        let mut follower = Self { path: path.into(), open: Open::new(path).ok() };
        if let Some(open) = &mut follower.open {
            open.offset = open.file.seek(SeekFrom::End(0)).unwrap_or_default();
        }
        follower
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives `each` the lines that are new; how many were too long.
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read; the next call tries again.
    pub(super) fn poll(&mut self, each: &mut dyn FnMut(&str)) -> io::Result<u64> {
        let now = fs::metadata(&self.path);
        let mut too_long = 0;
        if let Some(open) = &mut self.open {
            let renamed =
                !now.as_ref().is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == open.identity);
            // What was written before the renaming, or still is by a writer that has not noticed.
            let read = open.read(each, &mut too_long)?;
            if renamed && read < MAX_READ {
                self.open = None;
            }
        }
        if self.open.is_none() {
            now?;
            let mut open = Open::new(&self.path)?;
            open.read(each, &mut too_long)?;
            self.open = Some(open);
        }
        Ok(too_long)
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { identity: (metadata.dev(), metadata.ino()), file, offset: 0, lines: Lines::default() })
    }

    fn read(&mut self, each: &mut dyn FnMut(&str), too_long: &mut u64) -> io::Result<u64> {
        if self.file.metadata()?.len() < self.offset {
            self.offset = self.file.seek(SeekFrom::Start(0))?;
            self.lines = Lines::default();
        }
        let mut buffer = [0; 16 * 1024];
        let mut total = 0;
        while total < MAX_READ {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            total += read as u64;
            *too_long += self.lines.push(&buffer[..read], each);
        }
        self.offset += total;
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    struct Log {
        folder: tempfile::TempDir,
    }

    impl Log {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("auth.log")
        }

        fn append(&self, text: &str) {
            let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path()).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    fn lines(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        let _ = follower.poll(&mut |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn only_what_is_new_is_read_and_half_lines_wait() {
        let log = Log::new();
        log.append("old\n");
        let mut follower = Follower::new(&log.path());
        assert!(lines(&mut follower).is_empty());
        log.append("new\nha");
        assert_eq!(lines(&mut follower), ["new"]);
        log.append("lf\n");
        assert_eq!(lines(&mut follower), ["half"]);
    }

    #[test]
    fn a_file_renamed_away_is_read_to_its_end_and_the_new_one_from_its_beginning() {
        let log = Log::new();
        log.append("old\n");
        let mut follower = Follower::new(&log.path());
        log.append("last\n");
        fs::rename(log.path(), log.folder.path().join("auth.log.1")).unwrap();
        assert_eq!(lines(&mut follower), ["last"]);
        assert!(follower.poll(&mut |_| ()).is_err(), "there is no file");
        log.append("first\n");
        assert_eq!(lines(&mut follower), ["first"]);
    }

    #[test]
    fn a_file_that_was_truncated_is_read_from_its_beginning() {
        let log = Log::new();
        log.append("a long old line\n");
        let mut follower = Follower::new(&log.path());
        File::create(log.path()).unwrap();
        log.append("new\n");
        assert_eq!(lines(&mut follower), ["new"]);
    }

    #[test]
    fn a_file_that_appears_later_is_read_from_its_beginning() {
        let log = Log::new();
        let mut follower = Follower::new(&log.path());
        assert!(follower.poll(&mut |_| ()).is_err());
        log.append("first\n");
        assert_eq!(lines(&mut follower), ["first"]);
    }

    #[test]
    fn a_flood_is_read_piece_by_piece() {
        let log = Log::new();
        log.append("");
        let mut follower = Follower::new(&log.path());
        log.append(&"x".repeat(99).lines().map(|l| format!("{l}\n")).collect::<String>().repeat(30_000));
        let first = lines(&mut follower).len();
        assert!((10_000..12_000).contains(&first), "{first}");
        let mut all = first;
        (0..5).for_each(|_| all += lines(&mut follower).len());
        assert_eq!(all, 30_000);
    }
}
