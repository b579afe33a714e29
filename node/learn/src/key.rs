//! Who signs models.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a signature is for: one made for another purpose is none here.
const DOMAIN: &[u8] = b"smartfw/model/1\0";
/// The longest key file: ours have 85 bytes.
const KEY_BYTES: u64 = 1024;

/// Whose signature it is: a public Ed25519 key. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signer(pub [u8; 32]);

impl Signer {
    /// Whether its holder signed these bytes as a model.
    pub(crate) fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&[DOMAIN, bytes].concat(), signature).is_ok()
    }

    /// Its first 16 digits, for tables.
    pub fn short(&self) -> String {
        self.0[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({self})")
    }
}

/// The text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is no public key: one has 64 hexadecimal digits, as `smartfw-cli model verify` shows them")]
pub struct NoSigner;

impl FromStr for Signer {
    type Err = NoSigner;
    fn from_str(text: &str) -> Result<Self, NoSigner> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NoSigner);
        }
        let mut key = [0; 32];
        for (byte, two) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let two = str::from_utf8(two).map_err(|_| NoSigner)?;
            *byte = u8::from_str_radix(two, 16).map_err(|_| NoSigner)?;
        }
        Ok(Self(key))
    }
}

/// A private key that signs models.
pub struct ModelKey {
    pair: Ed25519KeyPair,
    signer: Signer,
}

/// A key could not be made, read or written.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers, so no key can be made")]
    NoChance,
    /// The bytes are no Ed25519 key.
    #[error("{0} is no Ed25519 private key in PKCS#8 form; remove it to have a new one made")]
    Malformed(PathBuf),
    /// Others could read it.
    #[error(
        "{path} has mode {mode:o}: others could read it; run `chmod 600 {path}` and consider the key known"
    )]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot use the key {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl ModelKey {
    /// A new key that is kept nowhere.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_pkcs8(&new()?).ok_or(KeyError::NoChance)
    }

    /// The key in a file; where there is no file, a new key and its file (mode 0600). Who come at once get the same.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with the file; it is left as it is.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: path.into(), source };
        match File::open(path) {
            Ok(file) => Self::load(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = new()?;
                let made = Self::from_pkcs8(&bytes).ok_or(KeyError::NoChance)?;
                match write_new(path, &bytes, &made.signer.short()) {
                    Ok(()) => Ok(made),
                    // Somebody else was first.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path, File::open(path).map_err(failed)?)
                    }
                    Err(error) => Err(failed(error)),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn load(path: &Path, file: File) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: path.into(), source };
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Loose { path: path.into(), mode });
        }
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(KEY_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        Self::from_pkcs8(&bytes).ok_or_else(|| KeyError::Malformed(path.into()))
    }

    /// Its public half.
    pub const fn signer(&self) -> Signer {
        self.signer
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(&[DOMAIN, bytes].concat()).as_ref());
        signature
    }

    fn from_pkcs8(bytes: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).ok()?;
        let signer = Signer(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, signer })
    }
}

impl fmt::Debug for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelKey(of {}, secret)", self.signer)
    }
}

fn new() -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoChance)?;
    Ok(Zeroizing::new(made.as_ref().to_vec()))
}

/// Whole or not at all (half a key would be refused ever after), and never in the place of another. `unique` is what
/// nobody else calls his file meanwhile.
fn write_new(path: &Path, bytes: &[u8], unique: &str) -> io::Result<()> {
    let passing = path.with_extension(format!("{unique}.new"));
    let written = write(&passing, bytes).and_then(|()| fs::hard_link(&passing, path));
    let _ = fs::remove_file(&passing);
    written
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owner_s_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = ModelKey::load_or_make(&path).unwrap().signer();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(ModelKey::load_or_make(&path).unwrap().signer(), made);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(ModelKey::load_or_make(&path), Err(KeyError::Loose { mode: 0o640, .. })));
    }

    #[test]
    fn who_come_at_once_get_the_same_key() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("key");
            let begin = std::sync::Barrier::new(8);
            let load = || {
                begin.wait();
                ModelKey::load_or_make(&path).unwrap().signer()
            };
            let signers: Vec<Signer> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let kept = ModelKey::load_or_make(&path).unwrap().signer();
            assert!(signers.iter().all(|signer| *signer == kept));
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_damaged_key_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, b"rubbish", "rubbish").unwrap();
        assert!(matches!(ModelKey::load_or_make(&path), Err(KeyError::Malformed(_))));
        assert_eq!(fs::read(&path).unwrap(), b"rubbish");
    }

    #[test]
    fn a_signer_outlives_being_written_down() {
        let signer = ModelKey::generate().unwrap().signer();
        assert_eq!(signer.to_string().parse(), Ok(signer));
        assert!(signer.to_string().starts_with(&signer.short()));
        for wrong in ["", "00", &"0".repeat(63), &"g".repeat(64), &format!("+{}", "0".repeat(63))] {
            assert_eq!(wrong.parse::<Signer>(), Err(NoSigner), "{wrong}");
        }
    }
}
