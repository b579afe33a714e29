//! Users and tokens, kept in one file that is written whole or not at all.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Role, Secret,
    name::Name,
    passwords::{self, Hashed, PasswordError},
    secret::{NoChance, hash, hex, random},
    stored::{FORMAT, Stored, Token, User},
};
use crate::{file, moment};

/// Users.
pub(crate) const USERS: usize = 64;
/// Tokens that have not expired.
pub(crate) const TOKENS: usize = 256;
/// The largest file: what the bounds above need, several times.
const MOST_BYTES: u64 = 1 << 20;
/// The user of the first start.
const FIRST: &str = "admin";

/// Accounts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("{0}: {1}; give this program access to it")]
    Disk(PathBuf, io::Error),
    #[error("{0} may be read by others; take that away (chmod 600), and change the passwords")]
    Open(PathBuf),
    #[error("{0} makes no sense: {1}; restore it, or delete it and begin with a new admin")]
    Damaged(PathBuf, String),
    #[error("there is no such user or token")]
    Missing,
    #[error("the name is taken")]
    Taken,
    #[error("there are as many as there may be: {0}")]
    TooMany(usize),
    #[error("it is the last admin")]
    LastAdmin,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    NoChance(#[from] NoChance),
}

/// The accounts.
#[derive(Debug)]
pub(crate) struct Accounts {
    path: PathBuf,
    /// Readers take a copy and never wait for the disk.
    stored: RwLock<Arc<Stored>>,
    writing: Mutex<()>,
}

/// A token on its way to the one who may know it.
pub(crate) struct NewToken {
    pub(crate) secret: Secret,
    pub(crate) shown: Shown,
}

/// A user as others see them.
#[derive(Debug, Serialize)]
pub(crate) struct UserView {
    name: Name,
    role: Role,
    #[serde(serialize_with = "moment::perhaps")]
    created: Option<OffsetDateTime>,
}

/// A token as others see it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    pub(crate) id: String,
    name: Name,
    role: Role,
    by: String,
    #[serde(serialize_with = "moment::perhaps")]
    created: Option<OffsetDateTime>,
    #[serde(serialize_with = "moment::perhaps")]
    expires: Option<OffsetDateTime>,
}

impl Accounts {
    /// Reads the accounts, or makes the first admin: the password is told this once.
    pub(crate) fn open(path: &Path, now: OffsetDateTime) -> Result<(Self, Option<Secret>), AccountError> {
        let (stored, first) = match fs::metadata(path) {
            Ok(_) => (read(path)?, None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (stored, password) = begin(path, now)?;
                (stored, Some(password))
            }
            Err(error) => return Err(AccountError::Disk(path.to_owned(), error)),
        };
        let stored = RwLock::new(Arc::new(stored));
        Ok((Self { path: path.to_owned(), stored, writing: Mutex::default() }, first))
    }

    pub(crate) fn user(&self, name: &Name) -> Option<User> {
        self.stored().users.get(name).cloned()
    }

    pub(crate) fn users(&self) -> Vec<UserView> {
        let view = |(name, user): (&Name, &User)| UserView {
            name: name.clone(),
            role: user.role,
            created: at(user.created),
        };
        self.stored().users.iter().map(view).collect()
    }

    pub(crate) fn tokens(&self) -> Vec<Shown> {
        self.stored().tokens.iter().map(|(id, token)| shown(id, token)).collect()
    }

    /// The token that a secret is, with its id, while it holds.
    pub(crate) fn token(&self, now: OffsetDateTime, secret: &str) -> Option<(String, Token)> {
        let sha256 = hex(&hash(secret));
        let stored = self.stored();
        let (id, token) = stored.tokens.iter().find(|(_, token)| token.sha256 == sha256)?;
        token.holds(moment::seconds(now)).then(|| (id.clone(), token.clone()))
    }

    /// Whether a token was neither revoked nor expired.
    pub(crate) fn token_holds(&self, now: OffsetDateTime, id: &str) -> bool {
        self.stored().tokens.get(id).is_some_and(|token| token.holds(moment::seconds(now)))
    }

    pub(crate) fn add_user(
        &self,
        now: OffsetDateTime,
        name: Name,
        role: Role,
        password: Hashed,
    ) -> Result<UserView, AccountError> {
        let created = moment::seconds(now);
        self.change(|stored| {
            if stored.users.contains_key(&name) {
                return Err(AccountError::Taken);
            }
            if stored.users.len() >= USERS {
                return Err(AccountError::TooMany(USERS));
            }
            stored.users.insert(name.clone(), User { role, password, created });
            Ok(UserView { name, role, created: at(created) })
        })
    }

    pub(crate) fn change_user(
        &self,
        name: &Name,
        role: Option<Role>,
        password: Option<Hashed>,
    ) -> Result<UserView, AccountError> {
        self.change(|stored| {
            let user = stored.users.get_mut(name).ok_or(AccountError::Missing)?;
            user.role = role.unwrap_or(user.role);
            user.password = password.unwrap_or_else(|| user.password.clone());
            let view = UserView { name: name.clone(), role: user.role, created: at(user.created) };
            administered(stored)?;
            Ok(view)
        })
    }

    pub(crate) fn remove_user(&self, name: &Name) -> Result<(), AccountError> {
        self.change(|stored| {
            stored.users.remove(name).ok_or(AccountError::Missing)?;
            administered(stored)
        })
    }

    pub(crate) fn add_token(
        &self,
        now: OffsetDateTime,
        name: Name,
        role: Role,
        lasts: Option<Duration>,
        by: &str,
    ) -> Result<NewToken, AccountError> {
        let (secret, id) = (Secret::new("sfw_")?, hex(&random::<8>()?));
        let (created, expires) = (moment::seconds(now), lasts.and_then(|lasts| moment::after(now, lasts)));
        let sha256 = hex(&secret.hash());
        let by = by.to_owned();
        let token = Token { name, role, sha256, created, expires: expires.map(moment::seconds), by };
        self.change(|stored| {
            stored.tokens.retain(|_, token| token.holds(created));
            if stored.tokens.len() >= TOKENS {
                return Err(AccountError::TooMany(TOKENS));
            }
            stored.tokens.insert(id.clone(), token.clone());
            Ok(NewToken { secret, shown: shown(&id, &token) })
        })
    }

    pub(crate) fn revoke(&self, id: &str) -> Result<(), AccountError> {
        self.change(|stored| stored.tokens.remove(id).map(|_| ()).ok_or(AccountError::Missing))
    }

    /// A change is on disk before it holds.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Stored) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stored = Stored::clone(&self.stored());
        let result = change(&mut stored)?;
        write(&self.path, &stored)?;
        *self.stored.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(stored);
        Ok(result)
    }

    fn stored(&self) -> Arc<Stored> {
        self.stored.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn begin(path: &Path, now: OffsetDateTime) -> Result<(Stored, Secret), AccountError> {
    let password = Secret::new("")?;
    let user = User {
        role: Role::Admin,
        password: passwords::hash(password.reveal())?,
        created: moment::seconds(now),
    };
    let mut stored = Stored::default();
    let name = Name::try_from(FIRST.to_owned());
    stored.users.extend(name.map(|name| (name, user)));
    write(path, &stored)?;
    Ok((stored, password))
}

fn read(path: &Path) -> Result<Stored, AccountError> {
    let disk = |error| AccountError::Disk(path.to_owned(), error);
    let damaged = |why: String| AccountError::Damaged(path.to_owned(), why);
    let metadata = fs::metadata(path).map_err(disk)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(AccountError::Open(path.to_owned()));
    }
    if metadata.len() > MOST_BYTES {
        return Err(damaged(format!("it is larger than {MOST_BYTES} bytes")));
    }
    let stored: Stored =
        serde_json::from_slice(&fs::read(path).map_err(disk)?).map_err(|error| damaged(error.to_string()))?;
    if stored.format == FORMAT { Ok(stored) } else { Err(damaged("it is of another format".to_owned())) }
}

fn write(path: &Path, stored: &Stored) -> Result<(), AccountError> {
    let bytes = serde_json::to_vec_pretty(stored);
    let bytes = bytes.map_err(|error| AccountError::Damaged(path.to_owned(), error.to_string()))?;
    file::replace(path, &bytes).map_err(|error| AccountError::Disk(path.to_owned(), error))
}

fn administered(stored: &Stored) -> Result<(), AccountError> {
    let admins = stored.users.values().filter(|user| user.role == Role::Admin).count();
    if admins == 0 { Err(AccountError::LastAdmin) } else { Ok(()) }
}

fn shown(id: &str, token: &Token) -> Shown {
    Shown {
        id: id.to_owned(),
        name: token.name.clone(),
        role: token.role,
        by: token.by.clone(),
        created: at(token.created),
        expires: token.expires.and_then(at),
    }
}

fn at(seconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

#[cfg(test)]
mod tests;
