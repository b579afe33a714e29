//! The revocation set of this member, on disk and in use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use smartfw_core::fleet::NodeId;
use tokio::sync::watch;

use crate::file::{self, FileError};
use crate::key::sha256;
use crate::name::{MemberName, Role};
use crate::revocation::{Placed, Revocation, RevocationError, RevocationSet};
use crate::trust::{Member, Refused, Trust};

const MAGIC: &[u8] = b"smartfw revocations 1\n";

/// The set in use. When it cannot be read it admits nobody: an expelled member shall not come back because a file broke.
#[derive(Debug)]
pub struct Revocations {
    trust: Trust,
    path: Option<PathBuf>,
    state: RwLock<State>,
    changed: watch::Sender<u64>,
    /// How many changes the file has.
    written: Mutex<u64>,
}

/// Shared with those who look at all of it; or why it cannot be read.
type State = Result<Arc<RevocationSet>, String>;

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
        let (state, changed) = (RwLock::new(state.map(Arc::new)), watch::Sender::new(0));
        Self { trust, path, state, changed, written: Mutex::default() }
    }

    /// Adds statements of a peer or an operator; those that say something new, in force and on disk when this returns.
    /// A statement that is refused does not keep the others out; the first refusal is returned beside them. What is
    /// known already costs no signature's check. This waits for the disk: not for threads that serve others.
    ///
    /// # Errors
    /// When the set cannot be read, or what is in force could not be written.
    pub fn insert<'a>(
        &self,
        statements: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<Revocation>, Option<RevocationError>), RevocationError> {
        let known = self.get()?;
        let (mut checked, mut refused) = (Vec::new(), None);
        for bytes in statements.into_iter().filter(|bytes| !known.knows(bytes)) {
            match Revocation::verify(bytes, &self.trust) {
                Ok(revocation) => checked.push(revocation),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        drop(known);
        let mut new = Vec::new();
        if !checked.is_empty() {
            refused = self.place(checked, &mut new)?.or(refused);
        }
        self.keep()?;
        Ok((new, refused))
    }

    /// Puts what was checked in force; what was new of it.
    fn place(
        &self,
        checked: Vec<Revocation>,
        new: &mut Vec<Revocation>,
    ) -> Result<Option<RevocationError>, RevocationError> {
        let mut state = self.write();
        let set = state.as_mut().map_err(|why| RevocationError::Unreadable(why.clone()))?;
        let set = Arc::make_mut(set);
        let (mut refused, mut grew) = (None, false);
        for revocation in checked {
            match set.place(revocation.clone()) {
                Ok(Placed::New) => new.push(revocation),
                Ok(Placed::Instead) => grew = true,
                Ok(Placed::Known) => {}
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        if grew || !new.is_empty() {
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(refused)
    }

    /// Writes what is in force, unless it is written. Whoever asks whether somebody is expelled does not wait for this.
    fn keep(&self) -> Result<(), RevocationError> {
        let Some(path) = self.path.as_deref() else { return Ok(()) };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, set) = {
            let state = self.read();
            let set = state.as_ref().map_err(|why| RevocationError::Unreadable(why.clone()))?;
            (*self.changed.borrow(), set.clone())
        };
        if *written != count {
            file::write(path, &encode(&set))?;
            *written = count;
        }
        Ok(())
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

    /// The set as it is now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn get(&self) -> Result<Arc<RevocationSet>, RevocationError> {
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

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::fixture::{World, noon};

    #[test]
    fn whoever_asks_who_is_expelled_does_not_wait_for_the_disk() {
        let world = World::new(noon());
        let (path, trust) = (world.dir.path().join("revocations"), world.founded.identity.trust().clone());
        let node = world.join(Role::Node, "web-1");
        let kept = Revocations::create(&path, trust.clone()).unwrap();
        let operator = &world.founded.operator;
        let bytes = Revocation::by_operator(operator, node.id(), Role::Node, world.now).unwrap();
        std::thread::scope(|scope| {
            // The disk is slow.
            let disk = kept.written.lock().unwrap();
            let inserting = scope.spawn(|| kept.insert([bytes.as_slice()]).unwrap().0.len());
            let begun = Instant::now();
            while kept.check(node.member()).is_ok() {
                assert!(begun.elapsed() < Duration::from_secs(10), "it is in force before it is kept");
                std::thread::yield_now();
            }
            assert!(!inserting.is_finished(), "it is not kept yet");
            drop(disk);
            assert_eq!(inserting.join().unwrap(), 1);
        });
        assert!(Revocations::open(&path, trust).check(node.member()).is_err());
    }

    #[test]
    fn what_could_not_be_kept_is_kept_with_the_next_word() {
        let world = World::new(noon());
        let folder = world.dir.path().join("away");
        let (path, trust) = (folder.join("revocations"), world.founded.identity.trust().clone());
        let node = world.join(Role::Node, "web-1");
        let kept = Revocations::create(&path, trust.clone()).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::write(&folder, "in the way").unwrap();
        let operator = &world.founded.operator;
        let bytes = Revocation::by_operator(operator, node.id(), Role::Node, world.now).unwrap();
        assert!(matches!(kept.insert([bytes.as_slice()]), Err(RevocationError::File(_))));
        assert!(kept.check(node.member()).is_err(), "it is in force");
        std::fs::remove_file(&folder).unwrap();
        assert!(kept.insert([bytes.as_slice()]).unwrap().0.is_empty());
        assert!(Revocations::open(&path, trust).check(node.member()).is_err());
    }
}
