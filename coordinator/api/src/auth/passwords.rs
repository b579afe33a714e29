//! Passwords: argon2id, few at once, and as slow for a user who does not exist as for one who does.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::secret::{self, NoChance, random};

/// The shortest password.
pub(crate) const SHORTEST_PASSWORD: usize = 12;
/// The longest password, in bytes: hashing a longer one proves nothing more.
pub(crate) const MOST_PASSWORD: usize = 256;

/// 19 MiB and two passes: the first choice of OWASP's password storage cheat sheet for argon2id.
const MEMORY_KIB: u32 = 19 << 10;
const PASSES: u32 = 2;
/// What a file may make us spend.
const MOST_MEMORY_KIB: u32 = 256 << 10;
const MOST_PASSES: u32 = 16;

/// Hashes at once: more would be memory and processors for whoever guesses.
const AT_ONCE: usize = 2;
/// Those who wait for their turn; the next one is sent away.
const WAITING: usize = 32;

/// A password, hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hashed {
    memory_kib: u32,
    passes: u32,
    salt: String,
    hash: String,
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("too many logins at once")]
    Busy,
    #[error("the stored password makes no sense")]
    Damaged,
    #[error(transparent)]
    NoChance(#[from] NoChance),
}

/// Where passwords are hashed.
#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Semaphore,
    places: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), places: Semaphore::new(AT_ONCE + WAITING) }
    }
}

impl Passwords {
    pub(crate) async fn hash(&self, password: String) -> Result<Hashed, PasswordError> {
        let _seat = self.seat().await?;
        tokio::task::spawn_blocking(move || hash(&password)).await.map_err(|_| PasswordError::Busy)?
    }

    /// Whether the password is this one. Without one it takes as long, and the answer is no.
    pub(crate) async fn verify(
        &self,
        password: String,
        hashed: Option<Hashed>,
    ) -> Result<bool, PasswordError> {
        let _seat = self.seat().await?;
        let verified = tokio::task::spawn_blocking(move || match hashed {
            Some(hashed) => hashed.is(&password),
            None => hash(&password).map(|_| false),
        });
        verified.await.map_err(|_| PasswordError::Busy)?
    }

    async fn seat(&self) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), PasswordError> {
        let place = self.places.try_acquire().map_err(|_| PasswordError::Busy)?;
        let turn = self.turns.acquire().await.map_err(|_| PasswordError::Busy)?;
        Ok((place, turn))
    }
}

/// Takes about 20 ms and 19 MiB: for the start, where nobody waits.
pub(crate) fn hash(password: &str) -> Result<Hashed, PasswordError> {
    let salt = random::<16>()?;
    let hash = derive(password, &salt, MEMORY_KIB, PASSES)?;
    Ok(Hashed {
        memory_kib: MEMORY_KIB,
        passes: PASSES,
        salt: STANDARD_NO_PAD.encode(salt),
        hash: STANDARD_NO_PAD.encode(hash),
    })
}

impl Hashed {
    fn is(&self, password: &str) -> Result<bool, PasswordError> {
        if self.memory_kib > MOST_MEMORY_KIB || self.passes > MOST_PASSES {
            return Err(PasswordError::Damaged);
        }
        let salt = STANDARD_NO_PAD.decode(&self.salt).map_err(|_| PasswordError::Damaged)?;
        let kept = STANDARD_NO_PAD.decode(&self.hash).map_err(|_| PasswordError::Damaged)?;
        let hash = derive(password, &salt, self.memory_kib, self.passes)?;
        // Compared by their hashes, so that the time it takes tells nothing of how much was right.
        let digest = |bytes: &[u8]| secret::hash(&STANDARD_NO_PAD.encode(bytes));
        Ok(digest(&hash) == digest(&kept))
    }
}

fn derive(password: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Result<[u8; 32], PasswordError> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| PasswordError::Damaged)?;
    let mut hash = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .map_err(|_| PasswordError::Damaged)?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::default();
        let hashed = passwords.hash("correct horse".into()).await.unwrap();
        assert!(passwords.verify("correct horse".into(), Some(hashed.clone())).await.unwrap());
        assert!(!passwords.verify("battery staple".into(), Some(hashed.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert_ne!(hashed, passwords.hash("correct horse".into()).await.unwrap(), "each has its salt");
    }

    #[tokio::test]
    async fn a_file_cannot_make_us_spend_the_machines_memory() {
        let costly = Hashed { memory_kib: MOST_MEMORY_KIB + 1, ..hash("x").unwrap() };
        assert!(matches!(costly.is("x"), Err(PasswordError::Damaged)));
    }

    #[tokio::test]
    async fn beyond_the_waiting_room_a_login_is_sent_away() {
        let passwords = std::sync::Arc::new(Passwords::default());
        let turns = passwords.turns.acquire_many(2).await.unwrap();
        let mut waiting = Vec::new();
        for _ in 0..AT_ONCE + WAITING {
            let passwords = passwords.clone();
            waiting.push(tokio::spawn(async move { passwords.verify("x".into(), None).await }));
        }
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(passwords.verify("x".into(), None).await, Err(PasswordError::Busy)));
        waiting.iter().for_each(|waiting| waiting.abort());
        drop(turns);
    }
}
