//! A file of lines that never outgrows its limit. Old ones are not compressed: a shipper that is behind finishes reading
//! what was renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::spawn_blocking;

use crate::trouble::Trouble;

/// Records name people's addresses: for the owner and the group only.
const MODE: u32 = 0o640;

/// Behind a lock, because a disk that hangs keeps its writer longer than anybody waits.
#[derive(Debug)]
pub(super) struct Link(Arc<Mutex<Rotated>>);

impl Link {
    pub(super) fn new(path: PathBuf, max_size: u64, keep: u32) -> Self {
        Self(Arc::new(Mutex::new(Rotated { path, max_size, keep, open: None })))
    }

    pub(super) async fn send(&mut self, records: &[Vec<u8>], done: &mut usize) -> Result<(), Trouble> {
        // As long as the last writing hangs in the disk, no second thread hangs there, too.
        if self.0.try_lock().is_err() {
            return Err(Trouble::File("the disk does not come back from the last writing".to_owned()));
        }
        let file = self.0.clone();
        let lines: Vec<Vec<u8>> = records.iter().map(|record| [record.as_slice(), b"\n"].concat()).collect();
        let writing = spawn_blocking(move || write(&file, &lines));
        let (written, result) = writing.await.map_err(|error| Trouble::File(error.to_string()))?;
        *done += written;
        result.map_err(|error| Trouble::file(&error))
    }
}

fn write(file: &Mutex<Rotated>, lines: &[Vec<u8>]) -> (usize, io::Result<()>) {
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    for (written, line) in lines.iter().enumerate() {
        if let Err(error) = file.append(line) {
            return (written, Err(error));
        }
    }
    (lines.len(), Ok(()))
}

/// `path`, and `path.1` (the newest) to `path.<keep>`.
#[derive(Debug)]
struct Rotated {
    path: PathBuf,
    max_size: u64,
    keep: u32,
    open: Option<(File, u64)>,
}

impl Rotated {
    /// Appends a whole line, or nothing.
    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let result = self.try_append(line);
        if result.is_err() {
            self.open = None;
        }
        result
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        let (_, size) = self.opened()?;
        if *size > 0 && *size + line.len() as u64 > self.max_size {
            self.rotate()?;
        }
        let (file, size) = self.opened()?;
        if let Err(error) = file.write_all(line) {
            // Half a line would spoil the next one; what cannot be cut off stays.
            let _ = file.set_len(*size);
            return Err(error);
        }
        *size += line.len() as u64;
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut (File, u64)> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let file = OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path)?;
                let size = file.metadata()?.len();
                (file, size)
            }
        };
        Ok(self.open.insert(open))
    }

    /// From the oldest to the newest, so that a crash in between loses nothing.
    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            rename_if_there(&self.numbered(number), &self.numbered(number + 1))?;
        }
        fs::rename(&self.path, self.numbered(1))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
