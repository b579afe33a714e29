//! What a person carries from a signer to a machine that shall join.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::sha256;

/// What every token begins with, so that people and scanners for leaked secrets know one.
const PREFIX: &str = "smartfw-token-";
const SECRET: usize = 16;
const CHECK: usize = 4;
/// Format, secret, root, signer, expiry, check.
const BYTES: usize = 1 + SECRET + 32 + 32 + 8 + CHECK;
const FORMAT: u8 = 1;

/// A one-time token: 128 random bits, and what the joining machine needs to know whom to give them to.
///
/// One printable word: `smartfw-token-` and the URL-safe base64 of format (1), secret, SHA-256 of the root's
/// certificate, signer, expiry in seconds since the epoch, and the first four bytes of the SHA-256 of all that, so that
/// a mistyped token is told from a wrong one. What the token allows (role, site, name) stays with the signer.
#[derive(Clone)]
pub struct Token {
    secret: Zeroizing<[u8; SECRET]>,
    root: [u8; 32],
    signer: NodeId,
    expires: Time,
}

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadToken {
    /// It is something else.
    #[error(
        "this is no token: it should begin with `{PREFIX}`; print a new one with `smartfw-cli cluster token`"
    )]
    NoToken,
    /// Letters are missing or wrong.
    #[error("the token is incomplete or mistyped: copy it again, all of it")]
    Mistyped,
    /// It is from the future.
    #[error("the token was made by a later version: update this machine first")]
    Later,
}

impl Token {
    pub(crate) fn new(secret: [u8; SECRET], root: [u8; 32], signer: NodeId, expires: Time) -> Self {
        Self { secret: Zeroizing::new(secret), root, signer, expires: Time::from_secs(expires.as_secs()) }
    }

    /// The SHA-256 of the root's certificate, which the signer has to show.
    pub const fn root(&self) -> &[u8; 32] {
        &self.root
    }

    /// The only signer that redeems it.
    pub const fn signer(&self) -> NodeId {
        self.signer
    }

    /// Until when.
    pub const fn expires(&self) -> Time {
        self.expires
    }

    /// What the signer keeps instead of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        sha256(self.secret.as_slice())
    }

    #[cfg(test)]
    pub(crate) fn secret_for_tests(&self) -> [u8; SECRET] {
        *self.secret
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let expires = self.expires.as_secs().to_be_bytes();
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        for part in [&[FORMAT][..], self.secret.as_slice(), &self.root, &self.signer.0, &expires] {
            bytes.extend_from_slice(part);
        }
        let check = sha256(&bytes);
        bytes.extend_from_slice(&check[..CHECK]);
        bytes
    }
}

/// The token itself: print it for its person only.
impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.to_bytes().as_slice()));
        write!(f, "{PREFIX}{}", text.as_str())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(by {}, secret)", self.signer)
    }
}

impl FromStr for Token {
    type Err = BadToken;
    fn from_str(text: &str) -> Result<Self, BadToken> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(BadToken::NoToken)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map(Zeroizing::new).map_err(|_| BadToken::Mistyped)?;
        let (said, check) = bytes.split_last_chunk::<CHECK>().ok_or(BadToken::Mistyped)?;
        // No secret: it tells mistyped tokens from wrong ones, and only on the machine where one is typed.
        if sha256(said)[..CHECK] != check[..] {
            return Err(BadToken::Mistyped);
        }
        let (format, rest) = said.split_first().ok_or(BadToken::Mistyped)?;
        if *format != FORMAT {
            return Err(BadToken::Later);
        }
        read(rest).ok_or(BadToken::Mistyped)
    }
}

fn read(bytes: &[u8]) -> Option<Token> {
    let (secret, rest) = bytes.split_first_chunk()?;
    let (root, rest) = rest.split_first_chunk()?;
    let (signer, rest) = rest.split_first_chunk()?;
    let (expires, rest) = rest.split_first_chunk()?;
    let expires = Time::from_secs(u64::from_be_bytes(*expires));
    rest.is_empty().then(|| Token::new(*secret, *root, NodeId(*signer), expires))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> Token {
        Token::new([7; 16], [8; 32], NodeId([9; 32]), Time::from_secs(1_800_000_000))
    }

    #[test]
    fn a_token_is_one_word_and_read_as_it_was_printed() {
        let text = token().to_string();
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{text}");
        let again: Token = format!(" {text}\n").parse().unwrap();
        assert_eq!((again.hash(), again.root, again.signer, again.expires), {
            let t = token();
            (t.hash(), t.root, t.signer, t.expires)
        });
        assert!(!format!("{:?}", token()).contains(&text[14..30]));
    }

    #[test]
    fn a_mistyped_token_is_told_from_something_else() {
        let text = token().to_string();
        let mut typed = text.clone().into_bytes();
        typed[40] = if typed[40] == b'A' { b'B' } else { b'A' };
        assert_eq!(String::from_utf8(typed).unwrap().parse::<Token>().unwrap_err(), BadToken::Mistyped);
        assert_eq!(text[..60].parse::<Token>().unwrap_err(), BadToken::Mistyped);
        assert_eq!("web-1".parse::<Token>().unwrap_err(), BadToken::NoToken);
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_refused(text in ".*", body in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = text.parse::<Token>();
            let check = sha256(&body);
            let whole = URL_SAFE_NO_PAD.encode([&body[..], &check[..4]].concat());
            let _ = format!("{PREFIX}{whole}").parse::<Token>();
        }
    }
}
