//! Who we are to the database.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Client, header::CONTENT_TYPE};
use serde::Deserialize;
use thiserror::Error;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::{
    account::{Account, BadAccount},
    body,
    trouble::Trouble,
};

/// A token is replaced so long before it expires.
const BEFORE: Duration = Duration::from_secs(300);

/// The longest token: Google says 2,048 bytes.
const TOKEN_BYTES: usize = 8 << 10;

/// The longest answer of a token endpoint.
const ANSWER_BYTES: usize = 64 << 10;

/// Whatever the endpoint says, a token is taken for valid no longer than this, and no shorter.
const LIFE: std::ops::RangeInclusive<u64> = 60..=3600;

/// How we show the database who we are. Shows itself without its secrets.
pub struct Auth {
    kind: Kind,
    token: Mutex<Option<Token>>,
}

enum Kind {
    Secret(Zeroizing<String>),
    Emulator,
    Account(Box<Account>),
}

struct Token {
    text: Zeroizing<String>,
    replaced: Duration,
}

/// What goes with a request.
#[derive(Clone)]
pub(crate) enum Credential {
    /// As `?auth=`.
    Parameter(Zeroizing<String>),
    /// As `Authorization: Bearer`.
    Bearer(Zeroizing<String>),
}

impl Credential {
    /// A text without it, and without it as it stands in an address.
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        let (Self::Parameter(secret) | Self::Bearer(secret)) = self;
        let encoded: Vec<String> = secret.bytes().map(in_address).collect();
        text.replace(secret.as_str(), "…").replace(&encoded.concat(), "…")
    }
}

/// As `application/x-www-form-urlencoded` has it (url.spec.whatwg.org).
fn in_address(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"*-._".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The text cannot be a database secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a database secret is one word of printable letters")]
pub struct BadSecret;

/// What is configured cannot be used.
#[derive(Debug, Error)]
pub enum BadFile {
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// It holds no secret.
    #[error("{0}: {1}")]
    Secret(PathBuf, BadSecret),
    /// It holds no service account.
    #[error("{0}: {1}")]
    Account(PathBuf, BadAccount),
    /// Neither or both are named.
    #[error("mirror.url needs mirror.account or mirror.secret, and not both")]
    Either,
}

impl Auth {
    /// As the configuration says: by the key file of a service account, or by the file of a database secret.
    ///
    /// # Errors
    /// When not exactly one is named, or it cannot be used.
    pub fn from_files(account: Option<&Path>, secret: Option<&Path>) -> Result<Self, BadFile> {
        let read = |path: &Path| {
            fs::read(path).map(Zeroizing::new).map_err(|why| BadFile::Unreadable(path.to_owned(), why))
        };
        match (account, secret) {
            (Some(path), None) => {
                Self::account(&read(path)?).map_err(|why| BadFile::Account(path.to_owned(), why))
            }
            (None, Some(path)) => {
                let bytes = read(path)?;
                let text = str::from_utf8(&bytes).map_err(|_| BadSecret);
                text.and_then(Self::secret).map_err(|why| BadFile::Secret(path.to_owned(), why))
            }
            _ => Err(BadFile::Either),
        }
    }

    /// With a database secret, as the project's settings in the Firebase console show it.
    ///
    /// # Errors
    /// When it is empty or has letters that no secret has.
    pub fn secret(secret: &str) -> Result<Self, BadSecret> {
        let secret = secret.trim();
        let plausible = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        plausible.then(|| Self::of(Kind::Secret(Zeroizing::new(secret.to_owned())))).ok_or(BadSecret)
    }

    /// As a service account, by the contents of its JSON key file.
    ///
    /// # Errors
    /// When the file is none.
    pub fn account(file: &[u8]) -> Result<Self, BadAccount> {
        Account::read(file).map(|account| Self::of(Kind::Account(Box::new(account))))
    }

    /// As the owner, to the emulator of the Firebase tools.
    pub fn emulator() -> Self {
        Self::of(Kind::Emulator)
    }

    fn of(kind: Kind) -> Self {
        Self { kind, token: Mutex::new(None) }
    }

    /// What goes with a request now.
    pub(crate) async fn credential(&self, http: &Client, now: Duration) -> Result<Credential, Trouble> {
        match &self.kind {
            Kind::Secret(secret) => Ok(Credential::Parameter(secret.clone())),
            Kind::Emulator => Ok(Credential::Bearer(Zeroizing::new("owner".to_owned()))),
            Kind::Account(account) => {
                // The lock is held over the exchange: who comes meanwhile gets the same token.
                let mut token = self.token.lock().await;
                if token.as_ref().is_none_or(|token| now >= token.replaced) {
                    *token = Some(exchange(account, http, now).await?);
                }
                let text = token.as_ref().map(|token| token.text.clone()).unwrap_or_default();
                Ok(Credential::Bearer(text))
            }
        }
    }

    /// The database does not take it any more. Whether another can be had.
    pub(crate) async fn forget(&self) -> bool {
        self.token.lock().await.take().is_some()
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

async fn exchange(account: &Account, http: &Client, now: Duration) -> Result<Token, Trouble> {
    let assertion = account.assertion(now).ok_or_else(|| Trouble::Token("the key cannot sign".to_owned()))?;
    let form =
        format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}");
    let request = http.post(account.endpoint.clone()).body(form);
    let answer = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").send().await;
    let answer = answer.map_err(|error| Trouble::Token(Trouble::from(error).to_string()))?;
    let status = answer.status();
    let said = Zeroizing::new(body::read(answer, ANSWER_BYTES, "a token").await?);
    if !status.is_success() {
        let why =
            serde_json::from_slice(&said).map_or(String::new(), |Refusal { error }| body::shown(&error));
        return Err(Trouble::Token(format!("the token endpoint answers {} {why}", status.as_u16())));
    }
    let odd = || Trouble::Token("the token endpoint answers what makes no sense".to_owned());
    let Answer { access_token, expires_in } = serde_json::from_slice(&said).map_err(|_| odd())?;
    let access_token = Zeroizing::new(access_token);
    let plausible = access_token.bytes().all(|byte| byte.is_ascii_graphic());
    if access_token.is_empty() || access_token.len() > TOKEN_BYTES || !plausible {
        return Err(odd());
    }
    let life = Duration::from_secs(expires_in.clamp(*LIFE.start(), *LIFE.end()));
    Ok(Token { text: access_token, replaced: now + life.saturating_sub(BEFORE).max(life / 2) })
}

/// Which way, and no secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Secret(_) => f.write_str("Auth(database secret)"),
            Kind::Emulator => f.write_str("Auth(emulator)"),
            Kind::Account(account) => write!(f, "Auth({account:?})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_is_one_file_that_holds_what_it_should() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let why = |account, secret| Auth::from_files(account, secret).unwrap_err().to_string();
        assert!(
            why(None, None).contains("mirror.account") && why(Some(&file), Some(&file)).contains("not both")
        );
        assert!(why(None, Some(&file)).contains("cannot be read"));
        fs::write(&file, "two words").unwrap();
        assert!(why(None, Some(&file)).contains("one word") && why(Some(&file), None).contains("secret: "));
        fs::write(&file, [0xff]).unwrap();
        assert!(why(None, Some(&file)).contains("one word"));
        fs::write(&file, "its-secret\n").unwrap();
        assert!(Auth::from_files(None, Some(&file)).is_ok());
    }
}
