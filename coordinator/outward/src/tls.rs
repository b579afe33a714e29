//! Whom TLS believes: one own authority, or those of the system.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;

/// So large is a file of authorities at most: the system's own has about 220 kB.
const CA_BYTES: u64 = 4 << 20;

/// TLS cannot be set up.
#[derive(Debug, Error)]
pub enum BadTls {
    /// The file cannot be read.
    #[error("`ca_file` {path} cannot be read: {why}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The file has no certificate that can be used.
    #[error("`ca_file` {0} has no certificate of an authority in PEM")]
    Empty(PathBuf),
    /// The system knows no authority.
    #[error("the system has no certificates of authorities; install ca-certificates, or name a `ca_file`")]
    NoSystem,
}

/// What every connection to this receiver uses. With an own authority no other is believed.
pub(crate) fn client(ca_file: Option<&Path>) -> Result<ClientConfig, BadTls> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let pem = pem(path)?;
            let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
            roots.add_parsable_certificates(certificates);
            if roots.is_empty() {
                return Err(BadTls::Empty(path.to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(BadTls::NoSystem);
            }
        }
    }
    believing(roots)
}

/// The provider is named: whoever else brings one into the program changes nothing here.
pub(crate) fn believing(roots: RootCertStore) -> Result<ClientConfig, BadTls> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|_| BadTls::NoSystem)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The file of authorities.
pub(crate) fn pem(path: &Path) -> Result<Vec<u8>, BadTls> {
    let unreadable = |why: String| BadTls::Unreadable { path: path.to_owned(), why };
    let size = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > CA_BYTES {
        return Err(unreadable(format!("it has {size} bytes, more than {CA_BYTES}")));
    }
    fs::read(path).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_authority_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert!(client(Some(&path)).unwrap_err().to_string().contains("cannot be read"));
        fs::write(&path, "not PEM").unwrap();
        assert!(matches!(client(Some(&path)), Err(BadTls::Empty(_))));
        fs::write(&path, vec![b'x'; CA_BYTES as usize + 1]).unwrap();
        assert!(client(Some(&path)).unwrap_err().to_string().contains("more than"));
    }
}
