//! The token endpoint: it checks what a service account signed.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::Shared;

/// The key of the only service account. Made for these tests with `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`; it opens nothing.
pub const ACCOUNT_KEY: &str = include_str!("key.pem");

const EMAIL: &str = "mirror@example.iam.gserviceaccount.com";

const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";

pub(crate) fn account(url: &str) -> Vec<u8> {
    let file = json!({
        "type": "service_account", "project_id": "example", "private_key_id": "k1", "private_key": ACCOUNT_KEY,
        "client_email": EMAIL, "token_uri": format!("{url}/token"),
    });
    file.to_string().into_bytes()
}

/// The token of this number.
pub(crate) fn name(number: u64) -> String {
    format!("token-{number}")
}

pub(crate) fn give(shared: &mut Shared, form: &[u8]) -> Response {
    if let Some(crate::Fault::Status(status, _)) = &shared.outage {
        return StatusCode::from_u16(*status).unwrap().into_response();
    }
    match std::str::from_utf8(form).ok().and_then(|form| form.strip_prefix(GRANT)).and_then(claims) {
        Some(claims) if is_right(&claims) => {
            shared.tokens += 1;
            let answer = json!({
                "access_token": name(shared.tokens), "expires_in": shared.token_life, "token_type": "Bearer",
            });
            answer.to_string().into_response()
        }
        _ => (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string()).into_response(),
    }
}

/// What was signed, if the signature is the account's.
fn claims(assertion: &str) -> Option<Value> {
    let (said, signature) = assertion.rsplit_once('.')?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(ACCOUNT_KEY.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref().to_vec());
    public.verify(said.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (header, claims) = said.split_once('.')?;
    let read = |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    (read(header)? == json!({"alg": "RS256", "typ": "JWT", "kid": "k1"})).then(|| read(claims))?
}

fn is_right(claims: &Value) -> bool {
    let (Some(issued), Some(expires)) = (claims["iat"].as_u64(), claims["exp"].as_u64()) else {
        return false;
    };
    let scopes = claims["scope"].as_str().unwrap_or_default();
    claims["iss"] == EMAIL
        && claims["aud"].as_str().is_some_and(|aud| aud.ends_with("/token"))
        && expires > issued
        && expires - issued <= 3600
        && scopes.split(' ').any(|scope| scope.ends_with("/auth/firebase.database"))
        && scopes.split(' ').any(|scope| scope.ends_with("/auth/userinfo.email"))
}
