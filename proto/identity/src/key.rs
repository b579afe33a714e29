//! Keys: who somebody is, and what they signed.

use std::fmt;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::sign::SigningKey;
use rustls_pki_types::PrivatePkcs8KeyDer;
use smartfw_core::fleet::{NodeId, ORDER_DOMAIN, RUN_DOMAIN};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a signature is for: one made for one purpose is none for another.
///
/// Each tag ends with a zero byte and contains no other, so none begins another one; and none begins like a
/// certificate or a TLS handshake, which the same keys sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A run of log entries.
    Run,
    /// An operator's order.
    Order,
    /// An entry of the revocation set.
    Revocation,
    /// A datagram of the membership protocol.
    Datagram,
}

impl Domain {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::Run => RUN_DOMAIN,
            Self::Order => ORDER_DOMAIN,
            Self::Revocation => b"smartfw/revocation/1\0",
            Self::Datagram => b"smartfw/datagram/1\0",
        }
    }

    fn message(self, bytes: &[u8]) -> Vec<u8> {
        [self.tag(), bytes].concat()
    }
}

/// A public Ed25519 key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The member that holds it: the SHA-256 of its 32 bytes.
    pub fn id(&self) -> NodeId {
        NodeId(sha256(&self.0))
    }

    /// Whether its holder signed `bytes` for this purpose.
    #[must_use]
    pub fn verify(&self, domain: Domain, bytes: &[u8], signature: &[u8]) -> bool {
        self.verify_raw(&domain.message(bytes), signature)
    }

    pub(crate) fn verify_raw(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A private Ed25519 key.
pub struct Key {
    pair: Ed25519KeyPair,
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
    handshakes: Arc<dyn SigningKey>,
}

/// A key could not be made or read.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers, so no key can be made")]
    NoChance,
    /// The bytes are no Ed25519 key.
    #[error("this is no Ed25519 private key in PKCS#8 form: {0}")]
    Malformed(String),
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoChance)?;
        Self::from_pkcs8(made.as_ref())
    }

    /// The key in these bytes.
    ///
    /// # Errors
    /// When they are no Ed25519 key, or its two halves do not belong together.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(bytes).map_err(|e| KeyError::Malformed(e.to_string()))?;
        let public = pair.public_key().as_ref().try_into();
        let public = PublicKey(public.map_err(|_| KeyError::Malformed("its public half is short".into()))?);
        let handshakes = any_eddsa_type(&PrivatePkcs8KeyDer::from(bytes));
        let handshakes = handshakes.map_err(|e| KeyError::Malformed(e.to_string()))?;
        Ok(Self { pair, public, pkcs8: Zeroizing::new(bytes.to_vec()), handshakes })
    }

    /// The private key itself, for [`from_pkcs8`](Self::from_pkcs8).
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Its public half.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Whom it makes its holder.
    pub fn id(&self) -> NodeId {
        self.public.id()
    }

    /// The same key as TLS handshakes use it.
    pub(crate) fn handshakes(&self) -> Arc<dyn SigningKey> {
        self.handshakes.clone()
    }

    /// Signs `bytes` for one purpose.
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(&domain.message(bytes)).as_ref());
        signature
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(of {}, secret)", self.id())
    }
}

impl rcgen::PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public.0
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.pair.sign(message).as_ref().to_vec())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    out
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut out = [0; N];
    SystemRandom::new().fill(&mut out).map_err(|_| KeyError::NoChance)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_its_purpose_and_its_key_only() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let signature = key.sign(Domain::Run, b"bytes");
        assert!(key.public().verify(Domain::Run, b"bytes", &signature));
        assert!(!key.public().verify(Domain::Run, b"Bytes", &signature));
        assert!(!key.public().verify(Domain::Order, b"bytes", &signature));
        assert!(!other.public().verify(Domain::Run, b"bytes", &signature));
        assert!(!key.public().verify(Domain::Run, b"bytes", &signature[..63]));
    }

    #[test]
    fn no_tag_begins_another() {
        let tags = [Domain::Run, Domain::Order, Domain::Revocation, Domain::Datagram].map(Domain::tag);
        for (i, a) in tags.iter().enumerate() {
            assert_eq!(a.iter().position(|b| *b == 0), Some(a.len() - 1));
            assert!(tags.iter().enumerate().all(|(j, b)| i == j || !b.starts_with(a)));
        }
    }

    #[test]
    fn a_key_never_shows_its_secret() {
        let key = Key::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("Key(of {}, secret)", key.id()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Key::from_pkcs8(&bytes);
        }
    }
}
