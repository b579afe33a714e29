//! What `/proc` says of a process. Every answer may be missing: processes end while they are looked at.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::read;

/// Descriptors looked at of a process: its connection is among the first.
const MAX_DESCRIPTORS: usize = 1024;
/// Bytes of a title that are looked at.
const MAX_TITLE: usize = 256;

/// A process, by its folder.
pub(super) struct Process(PathBuf);

/// Who a process is, in one read of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) parent: u32,
    /// In ticks since boot: tells two processes of the same number apart.
    pub(super) started: u64,
}

impl Process {
    pub(super) fn new(proc: &Path, pid: u32) -> Self {
        Self(proc.join(pid.to_string()))
    }

    pub(super) fn identity(&self) -> Option<Identity> {
        let stat = fs::read_to_string(self.0.join("stat")).ok()?;
        // The name is in parentheses and may itself contain some: what follows begins behind the last.
        let (before, after) = stat.rsplit_once(") ")?;
        let name = before.split_once('(')?.1.to_owned();
        let mut fields = after.split(' ');
        let parent = fields.nth(1)?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Identity { name, parent, started })
    }

    /// The real user.
    pub(super) fn user(&self) -> Option<u32> {
        let status = read::text(&self.0.join("status"));
        status.lines().find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok())
    }

    /// The file name of its program, also when that was replaced by an update meanwhile.
    pub(super) fn program(&self) -> Option<String> {
        let path = fs::read_link(self.0.join("exe")).ok()?;
        let name = path.file_name()?.to_str()?;
        Some(name.strip_suffix(" (deleted)").unwrap_or(name).to_owned())
    }

    /// Its command line up to the first NUL, as far as it is text: where sshd writes its state.
    pub(super) fn title(&self) -> String {
        let line = read::bytes(&self.0.join("cmdline"));
        let end =
            line.iter().take(MAX_TITLE).position(|byte| *byte == 0).unwrap_or(line.len().min(MAX_TITLE));
        String::from_utf8_lossy(&line[..end]).into_owned()
    }

    /// The inodes of its sockets, in the order of their descriptors.
    pub(super) fn sockets(&self) -> Vec<u64> {
        let Ok(entries) = fs::read_dir(self.0.join("fd")) else { return Vec::new() };
        let number = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        let mut descriptors: Vec<(u32, PathBuf)> = entries
            .flatten()
            .take(MAX_DESCRIPTORS)
            .filter_map(|entry| Some((number(&entry)?, entry.path())))
            .collect();
        descriptors.sort();
        let inode = |(_, path): (u32, PathBuf)| {
            let target = fs::read_link(path).ok()?;
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        };
        descriptors.into_iter().filter_map(inode).collect()
    }
}

/// Every process, by number.
pub(super) fn all(proc: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let own = std::process::id();
        assert!(all(Path::new("/proc")).contains(&own));
        let process = Process::new(Path::new("/proc"), own);
        let identity = process.identity().unwrap();
        assert!(identity.name.starts_with("smartfw_host"), "{identity:?}");
        assert!(identity.parent > 0 && identity.started > 0);
        assert!(process.program().unwrap().starts_with("smartfw_host"));
        assert!(process.title().contains("smartfw_host"));
        let before = process.sockets();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let after = process.sockets();
        assert!(after.iter().any(|inode| !before.contains(inode)));
        drop(socket);
    }

    #[test]
    fn a_process_that_is_gone_has_nothing() {
        let process = Process::new(Path::new("/proc"), u32::MAX);
        assert_eq!((process.identity(), process.user(), process.program()), (None, None, None));
        assert!(process.title().is_empty() && process.sockets().is_empty());
    }
}
