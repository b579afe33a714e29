//! The root of a cluster: the one key that makes signers and expels operators. Meant to be kept offline.

use std::path::Path;

use smartfw_core::Time;
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::file::{self, FileError};
use crate::issue::{self, IssueError};
use crate::key::{Key, KeyError, PublicKey};
use crate::name::{Label, MemberName, Role, Subject};
use crate::pem;
use crate::seal::{self, Passphrase, SealError};

/// A cluster's root, with its private key.
#[derive(Debug)]
pub struct Root {
    key: Key,
    certificate: Certificate,
}

/// The root could not be made, exported or imported.
#[derive(Debug, Error)]
pub enum RootError {
    /// A certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// The key could not be made or read.
    #[error("the root's key: {0}")]
    Key(#[from] KeyError),
    /// The certificate could not be read.
    #[error("the root's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// The passphrase does not open it.
    #[error("the root's key: {0}")]
    Seal(#[from] SealError),
    /// It is no exported root.
    #[error("this is no exported root: {0}; it should hold a certificate and a sealed key")]
    Malformed(String),
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Root {
    /// A new cluster's root.
    ///
    /// # Errors
    /// When no key or certificate can be made.
    pub fn create(cluster: &Label, now: Time) -> Result<Self, RootError> {
        let key = Key::generate()?;
        let certificate = issue::root(&key, &Subject::Root { cluster: cluster.clone() }, now)?;
        Ok(Self { key, certificate })
    }

    /// Its certificate, which every member has.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The cluster.
    pub const fn cluster(&self) -> &Label {
        self.certificate.subject.cluster()
    }

    /// Makes the holder of a key a signer, under the name that the root gives it.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn sign_signer(
        &self,
        site: &Label,
        name: &Label,
        key: &PublicKey,
        now: Time,
    ) -> Result<Certificate, IssueError> {
        let name = MemberName { cluster: self.cluster().clone(), site: site.clone(), name: name.clone() };
        let subject = Subject::Member { name, role: Role::Signer };
        issue::authority(&subject, key, (&self.certificate, &self.key), now)
    }

    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }

    /// Certificate and key as text, the key under the passphrase.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn export(&self, passphrase: &Passphrase) -> Result<String, RootError> {
        let sealed = seal::seal(self.key.pkcs8(), passphrase)?;
        let certificate = pem::encode(pem::CERTIFICATE, self.certificate.der());
        Ok(format!("{}{}", certificate.as_str(), pem::encode(pem::SEALED_KEY, &sealed).as_str()))
    }

    /// Reads [`export`](Self::export).
    ///
    /// # Errors
    /// When the text is none, the passphrase is another, or key and certificate do not belong together.
    pub fn import(text: &str, passphrase: &Passphrase) -> Result<Self, RootError> {
        let sealed = single(pem::SEALED_KEY, text.as_bytes())?;
        let certificate = certificate(text.as_bytes())?;
        Self::join(Key::from_pkcs8(&seal::open(&sealed, passphrase)?)?, certificate)
    }

    /// Writes it to a file for a machine that keeps it online, its key in clear.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RootError> {
        let certificate = pem::encode(pem::CERTIFICATE, self.certificate.der());
        let key = pem::encode(pem::PRIVATE_KEY, self.key.pkcs8());
        Ok(file::write(path, &zeroize::Zeroizing::new([certificate.as_bytes(), key.as_bytes()].concat()))?)
    }

    /// Reads [`save`](Self::save).
    ///
    /// # Errors
    /// When the file is missing, readable by others, or holds something else.
    pub fn load(path: &Path) -> Result<Self, RootError> {
        let text = file::read_secret(path)?;
        let key = zeroize::Zeroizing::new(single(pem::PRIVATE_KEY, &text)?);
        Self::join(Key::from_pkcs8(&key)?, certificate(&text)?)
    }

    fn join(key: Key, certificate: Certificate) -> Result<Self, RootError> {
        if !matches!(certificate.subject, Subject::Root { .. }) || !certificate.authority {
            return Err(RootError::Malformed("its certificate is not that of a root".into()));
        }
        if certificate.key != *key.public() {
            return Err(RootError::Malformed("its key and its certificate do not belong together".into()));
        }
        Ok(Self { key, certificate })
    }
}

fn certificate(text: &[u8]) -> Result<Certificate, RootError> {
    Ok(Certificate::parse(&single(pem::CERTIFICATE, text)?)?)
}

fn single(label: &str, text: &[u8]) -> Result<Vec<u8>, RootError> {
    let mut found = pem::decode(label, text).map_err(RootError::Malformed)?;
    match (found.pop(), found.is_empty()) {
        (Some(bytes), true) => Ok(bytes),
        _ => Err(RootError::Malformed(format!("it should hold one section {label}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn root() -> Root {
        Root::create(&Label::new("prod").unwrap(), Time::from_secs(1_800_000_000)).unwrap()
    }

    #[test]
    fn an_exported_root_comes_back_with_its_passphrase_only() {
        let (root, right) = (root(), Passphrase::new("four random words here").unwrap());
        let text = root.export(&right).unwrap();
        assert!(!text.contains("PRIVATE KEY-"), "the key is not in clear");
        let again = Root::import(&text, &right).unwrap();
        assert_eq!((again.certificate(), again.key.id()), (root.certificate(), root.key.id()));
        let wrong = Passphrase::new("four random words hers").unwrap();
        assert!(matches!(Root::import(&text, &wrong), Err(RootError::Seal(SealError::Wrong))));
    }

    #[test]
    fn a_saved_root_is_refused_once_others_can_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("root.pem");
        root().save(&path).unwrap();
        assert!(Root::load(&path).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Root::load(&path), Err(RootError::File(FileError::Loose { .. }))));
    }

    #[test]
    fn a_root_with_the_key_of_another_is_refused() {
        let (one, other) = (root(), root());
        assert!(matches!(Root::join(one.key, other.certificate), Err(RootError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_text_is_a_root_or_refused(text in "(-----(BEGIN|END) (CERTIFICATE|SMARTFW SEALED KEY)-----\n|.|\n)*") {
            prop_assert!(Root::import(&text, &Passphrase::new("four random words").unwrap()).is_err());
        }
    }
}
