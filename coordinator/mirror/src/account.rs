//! A service account of Google: its key file, and what it signs to get an access token.
//!
//! The exchange is that of developers.google.com/identity/protocols/oauth2/service-account: a JWT signed with RS256,
//! sent to the token endpoint that the key file names.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Url;
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::database::is_safe;

/// What a token has to allow: the database, and the account's own address, which its rules may ask for
/// (firebase.google.com/docs/database/rest/auth).
const SCOPES: &str =
    "https://www.googleapis.com/auth/userinfo.email https://www.googleapis.com/auth/firebase.database";

/// The longest life that Google grants.
const LIFE: Duration = Duration::from_secs(3600);

/// A clock that is fast by less than this still signs what Google takes.
const SKEW: Duration = Duration::from_secs(60);

/// The largest key file: Google's have 2.4 kB.
pub const ACCOUNT_BYTES: usize = 64 << 10;

/// The file is no key of a service account.
#[derive(Debug, Error)]
pub enum BadAccount {
    /// It is too long.
    #[error("it is longer than {ACCOUNT_BYTES} bytes")]
    TooLong,
    /// It is no JSON, or something is missing. What it says is left out: it could be a part of the key.
    #[error("it is not the JSON key file of a service account: make a new key in the Google Cloud console")]
    Malformed,
    /// Its private key cannot be used. Why is left out: a parser quotes the line that it does not understand.
    #[error("its private key is no RSA key in PKCS#8: use the key file as the Google Cloud console gives it")]
    Key,
    /// The token endpoint is not safe to speak to.
    #[error("its token_uri is no https address")]
    Endpoint,
}

/// A service account.
pub(crate) struct Account {
    email: String,
    key_id: String,
    pub(crate) endpoint: Url,
    key: RsaKeyPair,
}

#[derive(Deserialize)]
struct File {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    token_uri: String,
}

impl Account {
    pub(crate) fn read(file: &[u8]) -> Result<Self, BadAccount> {
        if file.len() > ACCOUNT_BYTES {
            return Err(BadAccount::TooLong);
        }
        let file: File = serde_json::from_slice(file).map_err(|_| BadAccount::Malformed)?;
        let File { client_email, private_key, private_key_id, token_uri } = file;
        let private_key = Zeroizing::new(private_key);
        let der = PrivatePkcs8KeyDer::from_pem_slice(private_key.as_bytes()).map_err(|_| BadAccount::Key)?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| BadAccount::Key)?;
        let endpoint = Url::parse(&token_uri).ok().filter(is_safe).ok_or(BadAccount::Endpoint)?;
        Ok(Self { email: client_email, key_id: private_key_id, endpoint, key })
    }

    /// What is exchanged for a token; valid for an hour.
    pub(crate) fn assertion(&self, now: Duration) -> Option<String> {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let issued = now.saturating_sub(SKEW);
        let claims = json!({
            "iss": self.email, "scope": SCOPES, "aud": self.endpoint.as_str(),
            "iat": issued.as_secs(), "exp": (issued + LIFE).as_secs(),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), said.as_bytes(), &mut signature).ok()?;
        Some(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Whose it is; of the key nothing.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({}, secret)", self.email)
    }
}
