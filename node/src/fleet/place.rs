//! Where an identity lives, and how its member is reached.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The folder of the identity within the state folder.
pub const FOLDER: &str = "identity";
const REACH: &str = "reach.json";
/// Addresses to ask for members: a person types them.
pub(super) const SEEDS: usize = 64;
/// Bytes of the file: 64 addresses and some.
const LONGEST: u64 = 16 << 10;

/// How this member is reached, and whom it asks first; in the identity's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reach {
    /// Where others reach this member; `None`: the address that leads to them, with the port that is listened on.
    pub advertise: Option<SocketAddr>,
    /// Addresses to ask for members while none are remembered; at most 64.
    pub seeds: Vec<SocketAddr>,
}

/// The file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}; it says how the cluster is reached: write it anew by joining again, or correct it")]
pub struct ReachError {
    path: PathBuf,
    why: String,
}

impl Reach {
    /// Reads what is in an identity's folder; nothing where there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or makes no sense.
    pub fn load(folder: &Path) -> Result<Self, ReachError> {
        let path = folder.join(REACH);
        let failed = |why: String| ReachError { path: path.clone(), why };
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(about) if about.len() > LONGEST => return Err(failed("it is too long".into())),
            _ => {}
        }
        let text = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
        let mut reach: Self = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        reach.seeds.truncate(SEEDS);
        Ok(reach)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save(&self, folder: &Path) -> Result<(), ReachError> {
        let (path, new) = (folder.join(REACH), folder.join("reach.json.new"));
        let failed = |why: String| ReachError { path: path.clone(), why };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.to_string()))?;
        std::fs::write(&new, text).map_err(|error| failed(error.to_string()))?;
        std::fs::rename(&new, &path).map_err(|error| failed(error.to_string()))
    }
}

/// Whether a folder holds an identity.
pub fn is_identity(folder: &Path) -> bool {
    folder.join("key.pem").exists() || folder.join("chain.pem").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_member_is_reached_is_read_as_it_was_written_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Reach::load(folder.path()).unwrap(), Reach::default());
        let reach = Reach {
            advertise: Some("192.0.2.1:7470".parse().unwrap()),
            seeds: vec!["[2001:db8::1]:7470".parse().unwrap()],
        };
        reach.save(folder.path()).unwrap();
        assert_eq!(Reach::load(folder.path()).unwrap(), reach);
        std::fs::write(folder.path().join(REACH), "{\"seed\":[]}").unwrap();
        assert!(Reach::load(folder.path()).unwrap_err().to_string().contains("reach.json"));
    }
}
