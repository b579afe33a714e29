//! Secrets that are shown once: of them only the SHA-256 is kept. They carry 256 bits of chance, so that a plain hash is
//! as good as a slow one.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom as _, SystemRandom},
};

/// Bytes of chance.
const BYTES: usize = 32;

/// The system gives no chance.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoChance;

/// A secret on its way to the one who may know it.
pub(crate) struct Secret(String);

impl Secret {
    /// A new one; `prefix` tells people, and programs that look for leaked secrets, what it is.
    pub(crate) fn new(prefix: &str) -> Result<Self, NoChance> {
        Ok(Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random::<BYTES>()?))))
    }

    /// The only look at it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        hash(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

pub(crate) fn hash(secret: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoChance> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoChance)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_not_shown_by_accident() {
        let (one, two) = (Secret::new("sfw_").unwrap(), Secret::new("sfw_").unwrap());
        assert!(one.reveal().starts_with("sfw_") && one.reveal().len() == 4 + 43);
        assert_ne!(one.hash(), two.hash());
        assert!(!format!("{one:?}").contains(one.reveal()));
        assert_eq!(hex(&hash("abc"))[..16], *"ba7816bf8f01cfea"); // FIPS 180-2, appendix B.1
    }
}
