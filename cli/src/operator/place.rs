//! Whose home, and where in it.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User, geteuid, setegid, seteuid};

use crate::failure::Failure;

/// Where a person's operator's keys are.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    /// Behind `sudo`: the person, whose files they shall be.
    owner: Option<(Uid, Gid)>,
    /// The person's user name.
    pub(crate) user: Option<String>,
}

impl Home {
    /// Of the person who types.
    pub(crate) fn find() -> Result<Self, Failure> {
        let person = sudo_user();
        let user = person.clone().or_else(|| User::from_uid(Uid::current()).ok().flatten());
        let name = user.as_ref().map(|user| user.name.clone());
        if let Some(folder) = env::var_os("SMARTFW_OPERATOR_DIR").filter(|folder| !folder.is_empty()) {
            return Ok(Self { folder: folder.into(), owner: None, user: name });
        }
        let config = match &person {
            Some(person) => Some(person.dir.join(".config")),
            None => from_environment().or_else(|| user.map(|user| user.dir.join(".config"))),
        };
        let config = config.ok_or_else(|| {
            Failure::failed("nobody knows where your home is: set HOME, or SMARTFW_OPERATOR_DIR")
        })?;
        let owner = person.map(|person| (person.uid, person.gid));
        Ok(Self { folder: config.join("smartfw/operator"), owner, user: name })
    }

    /// The key's folder for a cluster.
    pub(crate) fn of(&self, cluster: &str) -> PathBuf {
        self.folder.join(cluster)
    }

    /// Does something as the person: what it makes is theirs, and it goes nowhere that they may not.
    pub(crate) fn as_owner<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let Some((uid, gid)) = self.owner else { return work() };
        let cannot = |error: nix::Error| Failure::failed(format!("cannot act as user {uid}: {error}"));
        setegid(gid).and_then(|()| seteuid(uid)).map_err(cannot)?;
        let result = work();
        seteuid(Uid::from_raw(0)).and_then(|()| setegid(Gid::from_raw(0))).map_err(cannot)?;
        result
    }
}

/// Makes a folder that is its owner's alone.
pub(super) fn make(folder: &Path) -> Result<(), Failure> {
    let cannot = |error| Failure::failed(format!("cannot make {}: {error}", folder.display()));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(cannot)
}

/// Who became root by `sudo`.
fn sudo_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let uid: u32 = env::var("SUDO_UID").ok()?.parse().ok().filter(|uid| *uid != 0)?;
    User::from_uid(Uid::from_raw(uid)).ok().flatten()
}

fn from_environment() -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}
