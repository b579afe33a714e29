//! Who we are: our key, our certificate, and the root that we believe.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use thiserror::Error;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::file::{self, FileError};
use crate::issue::{BACKDATED, LEAF_LIFE};
use crate::key::{Key, KeyError};
use crate::pem;
use crate::seal::{self, Passphrase, SealError};
use crate::trust::{Chain, Member, Refused, Trust};

/// The private key.
const KEY: &str = "key.pem";
/// Our certificate and our signer's.
const CHAIN: &str = "chain.pem";
/// The cluster's root.
const ROOT: &str = "root.pem";
/// A certificate with less left is warned about: its renewal has failed since two thirds of its life.
const WARN: u64 = 10 * 24 * 60 * 60;

/// A member's key, its certificate, and the root that both depend on.
#[derive(Clone, Debug)]
pub struct Identity {
    key: Arc<Key>,
    chain: Chain,
    member: Member,
    trust: Trust,
}

/// What is to be done about our own certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing.
    NotDue,
    /// Two thirds of its life are over: ask a signer for a new one.
    Due,
    /// Less than ten days are left, and it was due before: say so loudly.
    Late,
    /// It is over: only a new token helps.
    Expired,
}

/// Our identity could not be read, written or put together.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key could not be made or read.
    #[error("our private key: {0}")]
    Key(#[from] KeyError),
    /// The key is under a passphrase.
    #[error("our private key is under a passphrase: give it")]
    Sealed,
    /// The passphrase does not open it.
    #[error("our private key: {0}")]
    Seal(#[from] SealError),
    /// Our chain does not hold under our root.
    #[error("our own certificate cannot be used: {0}")]
    Refused(#[from] Refused),
    /// The certificate is about another key.
    #[error("our certificate is about another key than ours: restore both from one backup, or join again")]
    OtherKey,
}

impl Identity {
    /// Puts an identity together.
    ///
    /// # Errors
    /// When the chain does not lead to the root, or is about another key. Whether it has expired is not looked at.
    pub fn new(key: Arc<Key>, chain: Chain, trust: Trust) -> Result<Self, IdentityError> {
        let member = trust.check(&chain)?;
        if member.key != *key.public() {
            return Err(IdentityError::OtherKey);
        }
        Ok(Self { key, chain, member, trust })
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When a file is missing, readable by others or damaged, or the key needs another passphrase, or any.
    pub fn load(folder: &Path, passphrase: Option<&Passphrase>) -> Result<Self, IdentityError> {
        let key = Arc::new(load_key(&folder.join(KEY), passphrase)?);
        let path = folder.join(CHAIN);
        let ders = load_certificates(&path)?;
        let chain = Chain::parse(ders.iter().map(Vec::as_slice))?;
        let trust = load_root(&folder.join(ROOT))?;
        Self::new(key, chain, trust)
    }

    /// What the certificates in a folder say, without opening the key: who it is, and under which root.
    ///
    /// # Errors
    /// When a file is missing or damaged, or they do not belong together.
    pub fn certified(folder: &Path) -> Result<(Member, Trust), IdentityError> {
        let ders = load_certificates(&folder.join(CHAIN))?;
        let trust = load_root(&folder.join(ROOT))?;
        let member = trust.check(&Chain::parse(ders.iter().map(Vec::as_slice))?)?;
        Ok((member, trust))
    }

    /// Writes everything into a folder, each file whole or not at all; the key under the passphrase, if there is one.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save(&self, folder: &Path, passphrase: Option<&Passphrase>) -> Result<(), IdentityError> {
        save_key(&self.key, &folder.join(KEY), passphrase)?;
        self.save_certificates(folder)
    }

    /// Writes only the certificates: after a renewal, which needs no passphrase.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn save_certificates(&self, folder: &Path) -> Result<(), IdentityError> {
        save_certificates(&folder.join(ROOT), &[self.trust.root()])?;
        Ok(save_certificates(&folder.join(CHAIN), &[self.chain.leaf(), self.chain.signer()])?)
    }

    /// The same with a new certificate about the same key.
    ///
    /// # Errors
    /// When the chain does not lead to our root, or is about another key.
    pub fn renewed(&self, chain: Chain) -> Result<Self, IdentityError> {
        Self::new(self.key.clone(), chain, self.trust.clone())
    }

    /// What is to be done about the certificate at `now`.
    pub fn renewal(&self, now: Time) -> Renewal {
        let left = self.member.not_after.since(now).as_secs();
        let life = self.member.not_after.since(self.member.not_before.after(BACKDATED));
        match now {
            _ if now > self.member.not_after => Renewal::Expired,
            _ if left < WARN.min(life.as_secs() / 3) => Renewal::Late,
            _ if left <= life.as_secs() / 3 => Renewal::Due,
            _ => Renewal::NotDue,
        }
    }

    /// Who we are.
    pub const fn id(&self) -> NodeId {
        self.member.id
    }

    /// What our certificate says of us.
    pub const fn member(&self) -> &Member {
        &self.member
    }

    /// Our key.
    pub const fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Our certificate and our signer's.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The root that we believe.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }
}

/// The identity in use: everything that signs, connects or accepts takes it from here each time, so a renewed one is
/// used at once and without a restart.
#[derive(Clone, Debug)]
pub struct Current {
    slot: Arc<RwLock<Arc<Identity>>>,
    changed: watch::Sender<()>,
}

impl Current {
    /// Begins with this one.
    pub fn new(identity: Identity) -> Self {
        Self { slot: Arc::new(RwLock::new(Arc::new(identity))), changed: watch::Sender::new(()) }
    }

    /// The one in use.
    pub fn get(&self) -> Arc<Identity> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses another from now on. Open connections go on with the one that they began with.
    pub fn replace(&self, identity: Identity) {
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
        self.changed.send_replace(());
    }

    /// Wakes whenever it was replaced.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

pub(crate) fn save_key(key: &Key, path: &Path, passphrase: Option<&Passphrase>) -> Result<(), IdentityError> {
    let text = match passphrase {
        None => pem::encode(pem::PRIVATE_KEY, key.pkcs8()),
        Some(passphrase) => pem::encode(pem::SEALED_KEY, &seal::seal(key.pkcs8(), passphrase)?),
    };
    Ok(file::write(path, text.as_bytes())?)
}

pub(crate) fn load_key(path: &Path, passphrase: Option<&Passphrase>) -> Result<Key, IdentityError> {
    let text = file::read_secret(path)?;
    let bad = |why: String| FileError::malformed(path, "a private key", why);
    let sealed = pem::decode(pem::SEALED_KEY, &text).map_err(bad)?.pop();
    if let Some(sealed) = sealed {
        let passphrase = passphrase.ok_or(IdentityError::Sealed)?;
        return Ok(Key::from_pkcs8(&seal::open(&sealed, passphrase)?)?);
    }
    let clear = pem::decode(pem::PRIVATE_KEY, &text).map_err(bad)?.pop().map(Zeroizing::new);
    let clear = clear.ok_or_else(|| bad("there is no key in it".into()))?;
    Ok(Key::from_pkcs8(&clear)?)
}

pub(crate) fn save_certificates(path: &Path, certificates: &[&Certificate]) -> Result<(), FileError> {
    let text: String = certificates.iter().map(|certificate| certificate.to_pem()).collect();
    file::write(path, text.as_bytes())
}

pub(crate) fn load_certificates(path: &Path) -> Result<Vec<Vec<u8>>, FileError> {
    let text = file::read_public(path)?;
    pem::decode(pem::CERTIFICATE, &text).map_err(|why| FileError::malformed(path, "certificates", why))
}

pub(crate) fn load_certificate(path: &Path) -> Result<Certificate, FileError> {
    let bad = |why: String| FileError::malformed(path, "a certificate", why);
    match load_certificates(path)?.as_slice() {
        [der] => Certificate::parse(der).map_err(|e| bad(e.to_string())),
        other => Err(bad(format!("it holds {} certificates instead of one", other.len()))),
    }
}

fn load_root(path: &Path) -> Result<Trust, IdentityError> {
    Ok(Trust::new(load_certificate(path)?)?)
}

/// The shortest life that the thirds are reckoned with is a full one's: see the tests.
const _: () = assert!(LEAF_LIFE.as_secs() / 3 == WARN);
