//! The revocation set of this member, on disk and in use.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smartfw_core::fleet::NodeId;
use tokio::sync::watch;

use crate::file::{self, FileError};
use crate::key::sha256;
use crate::name::{MemberName, Role};
use crate::revocation::{Revocation, RevocationError, RevocationSet};
use crate::trust::{Member, Refused, Trust};

const MAGIC: &[u8] = b"smartfw revocations 1\n";

/// The set in use. When it cannot be read it admits nobody: an expelled member shall not come back because a file broke.
#[derive(Debug)]
pub struct Revocations {
    trust: Trust,
    path: Option<PathBuf>,
    state: RwLock<Result<RevocationSet, String>>,
    changed: watch::Sender<u64>,
}

impl Revocations {
    /// A new member's set, written to the file so that it is missed when it disappears.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, trust: Trust) -> Result<Self, FileError> {
        file::write(path, &encode(&RevocationSet::default()))?;
        Ok(Self::with(trust, Some(path.into()), Ok(RevocationSet::default())))
    }

    /// The set in the file. It never fails: a set that cannot be read, or is missing, admits nobody.
    pub fn open(path: &Path, trust: Trust) -> Self {
        let state = load(path, &trust);
        Self::with(trust, Some(path.into()), state)
    }

    /// A set that is kept in memory only: for programs that connect once and end.
    pub fn in_memory(trust: Trust) -> Self {
        Self::with(trust, None, Ok(RevocationSet::default()))
    }

    fn with(trust: Trust, path: Option<PathBuf>, state: Result<RevocationSet, String>) -> Self {
        Self { trust, path, state: RwLock::new(state), changed: watch::Sender::new(0) }
    }

    /// Adds statements of a peer or an operator; those that say something new, in force and on disk when this returns.
    /// A statement that is refused does not keep the others out; the first refusal is returned beside them.
    ///
    /// # Errors
    /// When the set cannot be read, or what is in force could not be written.
    pub fn insert<'a>(
        &self,
        statements: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<Revocation>, Option<RevocationError>), RevocationError> {
        let mut refused = None;
        let mut checked = Vec::new();
        for bytes in statements {
            match Revocation::verify(bytes, &self.trust) {
                Ok(revocation) => checked.push(revocation),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let mut state = self.write();
        let set = state.as_mut().map_err(|why| RevocationError::Unreadable(why.clone()))?;
        let before = set.digest();
        let mut new = Vec::new();
        for revocation in checked {
            match set.insert(revocation.clone()) {
                Ok(true) => new.push(revocation),
                Ok(false) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if set.digest() != before {
            self.changed.send_modify(|count| *count += 1);
            self.keep(set)?;
        }
        Ok((new, refused))
    }

    fn keep(&self, set: &RevocationSet) -> Result<(), FileError> {
        self.path.as_deref().map_or(Ok(()), |path| file::write(path, &encode(set)))
    }

    /// Nothing, when the member is not expelled.
    ///
    /// # Errors
    /// When it is, or when nobody knows.
    pub fn check(&self, member: &Member) -> Result<(), Refused> {
        match self.read().as_ref() {
            Ok(set) => set.check(member),
            Err(why) => Err(Refused::RevocationsUnreadable(why.clone())),
        }
    }

    /// Nothing, when the holder of a key is not expelled: before it is given a certificate of this name and role.
    ///
    /// # Errors
    /// When it is, or when nobody knows.
    pub fn check_key(&self, id: NodeId, role: Role, who: &MemberName) -> Result<(), Refused> {
        match self.read().as_ref() {
            Ok(set) if set.is_revoked(&id, role) => Err(Refused::Revoked { who: who.clone().into(), id }),
            Ok(_) => Ok(()),
            Err(why) => Err(Refused::RevocationsUnreadable(why.clone())),
        }
    }

    /// A copy of the set.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self) -> Result<RevocationSet, RevocationError> {
        self.read().clone().map_err(RevocationError::Unreadable)
    }

    /// Why it cannot be read: for the health list.
    pub fn unreadable(&self) -> Option<String> {
        self.read().as_ref().err().cloned()
    }

    /// Wakes whenever the set grew.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn read(&self) -> RwLockReadGuard<'_, Result<RevocationSet, String>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Result<RevocationSet, String>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Magic, the SHA-256 of the rest, then each statement after its length in four bytes.
fn encode(set: &RevocationSet) -> Vec<u8> {
    let mut body = Vec::new();
    for revocation in set.iter() {
        // Statements are at most `REVOCATION_BYTES` long.
        body.extend_from_slice(&(revocation.bytes().len() as u32).to_be_bytes());
        body.extend_from_slice(revocation.bytes());
    }
    [MAGIC, &sha256(&body), &body].concat()
}

fn load(path: &Path, trust: &Trust) -> Result<RevocationSet, String> {
    const DO: &str = "copy the file `revocations` of another member here, then restart";
    let bytes = match file::read_public(path) {
        Ok(bytes) => bytes,
        Err(FileError::Missing(path)) => return Err(format!("{} is missing; {DO}", path.display())),
        Err(other) => return Err(format!("{other}; {DO}")),
    };
    parse(&bytes, trust).map_err(|why| format!("{} is damaged: {why}; {DO}", path.display()))
}

fn parse(bytes: &[u8], trust: &Trust) -> Result<RevocationSet, String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as it should")?;
    let (sum, mut rest) = rest.split_first_chunk::<32>().ok_or("it is cut off")?;
    if *sum != sha256(rest) {
        return Err("its checksum does not hold".into());
    }
    let mut set = RevocationSet::default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (bytes, after) = after.split_at_checked(length).ok_or("it is cut off")?;
        let revocation = Revocation::verify(bytes, trust).map_err(|e| e.to_string())?;
        set.insert(revocation).map_err(|e| e.to_string())?;
        rest = after;
    }
    if rest.is_empty() { Ok(set) } else { Err("it is cut off".into()) }
}

#[cfg(test)]
pub(crate) fn parse_any(bytes: &[u8], trust: &Trust) {
    let sum = sha256(bytes);
    let _ = (parse(bytes, trust), parse(&[MAGIC, &sum, bytes].concat(), trust));
}
