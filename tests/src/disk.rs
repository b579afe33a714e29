//! A small disk, which can be filled and emptied again.
#![expect(clippy::unwrap_used, reason = "a laboratory that cannot go on has failed")]

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system of sixteen megabytes; it is gone when dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Makes the folder, and puts the file system over it. Needs root.
    pub fn mount(at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "lab"]).arg(at).status();
        assert!(done.unwrap().success());
        Self(at.to_owned())
    }

    /// Fills it to the last byte, with a file of its own.
    pub fn fill(&self) {
        let mut filler = OpenOptions::new().create(true).append(true).open(self.filler()).unwrap();
        let mut piece = vec![0_u8; 1 << 20];
        while !piece.is_empty() {
            if filler.write_all(&piece).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    /// Makes room again.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
