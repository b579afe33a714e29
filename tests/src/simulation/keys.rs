//! Keys and signatures of a simulated fleet: a keyed hash, which nobody here can forge who does not have the key.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hasher},
    sync::Arc,
};

use smartfw_core::fleet::{
    Entry, NodeId, RUN_DOMAIN, RunHeader, RunParts, SealError, SignedRun, Signer, Unverified, VerifiedRun,
    Verifier,
};
use smartfw_proto::convert::{decode_run, encode_run};

/// Bytes of a certificate chain: what a leaf of Ed25519 with its names has.
const CHAIN: usize = 500;

/// A member's key.
#[derive(Clone, Debug)]
pub struct Key {
    id: NodeId,
    secret: u64,
    chain: Arc<[u8]>,
}

impl Key {
    /// The key of the member with this number.
    pub fn new(number: usize) -> Self {
        let secret = hash(&[b"secret", &number.to_le_bytes()]);
        let words = (0..4).map(|word| hash(&[b"public", &secret.to_le_bytes(), &[word]]).to_be_bytes());
        let mut id = [0; 32];
        for (part, word) in id.chunks_exact_mut(8).zip(words) {
            part.copy_from_slice(&word);
        }
        let mut chain = vec![0; CHAIN];
        chain[..32].copy_from_slice(&id);
        Self { id: NodeId(id), secret, chain: chain.into() }
    }

    /// Who it belongs to.
    pub const fn id(&self) -> NodeId {
        self.id
    }

    fn signature(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        let first = hash(&[&self.secret.to_le_bytes(), RUN_DOMAIN, bytes]);
        for (number, part) in (0_u64..).zip(signature.chunks_exact_mut(8)) {
            part.copy_from_slice(&first.wrapping_mul(2 * number + 1).rotate_left(7).to_le_bytes());
        }
        signature
    }

    /// Signs whatever it is given: a liar does.
    pub fn sign(&self, header: RunHeader, entries: Vec<Entry>) -> Result<VerifiedRun, SealError> {
        let bytes = encode_run(&header, &entries).map_err(|error| SealError::TooLong(error.to_string()))?;
        let signature = self.signature(&bytes);
        let signed = SignedRun { bytes: bytes.into(), signature, certificate: self.chain.clone() };
        Ok(VerifiedRun::from_verified(RunParts { header, entries, signed }))
    }
}

impl Signer for Key {
    fn id(&self) -> NodeId {
        self.id
    }

    fn seal(&mut self, header: RunHeader, entries: Vec<Entry>) -> Result<VerifiedRun, SealError> {
        self.sign(header, entries)
    }

    fn leaves(&self, entry: &Entry) -> bool {
        matches!(entry, Entry::Block(_) | Entry::Withdraw { .. })
    }
}

/// Everybody's keys: what certificates are in reality.
#[derive(Clone, Debug, Default)]
pub struct Book(BTreeMap<NodeId, Key>);

impl Book {
    /// The book of members `0..count`.
    pub fn new(count: usize) -> Self {
        Self((0..count).map(Key::new).map(|key| (key.id, key)).collect())
    }
}

impl Verifier for Book {
    fn verify(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified> {
        let verified = self.recall(run)?;
        let key = self.0.get(&verified.header().origin).ok_or(Unverified::WrongOrigin)?;
        if key.signature(&run.bytes) != run.signature {
            return Err(Unverified::Forged);
        }
        if key.chain != run.certificate { Err(Unverified::WrongOrigin) } else { Ok(verified) }
    }

    fn recall(&self, run: &SignedRun) -> Result<VerifiedRun, Unverified> {
        let (header, entries) =
            decode_run(&run.bytes).map_err(|error| Unverified::Malformed(error.to_string()))?;
        Ok(VerifiedRun::from_verified(RunParts { header, entries, signed: run.clone() }))
    }
}

/// A hash that is the same on every machine and in every run.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish()
}
