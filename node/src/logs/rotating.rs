//! A file that never outgrows its limit: compressed, numbered, and the oldest dropped.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

/// Log files are for root and the group: they name people's addresses.
const MODE: u32 = 0o640;

/// How large a log may grow, and how many old ones are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of the file that is being written.
    pub max_size: u64,
    /// How many compressed files are kept beside it.
    pub keep: u32,
}

/// A log file: `name`, and `name.1.gz` (the newest) to `name.<keep>.gz`.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    limits: Limits,
    open: Option<(File, u64)>,
}

impl RotatingFile {
    /// A log at `path`; the file is opened at the first line.
    pub fn new(path: PathBuf, limits: Limits) -> Self {
        Self { path, limits, open: None }
    }

    /// From now on other limits hold.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// When the disk refuses; a later call opens the file again.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let result = self.try_append(lines);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_append(&mut self, lines: &[u8]) -> io::Result<()> {
        let size = self.opened()?.1;
        if size > 0 && size + lines.len() as u64 > self.limits.max_size {
            self.rotate()?;
        }
        let (file, size) = self.opened()?;
        if let Err(error) = file.write_all(lines) {
            // Half a line is worse than none; what cannot be cut off stays.
            let _ = file.set_len(*size);
            return Err(error);
        }
        *size += lines.len() as u64;
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut (File, u64)> {
        if self.open.is_none() {
            let file = OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path)?;
            let size = file.metadata()?.len();
            self.open = Some((file, size));
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("not open"))
    }

    /// The older ones move up by one, the current one becomes the newest of them. A crash in between loses nothing:
    /// the current file goes last.
    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        if self.limits.keep > 0 {
            // First what a full disk refuses: nothing was moved then.
            let newest = self.numbered(1).with_extension("tmp");
            compress(&self.path, &newest).inspect_err(|_| drop(fs::remove_file(&newest)))?;
            for number in (1..self.limits.keep).rev() {
                rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
            }
            fs::rename(newest, self.numbered(1))?;
        }
        fs::remove_file(&self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}.gz"));
        PathBuf::from(name)
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn compress(from: &Path, to: &Path) -> io::Result<()> {
    let target = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(to)?;
    let mut encoder = GzEncoder::new(target, Compression::fast());
    io::copy(&mut File::open(from)?, &mut encoder)?;
    encoder.finish()?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_log_never_outgrows_its_limits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = RotatingFile::new(path.clone(), Limits { max_size: 10, keep: 2 });
        for line in ["one one\n", "two two\n", "three 3\n", "four 44\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["a.log", "a.log.1.gz", "a.log.2.gz"]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "four 44\n");
        assert_eq!(unzipped(&folder.path().join("a.log.1.gz")), "three 3\n");
        assert_eq!(unzipped(&folder.path().join("a.log.2.gz")), "two two\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn what_cannot_be_compressed_costs_no_older_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = RotatingFile::new(path.clone(), Limits { max_size: 4, keep: 2 });
        for line in ["one\n", "two\n", "333\n"] {
            log.append(line.as_bytes()).unwrap();
        }
        // A folder is in the way.
        fs::create_dir(folder.path().join("a.log.1.tmp")).unwrap();
        (0..3).for_each(|_| assert!(log.append(b"444\n").is_err()));
        assert_eq!(unzipped(&folder.path().join("a.log.1.gz")), "two\n");
        assert_eq!(unzipped(&folder.path().join("a.log.2.gz")), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "333\n");
    }

    #[test]
    fn a_log_that_keeps_nothing_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut log = RotatingFile::new(path.clone(), Limits { max_size: 4, keep: 0 });
        log.append(b"one\n").unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let limits = Limits { max_size: 8, keep: 1 };
        RotatingFile::new(path.clone(), limits).append(b"one\n").unwrap();
        let mut again = RotatingFile::new(path.clone(), limits);
        again.append(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        again.append(b"three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn a_folder_that_comes_back_is_written_to_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/a.log");
        let mut log = RotatingFile::new(path.clone(), Limits { max_size: 100, keep: 1 });
        assert!(log.append(b"lost\n").is_err());
        fs::create_dir(folder.path().join("later")).unwrap();
        log.append(b"kept\n").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "kept\n");
    }

    fn unzipped(path: &Path) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
        text
    }
}
