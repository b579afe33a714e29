//! Other clusters' roots that a person on this node believes, one file each in `<state>/roots/`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use smartfw_core::fleet::NodeId;
use smartfw_identity::{Certificate, CertificateError, Judge, Refused, Revocations, Trust};
use smartfw_proto::limits::{FOREIGN_ROOTS, PEM};
use thiserror::Error;
use tokio::sync::watch;

use crate::{
    files,
    fleet::{self, PeerCodec},
    inbox::{Inbox, Input},
};

const FOLDER: &str = "roots";

/// A root, and who judges by it.
#[derive(Debug)]
pub struct Root {
    /// The cluster.
    pub cluster: String,
    /// The id of its key.
    pub id: NodeId,
    /// The SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
    /// Judges runs and orders of that cluster.
    pub judge: Judge<PeerCodec>,
}

/// The roots that are believed.
#[derive(Debug)]
pub struct Roots {
    folder: PathBuf,
    roots: RwLock<BTreeMap<String, Arc<Root>>>,
    changed: watch::Sender<u64>,
    /// What is in the folder and not believed, and why.
    strange: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum RootRefused {
    /// The text is none.
    #[error("this is no root's certificate: {0}; it is the file root.pem in the identity folder of a member")]
    Unreadable(#[from] CertificateError),
    /// The certificate is another's.
    #[error("this is no root's certificate: {0}; it is the file root.pem in the identity folder of a member")]
    NoRoot(#[from] Refused),
    /// It is this node's own cluster's name.
    #[error("{0} is this node's own cluster; two clusters that share a database need two names")]
    Ours(String),
    /// There is another one.
    #[error("another root of a cluster {0} is believed; first: smartfw-cli trust remove --root {0}")]
    Taken(String),
    /// There are enough.
    #[error("{FOREIGN_ROOTS} roots are believed already, which is all there may be")]
    Full,
    /// There is none.
    #[error("no root of a cluster {0} is believed; smartfw-cli trust list shows them")]
    Unknown(String),
    /// The disk refuses.
    #[error("the file {path}: {why}")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
}

impl Root {
    fn parse(pem: &str) -> Result<Self, RootRefused> {
        let certificate = Certificate::from_pem(pem)?;
        let (id, fingerprint) = (certificate.id(), certificate.fingerprint());
        let trust = Trust::new(certificate)?;
        let cluster = trust.cluster().to_string();
        // Whom that cluster expelled is its own matter: its operators are the ones who know.
        let revocations = Arc::new(Revocations::in_memory(trust.clone()));
        Ok(Self { cluster, id, fingerprint, judge: Judge::new(trust, revocations, PeerCodec) })
    }
}

impl Roots {
    /// The roots in the state folder, each in the file of its cluster's name, by which it is removed. Any other file is left
    /// alone and believed no more.
    pub fn open(state_dir: &Path) -> Self {
        let folder = state_dir.join(FOLDER);
        let (mut roots, mut strange) = (BTreeMap::new(), Vec::new());
        for path in files_in(&folder, &mut strange) {
            match read(&path) {
                Ok(_) if roots.len() >= FOREIGN_ROOTS => {
                    strange.push(format!("{}: {}", path.display(), RootRefused::Full));
                }
                Ok(root) => drop(roots.insert(root.cluster.clone(), Arc::new(root))),
                Err(why) => strange.push(format!("{}: {why:#}", path.display())),
            }
        }
        Self { folder, roots: RwLock::new(roots), changed: watch::Sender::new(0), strange }
    }

    /// What was found at the start and is not believed, and why.
    pub fn strange(&self) -> Option<String> {
        let first = self.strange.first()?;
        let more = self.strange.len() - 1;
        Some(if more == 0 { first.clone() } else { format!("{first}; and {more} more") })
    }

    /// Believes a root from now on; on disk when this returns.
    ///
    /// # Errors
    /// [`RootRefused`]: why it is not believed.
    pub fn add(&self, pem: &str, ours: Option<&str>) -> Result<Arc<Root>, RootRefused> {
        let root = Arc::new(Root::parse(pem)?);
        let cluster = root.cluster.clone();
        if ours == Some(cluster.as_str()) {
            return Err(RootRefused::Ours(cluster));
        }
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        match roots.get(&cluster) {
            Some(known) if known.fingerprint == root.fingerprint => return Ok(known.clone()),
            Some(_) => return Err(RootRefused::Taken(cluster)),
            None if roots.len() >= FOREIGN_ROOTS => return Err(RootRefused::Full),
            None => {}
        }
        let path = self.path(&cluster);
        let written = files::private_dir(&self.folder).and_then(|()| files::replace(&path, pem.as_bytes()));
        written.map_err(|why| RootRefused::Disk { path, why })?;
        roots.insert(cluster, root.clone());
        drop(roots);
        self.changed.send_modify(|count| *count += 1);
        Ok(root)
    }

    /// Believes the root of a cluster no longer.
    ///
    /// # Errors
    /// [`RootRefused`]: why it is still believed.
    pub fn remove(&self, cluster: &str) -> Result<Arc<Root>, RootRefused> {
        let mut roots = self.roots.write().unwrap_or_else(PoisonError::into_inner);
        let unknown = || RootRefused::Unknown(cluster.to_owned());
        let root = roots.get(cluster).cloned().ok_or_else(unknown)?;
        let path = self.path(cluster);
        files::remove(&path).map_err(|why| RootRefused::Disk { path, why })?;
        roots.remove(cluster);
        drop(roots);
        self.changed.send_modify(|count| *count += 1);
        Ok(root)
    }

    /// The root of a cluster.
    pub fn get(&self, cluster: &str) -> Option<Arc<Root>> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned()
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Root>> {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The clusters whose roots these are, by the ids of these.
    pub fn believed(&self) -> BTreeMap<NodeId, String> {
        self.all().iter().map(|root| (root.id, root.cluster.clone())).collect()
    }

    /// Tells the driver whom to believe. Told while nothing changes, so that what is told last holds.
    pub fn tell(&self, inbox: &Inbox) {
        let roots = self.roots.read().unwrap_or_else(PoisonError::into_inner);
        let clusters = roots.values().map(|root| (root.id, root.cluster.clone())).collect();
        inbox.send(Input::Fleet(fleet::Input::Foreigners(clusters)));
    }

    /// Rises whenever they change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn path(&self, cluster: &str) -> PathBuf {
        self.folder.join(format!("{cluster}.pem"))
    }
}

/// The certificates' files in a folder, in the order of their names.
fn files_in(folder: &Path, strange: &mut Vec<String>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(why) => {
            strange.push(format!("{}: {why}", folder.display()));
            return Vec::new();
        }
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|ext| ext == "pem")).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> anyhow::Result<Root> {
    let length = fs::metadata(path)?.len();
    anyhow::ensure!(length <= PEM as u64, "it is longer than {PEM} bytes");
    let root = Root::parse(&fs::read_to_string(path)?)?;
    let named = path.file_stem().is_some_and(|name| name == root.cluster.as_str());
    anyhow::ensure!(named, "it is the root of a cluster {0} and not named {0}.pem", root.cluster);
    Ok(root)
}

#[cfg(test)]
mod tests {
    use smartfw_identity::Label;

    use super::*;
    use crate::clock;

    fn pem(cluster: &str) -> String {
        let root = smartfw_identity::Root::create(&Label::new(cluster).unwrap(), clock::now()).unwrap();
        root.certificate().to_pem()
    }

    #[test]
    fn a_root_is_believed_until_it_is_removed_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (roots, east) = (Roots::open(folder.path()), pem("east"));
        let mut changes = roots.watch();
        let id = roots.add(&east, Some("west")).unwrap().id;
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        assert!(roots.add(&east, Some("west")).is_ok() && !changes.has_changed().unwrap(), "once is enough");
        fs::write(folder.path().join("roots/broken.pem"), "no certificate").unwrap();
        let again = Roots::open(folder.path());
        assert_eq!(again.all().iter().map(|root| root.id).collect::<Vec<_>>(), [id]);
        again.remove("east").unwrap();
        assert!(again.get("east").is_none() && Roots::open(folder.path()).all().is_empty());
        assert!(matches!(again.remove("east"), Err(RootRefused::Unknown(_))));
    }

    #[test]
    fn a_file_that_is_not_believed_is_told_and_one_that_is_gone_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::open(folder.path());
        roots.add(&pem("east"), None).unwrap();
        let file = |name: &str| folder.path().join("roots").join(name);
        fs::copy(file("east.pem"), file("copy.pem")).unwrap();
        let again = Roots::open(folder.path());
        assert!(again.strange().unwrap().contains("not named east.pem"));
        fs::remove_file(file("east.pem")).unwrap();
        again.remove("east").unwrap();
        assert!(Roots::open(folder.path()).all().is_empty(), "no copy of it comes back");
        for n in 0..=FOREIGN_ROOTS {
            fs::write(file(&format!("c{n}.pem")), pem(&format!("c{n}"))).unwrap();
        }
        let full = Roots::open(folder.path());
        assert_eq!(full.all().len(), FOREIGN_ROOTS);
        assert!(full.strange().unwrap().ends_with("; and 1 more"));
        fs::remove_dir_all(folder.path().join("roots")).unwrap();
        assert!(full.remove("c0").is_ok());
    }

    #[test]
    fn what_is_no_root_our_own_name_a_second_root_and_one_too_many_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let roots = Roots::open(folder.path());
        assert!(matches!(roots.add("no certificate", None), Err(RootRefused::Unreadable(_))));
        assert!(matches!(roots.add(&pem("west"), Some("west")), Err(RootRefused::Ours(_))));
        roots.add(&pem("c0"), None).unwrap();
        assert!(matches!(roots.add(&pem("c0"), None), Err(RootRefused::Taken(_))));
        (1..FOREIGN_ROOTS).for_each(|n| drop(roots.add(&pem(&format!("c{n}")), None).unwrap()));
        assert!(matches!(roots.add(&pem("more"), None), Err(RootRefused::Full)));
    }
}
