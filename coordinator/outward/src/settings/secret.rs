//! Secrets: never in the configuration itself, never in a log.

use std::{
    env, fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// So long is a secret at most.
const LONGEST: usize = 4096;

/// Where a secret is: `{ file = "/etc/smartfw/token" }` or `{ env = "TOKEN" }`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// In a file; the end of its last line does not count.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
}

/// A secret cannot be used.
#[derive(Debug, Error)]
pub enum BadSecret {
    /// The file cannot be read.
    #[error("the secret's file {0} cannot be read: {1}")]
    File(PathBuf, String),
    /// There is no such variable.
    #[error("the environment has no {0} in UTF-8")]
    Env(String),
    /// It is none.
    #[error("the secret in {0} is empty, not text, or longer than {LONGEST} bytes")]
    Odd(String),
}

impl Secret {
    /// Reads it.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, BadSecret> {
        let (text, place) = match self {
            Self::File(path) => (read_file(path)?, path.display().to_string()),
            Self::Env(name) => {
                let found = env::var(name).map_err(|_| BadSecret::Env(name.clone()))?;
                (Zeroizing::new(found.into_bytes()), name.clone())
            }
        };
        let text = std::str::from_utf8(&text).map_err(|_| BadSecret::Odd(place.clone()))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() || text.len() > LONGEST {
            return Err(BadSecret::Odd(place));
        }
        Ok(Zeroizing::new(text.to_owned()))
    }
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, BadSecret> {
    let failed = |error: std::io::Error| BadSecret::File(path.to_owned(), error.to_string());
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 3));
    fs::File::open(path).map_err(failed)?.take(LONGEST as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A text that may be a secret: as it is, or where it is. It is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "a text, { file = \"PATH\" } or { env = \"NAME\" }")]
pub enum Discreet {
    /// As it is.
    Plain(String),
    /// Where it is.
    Secret(Secret),
}

impl Discreet {
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, BadSecret> {
        match self {
            Self::Plain(text) => Ok(Zeroizing::new(text.clone())),
            Self::Secret(secret) => secret.read(),
        }
    }
}

impl fmt::Debug for Discreet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str("(not shown)"),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_a_file_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "hush hush\r\n").unwrap();
        assert_eq!(*Secret::File(path).read().unwrap(), "hush hush");
    }

    #[test]
    fn a_secret_is_read_from_the_environment() {
        assert_eq!(*Secret::Env("CARGO_PKG_NAME".to_owned()).read().unwrap(), "smartfw-outward");
        let missing = Secret::Env("SMARTFW_NO_SUCH_VARIABLE".to_owned()).read().unwrap_err();
        assert!(missing.to_string().contains("SMARTFW_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn what_is_empty_too_long_or_no_text_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for bytes in [Vec::new(), b"\n".to_vec(), vec![b'x'; LONGEST + 1], vec![0xff]] {
            fs::write(&path, bytes).unwrap();
            assert!(matches!(Secret::File(path.clone()).read(), Err(BadSecret::Odd(_))));
        }
    }
}
