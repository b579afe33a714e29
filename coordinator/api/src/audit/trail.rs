//! A file of JSON lines, and the few that went before it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::Entry;

/// The most bytes of one file.
pub(super) const MOST_BYTES: u64 = 4 << 20;
/// Files kept beside the one that is written.
pub(super) const KEPT: u32 = 4;

#[derive(Debug)]
pub(super) struct Trail {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl Trail {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let written = self.write(&line);
        if written.is_err() {
            self.open = None; // opened anew by the next
        }
        written
    }

    /// The files, the newest first, whether or not they are there.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        std::iter::once(self.path.clone()).chain((1..=KEPT).map(|number| self.numbered(number))).collect()
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let size = self.opened()?.1;
        if size > 0 && size + line.len() as u64 > MOST_BYTES {
            self.rotate()?;
        }
        let (file, size) = self.opened()?;
        if let Err(error) = file.write_all(line) {
            let _ = file.set_len(*size); // half a line is worse than none
            return Err(error);
        }
        *size += line.len() as u64;
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut (File, u64)> {
        if self.open.is_none() {
            let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
            let size = file.metadata()?.len();
            self.open = Some((file, size));
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("not open"))
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..KEPT).rev() {
            rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
        }
        rename_if_there(&self.path, &self.numbered(1))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

/// At most `limit` entries below an id that are wanted, the newest first, out of files that are named the newest first.
/// A file that is not there, and a line that makes no sense, holds none.
pub(super) fn newest(
    files: &[PathBuf],
    below: u64,
    limit: usize,
    wanted: &impl Fn(&Entry) -> bool,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for file in files {
        let bytes = fs::read(file).unwrap_or_default();
        let lines =
            bytes.rsplit(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Entry>(line).ok());
        entries.extend(lines.filter(|entry| entry.id < below && wanted(entry)).take(limit - entries.len()));
        if entries.len() >= limit {
            break;
        }
    }
    entries
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
