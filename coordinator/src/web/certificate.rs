//! What the web server shows itself with: a certificate that somebody gave it, or one of its own.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::settings::WebFiles;

/// Reads the files that the settings name; without them those in `folder`, which are made where there are none.
pub(super) fn load(folder: &Path, files: &WebFiles) -> anyhow::Result<Arc<SingleCertAndKey>> {
    let own = (folder.join("certificate.pem"), folder.join("key.pem"));
    let (certificate, key) = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => {
            if !own.0.exists() {
                make(&own.0, &own.1)?;
            }
            (&own.0, &own.1)
        }
        _ => bail!("web.certificate and web.key go together: give both or neither"),
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{} cannot be read", certificate.display()))?;
    let key =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("{} cannot be read", key.display()))?;
    let provider = rustls::crypto::ring::default_provider();
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider)?.into()))
}

/// One of our own, for whoever reaches us by the host's name, or on this host. Browsers ask once whether to believe it.
fn make(certificate: &Path, key: &Path) -> anyhow::Result<()> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    let made = rcgen::generate_simple_self_signed(names)?;
    write(key, 0o600, &made.signing_key.serialize_pem())?;
    write(certificate, 0o644, &made.cert.pem())
}

/// Writes a file, whole or not at all.
pub(super) fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.and_then(|()| fs::rename(&new, path)).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn without_a_certificate_one_is_made_once_and_its_key_is_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        load(folder.path(), &WebFiles::default()).unwrap();
        let path = folder.path().join("certificate.pem");
        let first = fs::read(&path).unwrap();
        load(folder.path(), &WebFiles::default()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        let key = fs::metadata(folder.path().join("key.pem")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_and_so_is_another_ones() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &other] {
            load(folder.path(), &WebFiles::default()).unwrap();
        }
        let file = |folder: &tempfile::TempDir, name: &str| Some(folder.path().join(name));
        let alone = WebFiles { certificate: file(&one, "certificate.pem"), key: None };
        assert!(load(one.path(), &alone).unwrap_err().to_string().contains("go together"));
        let mixed = WebFiles { certificate: file(&one, "certificate.pem"), key: file(&other, "key.pem") };
        assert!(load(one.path(), &mixed).is_err());
    }
}
