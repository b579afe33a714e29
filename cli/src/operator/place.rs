//! Whose home, and where in it.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{self, Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User, geteuid, setegid, seteuid};
use smartfw_identity::{Identity, Passphrase};

use crate::failure::Failure;

/// Where a person's operator's keys are.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    /// Behind `sudo`, or for root in a folder of somebody's: whose files they shall be.
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
            let folder = PathBuf::from(folder);
            let owner = owner_of(&folder).filter(|_| geteuid().is_root());
            return Ok(Self { folder, owner, user: name });
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

    /// For tests: there, and nobody else's.
    #[cfg(test)]
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), owner: None, user: None }
    }

    /// The person's key for models.
    pub(crate) fn model_key(&self) -> PathBuf {
        self.folder.with_file_name("model.key")
    }

    /// The key's folder for a cluster.
    pub(crate) fn of(&self, cluster: &str) -> PathBuf {
        self.folder.join(cluster)
    }

    /// The folders of all keys that are kept here.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        let kept = found.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        kept.map(|entry| entry.path()).collect()
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

/// Room for a new key, made and tried before anything that could be lost for want of it. Taken away again unless the key
/// moves in.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    home: &'a Home,
    folder: PathBuf,
}

impl<'a> Room<'a> {
    pub(crate) fn make(home: &'a Home) -> Result<Self, Failure> {
        // Beside where it goes: a rename moves it there whole.
        let folder = home.folder.join(format!(".new-{}", std::process::id()));
        home.as_owner(|| {
            let cannot = |error| Failure::failed(format!("cannot make {}: {error}", folder.display()));
            make(&home.folder)?;
            drop_folder(&folder).map_err(cannot)?;
            make(&folder)?;
            fs::write(folder.join("trial"), b"")
                .and_then(|()| fs::remove_file(folder.join("trial")))
                .map_err(cannot)
        })?;
        Ok(Self { home, folder })
    }

    /// Keeps a key as that of its cluster. One that is there already gives way.
    pub(crate) fn keep(self, identity: &Identity, passphrase: Option<&Passphrase>) -> Result<(), Failure> {
        let place = self.home.of(identity.trust().cluster().as_str());
        self.home.as_owner(|| {
            let cannot =
                |why: String| Failure::failed(format!("cannot keep the key in {}: {why}", place.display()));
            identity.save(&self.folder, passphrase).map_err(|why| cannot(why.to_string()))?;
            let before = place.with_file_name(format!(".old-{}", std::process::id()));
            let replaced = match fs::rename(&place, &before) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(cannot(error.to_string())),
            };
            if let Err(error) = fs::rename(&self.folder, &place) {
                if replaced {
                    // As it was before.
                    let _ = fs::rename(&before, &place);
                }
                return Err(cannot(error.to_string()));
            }
            drop_folder(&before).map_err(|error| {
                Failure::failed(format!(
                    "the new key is kept, and the old one is still in {}: {error}",
                    before.display()
                ))
            })
        })
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let gone = self.home.as_owner(|| drop_folder(&self.folder).map_err(Failure::from));
        // Where no key is kept there was no folder for keys, either: an empty one goes again, any other stays.
        let _ = gone.and_then(|()| self.home.as_owner(|| Ok(fs::remove_dir(&self.home.folder)?)));
    }
}

fn drop_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a folder that is its owner's alone.
fn make(folder: &Path) -> Result<(), Failure> {
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

/// Whose a folder is, or will be: that of the first on the way to it that is not root's. Whoever owns that can lead the
/// rest of the way anywhere, by a link too, and root must not follow.
fn owner_of(folder: &Path) -> Option<(Uid, Gid)> {
    let folder = path::absolute(folder).ok()?;
    let mut way: Vec<&Path> = folder.ancestors().collect();
    way.reverse();
    let there = way.into_iter().map_while(|step| fs::symlink_metadata(step).ok());
    let theirs = there.into_iter().find(|about| about.uid() != 0)?;
    Some((Uid::from_raw(theirs.uid()), Gid::from_raw(theirs.gid())))
}

fn from_environment() -> Option<PathBuf> {
    let set = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_yet_will_be_whose_the_one_above_it_is() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("coordinator/operator");
        let (uid, gid) = (geteuid(), nix::unistd::getegid());
        assert_eq!(owner_of(&folder), (!uid.is_root()).then_some((uid, gid)));
        if uid.is_root() {
            let (nobody, group) = (65_534, 65_533);
            chown(above.path(), Some(nobody), Some(group)).unwrap();
            assert_eq!(owner_of(&folder), Some((Uid::from_raw(nobody), Gid::from_raw(group))));
            fs::create_dir_all(folder.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("/etc", &folder).unwrap();
            let theirs = Some((Uid::from_raw(nobody), Gid::from_raw(group)));
            assert_eq!(owner_of(&folder), theirs, "root does not go where somebody else's link leads");
        }
    }
}
