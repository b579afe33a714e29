//! Where the identity lives, and how the fleet is found at first.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use smartfw_identity::{Identity, Revocations, Role};

/// Addresses to ask for members at first.
pub const SEEDS: usize = 64;
/// Bytes of the file that says them.
const LONGEST: u64 = 16 << 10;
const REACH: &str = "reach.json";
const REVOCATIONS: &str = "revocations";

/// The identity's folder within the state folder.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("identity")
}

/// Where nodes reach us, and whom we ask first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reach {
    /// Where nodes reach the coordinator; `None`: what it listens on, or the address that leads to the members.
    pub advertise: Option<SocketAddr>,
    /// Members to ask first; at most [`SEEDS`].
    pub seeds: Vec<SocketAddr>,
}

/// Who we are, as it is on disk.
#[derive(Debug)]
pub struct Kept {
    /// Key and certificate.
    pub identity: Identity,
    /// Who was expelled.
    pub revocations: Revocations,
    /// How the fleet is found.
    pub reach: Reach,
}

impl Kept {
    /// Reads what [`Kept::save`] wrote.
    ///
    /// # Errors
    /// When there is none, it is of another role, or a file is damaged.
    pub fn load(state_dir: &Path) -> anyhow::Result<Self> {
        let folder = folder(state_dir);
        if !is_identity(&folder) {
            bail!(
                "this coordinator is in no cluster: run `smartfw-cli cluster token --role coordinator` on a signer, then \
                 `smartfw-coordinator join ADDR:PORT --token T` here"
            );
        }
        let identity = Identity::load(&folder, None)?;
        let role = identity.member().role;
        if role != Role::Coordinator {
            bail!(
                "{} is the identity of a {role}: give the coordinator a folder of its own by --state-dir",
                folder.display()
            );
        }
        let revocations = Revocations::open(&folder.join(REVOCATIONS), identity.trust().clone());
        Ok(Self { revocations, reach: Reach::load(&folder)?, identity })
    }

    /// Writes a new identity, all of it or nothing, where there was none.
    ///
    /// # Errors
    /// When the system refuses, or something is in its place.
    pub fn save(state_dir: &Path, identity: &Identity, reach: &Reach) -> anyhow::Result<()> {
        let (place, new) = (folder(state_dir), state_dir.join("identity.new"));
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot make {}", new.display()));
            }
            _ => {}
        }
        identity.save(&new, None)?;
        Revocations::create(&new.join(REVOCATIONS), identity.trust().clone())?;
        reach.save(&new)?;
        fs::rename(&new, &place).with_context(|| {
            format!("cannot put the identity at {}: move what is there away", place.display())
        })
    }
}

impl Reach {
    /// Reads what is in an identity's folder; nothing where there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or makes no sense.
    pub fn load(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(REACH);
        let failed =
            || format!("{}: it says how the cluster is reached; correct it, or join again", path.display());
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(about) if about.len() > LONGEST => bail!("{}: it is too long", path.display()),
            _ => {}
        }
        let text = fs::read(&path).with_context(failed)?;
        let mut reach: Self = serde_json::from_slice(&text).with_context(failed)?;
        reach.seeds.truncate(SEEDS);
        Ok(reach)
    }

    fn save(&self, folder: &Path) -> anyhow::Result<()> {
        replace(&folder.join(REACH), &serde_json::to_vec_pretty(self)?)
    }
}

/// Whether a folder holds an identity.
pub fn is_identity(folder: &Path) -> bool {
    folder.join("key.pem").exists() || folder.join("chain.pem").exists()
}

/// Replaces a file, whole or not at all.
///
/// # Errors
/// When the system refuses; what was there before is untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, path));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// One coordinator per state folder: held until dropped, or until the process dies however it dies.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<fs::File>,
}

impl Lock {
    /// Takes the folder, which is created where it is missing.
    ///
    /// # Errors
    /// When a coordinator runs in it, or it cannot be used.
    pub fn take(state_dir: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("cannot use the state folder {}", state_dir.display());
        private(state_dir).with_context(unusable)?;
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let file = options.open(state_dir.join("coordinator.lock")).with_context(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Self { _file: file }),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => bail!(
                "a smartfw-coordinator runs in {}: stop it first, or choose another --state-dir",
                state_dir.display()
            ),
            Err((_, errno)) => Err(io::Error::from(errno)).with_context(unusable),
        }
    }
}

/// Creates a folder (0750) and its parents where they are missing.
fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => Err(io::Error::new(io::ErrorKind::NotADirectory, "is not a folder")),
        Err(_) => fs::DirBuilder::new().recursive(true).mode(0o750).create(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cluster;

    #[test]
    fn who_we_are_is_read_as_it_was_written_and_never_over_another() {
        let state = tempfile::tempdir().unwrap();
        assert!(Kept::load(state.path()).unwrap_err().to_string().contains("join"));
        let cluster = Cluster::found("prod");
        let coordinator = cluster.admit("memory", Role::Coordinator);
        let reach = Reach {
            advertise: Some("192.0.2.1:7471".parse().unwrap()),
            seeds: vec!["[2001:db8::1]:7470".parse().unwrap()],
        };
        Kept::save(state.path(), &coordinator, &reach).unwrap();
        let kept = Kept::load(state.path()).unwrap();
        assert_eq!((kept.identity.id(), &kept.reach), (coordinator.id(), &reach));
        assert!(kept.revocations.unreadable().is_none());
        let again = Kept::save(state.path(), &cluster.admit("other", Role::Coordinator), &reach).unwrap_err();
        assert!(again.to_string().contains("move what is there away"), "{again:#}");
        assert_eq!(Kept::load(state.path()).unwrap().identity.id(), coordinator.id());
        fs::write(folder(state.path()).join(REACH), "{\"seed\":[]}").unwrap();
        assert!(format!("{:#}", Kept::load(state.path()).unwrap_err()).contains("reach.json"));
        fs::write(folder(state.path()).join(REACH), vec![b' '; LONGEST as usize + 1]).unwrap();
        assert!(Kept::load(state.path()).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn a_nodes_identity_is_not_taken_for_ours() {
        let state = tempfile::tempdir().unwrap();
        let node = Cluster::found("prod").admit("web-1", Role::Node);
        Kept::save(state.path(), &node, &Reach::default()).unwrap();
        assert!(Kept::load(state.path()).unwrap_err().to_string().contains("--state-dir"));
    }

    #[test]
    fn one_coordinator_runs_in_a_folder() {
        let state = tempfile::tempdir().unwrap();
        let first = Lock::take(state.path()).unwrap();
        assert!(Lock::take(state.path()).unwrap_err().to_string().contains("stop it first"));
        drop(first);
        assert!(Lock::take(state.path()).is_ok());
    }
}
