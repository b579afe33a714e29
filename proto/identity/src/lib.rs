//! Who is who in a cluster.
//!
//! A member is its Ed25519 key: its id is the SHA-256 of the public half, its name is a label that a signer gave it.
//! This crate makes keys and certificates, lets machines join by one-time tokens, keeps the set of who was expelled,
//! signs and checks runs and orders, and opens and accepts connections with mutual TLS.
//!
//! A folder `<state>/identity/` (0700) holds, each written whole or not at all and with mode 0600:
//!
//! | file | what |
//! |---|---|
//! | `key.pem` | the private key: PKCS#8, or under a passphrase (Argon2id, ChaCha20-Poly1305) |
//! | `chain.pem` | our certificate, then our signer's |
//! | `root.pem` | the root's certificate |
//! | `authority.pem`, `ledger`, `ledger.lock` | of signers: the right to sign; tokens' hashes and names |
//! | `revocations` | who was expelled |
//!
//! Everything that judges takes the time as an argument; only the TLS handshakes ask the system's clock.

mod certificate;
mod clock;
mod file;
#[cfg(test)]
mod fixture;
mod found;
mod identity;
mod issue;
mod join;
mod judge;
mod key;
mod ledger;
mod name;
mod pem;
mod revocation;
mod revocations;
mod root;
mod seal;
mod signer;
pub mod tls;
mod token;
mod trust;

pub use certificate::{CERTIFICATE_BYTES, Certificate, CertificateError, requested_key};
pub use clock::Shown;
pub use file::{FILE_BYTES, FileError};
pub use found::{FoundError, Founded, Founding};
pub use identity::{Current, Identity, IdentityError, Renewal};
pub use issue::{BACKDATED, IssueError, LEAF_LIFE, ROOT_LIFE, SIGNER_LIFE, request};
pub use join::{Admitted, JoinError, SKEW, Wish, join, reach, renew, renew_over};
pub use judge::{Codec, Judge, RunSigner, leaves, order_id, sign_order};
pub use key::{Domain, Key, KeyError, PublicKey};
pub use ledger::{Give, Invitation, Ledger, LedgerError, NAMES, TOKENS};
pub use name::{BadLabel, LABEL_BYTES, Label, MemberName, Role, Subject, UnknownRole};
pub use revocation::{
    Author, REVOCATION_BYTES, REVOCATIONS, REVOCATIONS_EACH, ROOT_REVOCATIONS, Revocation, RevocationError,
    RevocationSet,
};
pub use revocations::Revocations;
pub use root::{Root, RootError};
pub use seal::{PASSPHRASE_CHARS, Passphrase, SealError};
pub use signer::{Joined, Joining, Known, SignError, Signer, TOKEN_LIFE};
pub use token::{BadToken, Token};
pub use trust::{Chain, GRACE, Member, Refused, Roles, Standing, Trust};
