//! Keys under a passphrase: Argon2id makes a key of it, ChaCha20-Poly1305 seals.

use argon2::{Algorithm, Argon2, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::{KeyError, random};

/// The shortest passphrase: below it, guessing is cheap whatever the derivation costs.
pub const PASSPHRASE_CHARS: usize = 8;

/// What making the key of a passphrase costs: about 0.2 s and 64 MiB, once per use of an operator's key.
const COST: Cost = Cost { memory_kib: 64 << 10, rounds: 3 };
/// What a file may make us spend: a forged one shall not take the machine's memory.
const COST_LIMIT: Cost = Cost { memory_kib: 512 << 10, rounds: 16 };

const FORMAT: u8 = 1;
const SALT: usize = 16;
const NONCE: usize = 12;
/// Format, memory, rounds, salt, nonce.
const HEADER: usize = 1 + 4 + 4 + SALT + NONCE;

#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    rounds: u32,
}

/// A passphrase; wiped when it is dropped, never shown.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// The passphrase.
    ///
    /// # Errors
    /// When it is shorter than [`PASSPHRASE_CHARS`].
    pub fn new(text: impl Into<String>) -> Result<Self, SealError> {
        let text = Zeroizing::new(text.into());
        if text.chars().count() < PASSPHRASE_CHARS { Err(SealError::Short) } else { Ok(Self(text)) }
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(secret)")
    }
}

/// Something could not be sealed or opened.
#[derive(Debug, Error)]
pub enum SealError {
    /// The passphrase is too short.
    #[error(
        "the passphrase is too short: use at least {PASSPHRASE_CHARS} characters, better four random words"
    )]
    Short,
    /// The passphrase is wrong, or the bytes were changed: the two cannot be told apart.
    #[error("the passphrase does not open this key: type it again; if it is right, the file is damaged")]
    Wrong,
    /// The bytes are none of ours.
    #[error("this is no sealed key: {0}")]
    Malformed(&'static str),
    /// The system gives no random numbers.
    #[error(transparent)]
    NoChance(#[from] KeyError),
}

/// Seals `secret`; only the passphrase opens it.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn seal(secret: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, SealError> {
    let (salt, nonce) = (random::<SALT>()?, random::<NONCE>()?);
    let header = header(COST, &salt, &nonce);
    let key = derive(passphrase, &salt, COST)?;
    let mut body = Zeroizing::new(secret.to_vec());
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&header), &mut body)
        .map_err(|_| SealError::Malformed("it is too long"))?;
    Ok([header.as_slice(), &body, tag.as_ref()].concat())
}

/// Opens what [`seal`] made.
///
/// # Errors
/// When the passphrase is another, or the bytes were changed.
pub(crate) fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (header, body) = sealed.split_at_checked(HEADER).ok_or(SealError::Malformed("it is cut off"))?;
    let (cost, salt, nonce) = read_header(header)?;
    let key = derive(passphrase, &salt, cost)?;
    let mut body = Zeroizing::new(body.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let plain = key.open_in_place(nonce, Aad::from(header), &mut body).map_err(|_| SealError::Wrong)?.len();
    body.truncate(plain);
    Ok(body)
}

fn header(cost: Cost, salt: &[u8; SALT], nonce: &[u8; NONCE]) -> Vec<u8> {
    [&[FORMAT][..], &cost.memory_kib.to_be_bytes(), &cost.rounds.to_be_bytes(), salt, nonce].concat()
}

fn read_header(header: &[u8]) -> Result<(Cost, [u8; SALT], [u8; NONCE]), SealError> {
    let cut = || SealError::Malformed("it is cut off");
    let (format, rest) = header.split_first().ok_or_else(cut)?;
    let (memory, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (rounds, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (salt, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let nonce = rest.first_chunk().ok_or_else(cut)?;
    let cost = Cost { memory_kib: u32::from_be_bytes(*memory), rounds: u32::from_be_bytes(*rounds) };
    if *format != FORMAT {
        return Err(SealError::Malformed("it was made by a later version"));
    }
    if cost.memory_kib > COST_LIMIT.memory_kib || cost.rounds > COST_LIMIT.rounds {
        return Err(SealError::Malformed("opening it would cost more than this program spends"));
    }
    Ok((cost, *salt, *nonce))
}

fn derive(passphrase: &Passphrase, salt: &[u8], cost: Cost) -> Result<LessSafeKey, SealError> {
    let unfit = SealError::Malformed("its cost is out of range");
    let Ok(params) = Params::new(cost.memory_kib, cost.rounds, 1, Some(32)) else { return Err(unfit) };
    let mut key = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let made = argon.hash_password_into(passphrase.0.as_bytes(), salt, key.as_mut());
    let key = made.ok().and_then(|()| UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).ok());
    key.map(LessSafeKey::new).ok_or(unfit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text).unwrap()
    }

    #[test]
    fn only_the_passphrase_opens_and_only_what_was_sealed() {
        let right = passphrase("four random words here");
        let sealed = seal(b"the root's key", &right).unwrap();
        assert_eq!(open(&sealed, &right).unwrap().as_slice(), b"the root's key");
        assert!(matches!(open(&sealed, &passphrase("four random words hers")), Err(SealError::Wrong)));
        for at in [HEADER - 1, HEADER, sealed.len() - 1] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(open(&changed, &right), Err(SealError::Wrong)));
        }
    }

    #[test]
    fn a_passphrase_is_long_enough_and_never_shown() {
        assert!(matches!(Passphrase::new("1234567"), Err(SealError::Short)));
        assert_eq!(format!("{:?}", passphrase("12345678")), "Passphrase(secret)");
    }

    #[test]
    fn a_forged_file_does_not_take_the_memory() {
        let greedy = header(Cost { memory_kib: u32::MAX, rounds: 1 }, &[0; SALT], &[0; NONCE]);
        assert!(matches!(open(&greedy, &passphrase("12345678")), Err(SealError::Malformed(_))));
        let slow = header(Cost { memory_kib: 64, rounds: u32::MAX }, &[0; SALT], &[0; NONCE]);
        assert!(matches!(open(&slow, &passphrase("12345678")), Err(SealError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = read_header(&bytes);
        }
    }
}
