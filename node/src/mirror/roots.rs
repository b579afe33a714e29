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

use crate::{files, fleet::PeerCodec};

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
    /// The roots in the state folder. A file that cannot be read is left alone and believed no more.
    pub fn open(state_dir: &Path) -> Self {
        let folder = state_dir.join(FOLDER);
        let mut roots = BTreeMap::new();
        for path in fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.extension().is_none_or(|extension| extension != "pem") || roots.len() >= FOREIGN_ROOTS {
                continue;
            }
            match read(&path) {
                Ok(root) => drop(roots.insert(root.cluster.clone(), Arc::new(root))),
                Err(why) => {
                    tracing::error!(path = %path.display(), %why, "another cluster's root is not believed");
                }
            }
        }
        Self { folder, roots: RwLock::new(roots), changed: watch::Sender::new(0) }
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
        fs::remove_file(&path).map_err(|why| RootRefused::Disk { path, why })?;
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

    /// Rises whenever they change.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn path(&self, cluster: &str) -> PathBuf {
        self.folder.join(format!("{cluster}.pem"))
    }
}

fn read(path: &Path) -> anyhow::Result<Root> {
    let length = fs::metadata(path)?.len();
    anyhow::ensure!(length <= PEM as u64, "it is longer than {PEM} bytes");
    Ok(Root::parse(&fs::read_to_string(path)?)?)
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
