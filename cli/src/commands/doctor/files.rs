//! Has the daemon room to remember, and do only those read it who may?

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use nix::sys::statvfs::statvfs;

use super::Check;
use crate::{args::Global, output::scaled};

/// Free bytes that are worth a word, and those with which nothing can be kept: a million blocks take 300 MB.
const FREE: (u64, u64) = (500 << 20, 20 << 20);

pub(super) fn checks(global: &Global) -> Vec<Check> {
    vec![space(&global.state_dir), state(&global.state_dir), socket(&global.socket)]
}

fn space(state_dir: &Path) -> Check {
    const NAME: &str = "disk space";
    match statvfs(state_dir) {
        Ok(disk) => room(disk.blocks_available() * disk.fragment_size(), state_dir),
        Err(error) => {
            let what = format!("cannot look at {}: {}", state_dir.display(), error.desc());
            Check::warn(NAME, what, "is this the daemon's --state-dir?")
        }
    }
}

pub(super) fn room(free: u64, state_dir: &Path) -> Check {
    const NAME: &str = "disk space";
    let what = format!("{} free for {}", scaled(free as f64, "B"), state_dir.display());
    let remedy = "make room: what cannot be written down is enforced, but forgotten at a restart";
    match free {
        free if free < FREE.1 => Check::fail(NAME, what, remedy),
        free if free < FREE.0 => Check::warn(NAME, what, remedy),
        _ => Check::ok(NAME, what),
    }
}

pub(super) fn state(state_dir: &Path) -> Check {
    const NAME: &str = "permissions";
    match fs::metadata(state_dir) {
        Ok(metadata) if metadata.mode() & 0o007 != 0 => {
            let what = format!(
                "everybody may look into {} (mode {:o})",
                state_dir.display(),
                metadata.mode() & 0o777
            );
            Check::warn(NAME, what, format!("chmod 0750 {}", state_dir.display()))
        }
        Ok(_) => Check::ok(NAME, format!("{} is private", state_dir.display())),
        Err(error) => {
            let what = format!("cannot look at {}: {error}", state_dir.display());
            Check::warn(NAME, what, "is this the daemon's --state-dir?")
        }
    }
}

pub(super) fn socket(path: &Path) -> Check {
    const NAME: &str = "socket";
    match fs::metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => Check::fail(
            NAME,
            format!("{} is no socket", path.display()),
            "remove it and restart smartfw-node",
        ),
        Ok(metadata) if metadata.mode() & 0o006 != 0 => {
            let what = format!("everybody may use {} (mode {:o})", path.display(), metadata.mode() & 0o777);
            Check::fail(NAME, what, format!("chmod 0660 {}", path.display()))
        }
        Ok(_) => Check::ok(NAME, format!("{} is for root and its group", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::fail(
            NAME,
            format!("there is no {}", path.display()),
            "start smartfw-node, or name its --socket",
        ),
        Err(error) => {
            Check::warn(NAME, format!("cannot look at {}: {error}", path.display()), "run this as root")
        }
    }
}
