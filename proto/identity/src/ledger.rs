//! What a signer remembers: the tokens that it gave out, and the names that it gave.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use thiserror::Error;

use crate::clock::Shown;
use crate::file::{self, FileError, failed};
use crate::name::{Label, Role};
use crate::token::Token;
use crate::trust::GRACE;

/// Tokens that are remembered, used and expired ones too: a fleet is seldom opened to more machines within a week.
pub const TOKENS: usize = 4096;
/// Names that are remembered: four times the largest fleet that was ever simulated.
pub const NAMES: usize = 4096;
/// How long a used or expired token is remembered, so that its second use is told from a wrong one.
const MEMORY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a token allows whoever has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The role that the joining member gets.
    pub role: Role,
    /// Its site.
    pub site: Label,
    /// The name that it takes over from another; without it, it names itself, and taken names are refused.
    pub replace: Option<Label>,
    /// Until when.
    pub expires: Time,
}

/// A token is not redeemed, or a name not given. Nothing was changed, unless it says so.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// No such token.
    #[error(
        "this signer never gave out that token, or forgot it: print a new one with `smartfw-cli cluster token`"
    )]
    Unknown,
    /// It was used before.
    #[error(
        "the token was used already, at {at} by {by}: if that was not you, run `smartfw-cli cluster revoke {by}`; print a new one"
    )]
    Used {
        /// When.
        at: Shown,
        /// By whom.
        by: NodeId,
    },
    /// It is too old.
    #[error("the token expired at {0}: print a new one with `smartfw-cli cluster token`")]
    Expired(Shown),
    /// Another member has the name.
    #[error(
        "the name {name} is taken by {by}: choose another, or take it over with `cluster token --replace {name}`"
    )]
    Taken {
        /// The name.
        name: Label,
        /// Who has it.
        by: NodeId,
    },
    /// Too many tokens are open.
    #[error("{TOKENS} tokens are remembered already: wait until some expire")]
    Full,
    /// Too many names are given.
    #[error("{NAMES} names are remembered already: use another signer, too")]
    FullOfNames,
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The ledger of one signer, in one file. Every change reads it, changes it and writes it whole under a lock that other
/// processes of the machine respect.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    alone: Mutex<()>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    tokens: BTreeMap<[u8; 32], Issued>,
    names: BTreeMap<Label, Given>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Issued {
    invitation: Invitation,
    used: Option<(Time, NodeId)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Given {
    to: NodeId,
    until: Time,
}

impl Ledger {
    /// The ledger in this file; an absent file is an empty one.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), alone: Mutex::new(()) }
    }

    /// Remembers a token by its hash.
    ///
    /// # Errors
    /// When too many are remembered, or the file cannot be written.
    pub fn invite(&self, token: &Token, invitation: Invitation, now: Time) -> Result<(), LedgerError> {
        self.change(now, |book| {
            if book.tokens.len() >= TOKENS {
                return Err(LedgerError::Full);
            }
            book.tokens.insert(token.hash(), Issued { invitation, used: None });
            Ok(())
        })
    }

    /// What a token allows, without using it.
    ///
    /// # Errors
    /// When it is unknown, used or expired.
    pub fn look(&self, token: &Token, now: Time) -> Result<Invitation, LedgerError> {
        let _alone = self.lock()?;
        self.read()?.open(token, now).cloned()
    }

    /// Whether a token for a role is neither used nor expired.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn expects(&self, role: Role, now: Time) -> Result<bool, LedgerError> {
        let _alone = self.lock()?;
        let open = |issued: &Issued| {
            issued.used.is_none() && issued.invitation.role == role && now < issued.invitation.expires
        };
        Ok(self.read()?.tokens.values().any(open))
    }

    /// Uses a token and gives a name, both or neither; on disk when this returns.
    ///
    /// # Errors
    /// When the token is unknown, used or expired, or another member has the name.
    pub fn redeem(&self, token: &Token, give: Give<'_>, now: Time) -> Result<(), LedgerError> {
        self.change(now, |book| {
            let replace = book.open(token, now)?.replace.as_ref() == Some(give.name);
            book.give(give, replace)?;
            if let Some(issued) = book.tokens.get_mut(&token.hash()) {
                issued.used = Some((now, give.to));
            }
            Ok(())
        })
    }

    /// Gives a name, or gives it for longer.
    ///
    /// # Errors
    /// When another member has it, or the file cannot be written.
    pub fn give(&self, give: Give<'_>, now: Time) -> Result<(), LedgerError> {
        self.change(now, |book| book.give(give, false))
    }

    /// Who has a name, as far as this signer knows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn holder(&self, name: &Label) -> Result<Option<NodeId>, LedgerError> {
        let _alone = self.lock()?;
        Ok(self.read()?.names.get(name).map(|given| given.to))
    }

    /// Many at once, since each change is flushed.
    #[cfg(test)]
    pub(crate) fn fill(&self, tokens: impl Iterator<Item = Token>, invitation: Invitation) {
        let issued = |token: Token| (token.hash(), Issued { invitation: invitation.clone(), used: None });
        let filled = self.change(Time::ZERO, |book| {
            book.tokens.extend(tokens.map(issued));
            Ok(())
        });
        filled.unwrap();
    }

    fn change(
        &self,
        now: Time,
        change: impl FnOnce(&mut Book) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let _alone = self.lock()?;
        let mut book = self.read()?;
        book.forget(now);
        change(&mut book)?;
        let bytes =
            postcard::to_allocvec(&book).map_err(|e| FileError::malformed(&self.path, "a ledger", e))?;
        Ok(file::write(&self.path, &bytes)?)
    }

    fn read(&self) -> Result<Book, LedgerError> {
        match file::read_secret(&self.path) {
            Err(FileError::Missing(_)) => Ok(Book::default()),
            Err(other) => Err(other.into()),
            Ok(bytes) => {
                let bad = |e| FileError::malformed(&self.path, "a signer's ledger", e);
                Ok(postcard::from_bytes(&bytes).map_err(bad)?)
            }
        }
    }

    fn lock(&self) -> Result<(MutexGuard<'_, ()>, Flock<File>), LedgerError> {
        let alone = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path.with_extension("lock");
        let file = open_lock(&path).map_err(failed("open", &path))?;
        let held = Flock::lock(file, FlockArg::LockExclusive);
        Ok((alone, held.map_err(|(_, e)| failed("lock", &path)(e.into()))?))
    }
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// A name for a member.
#[derive(Clone, Copy, Debug)]
pub struct Give<'a> {
    /// The name.
    pub name: &'a Label,
    /// The member.
    pub to: NodeId,
    /// Until its certificate ends; the name is kept for it for the grace, too.
    pub until: Time,
}

impl Book {
    fn open(&self, token: &Token, now: Time) -> Result<&Invitation, LedgerError> {
        let issued = self.tokens.get(&token.hash()).ok_or(LedgerError::Unknown)?;
        match issued.used {
            Some((at, by)) => Err(LedgerError::Used { at: Shown(at), by }),
            None if now >= issued.invitation.expires => {
                Err(LedgerError::Expired(Shown(issued.invitation.expires)))
            }
            None => Ok(&issued.invitation),
        }
    }

    fn give(&mut self, Give { name, to, until }: Give<'_>, replace: bool) -> Result<(), LedgerError> {
        match self.names.get(name) {
            Some(given) if given.to != to && !replace => {
                return Err(LedgerError::Taken { name: name.clone(), by: given.to });
            }
            None if self.names.len() >= NAMES => return Err(LedgerError::FullOfNames),
            _ => {}
        }
        self.names.insert(name.clone(), Given { to, until });
        Ok(())
    }

    fn forget(&mut self, now: Time) {
        self.tokens.retain(|_, issued| {
            let over = issued.used.map_or(issued.invitation.expires, |(at, _)| at);
            now.since(over) <= MEMORY
        });
        self.names.retain(|_, given| now <= given.until.after(GRACE));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_bytes_are_a_ledger_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ledger");
            file::write(&path, &bytes).unwrap();
            let _ = Ledger::at(path).holder(&Label::default_site());
        }
    }
}
