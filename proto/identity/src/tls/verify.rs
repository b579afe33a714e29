//! Our rules behind rustls's verifiers. One verifier serves one handshake, and keeps what it found.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use smartfw_core::Time;
use smartfw_core::fleet::NodeId;

use crate::certificate::Certificate;
use crate::revocations::Revocations;
use crate::token::Token;
use crate::trust::{Chain, Member, Refused, Roles, Standing, Trust};

use super::dial::Expected;

/// The member on the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub member: Member,
    /// Whether its certificate held when it connected: in [`Standing::Grace`] it may exchange logs only.
    pub standing: Standing,
}

/// Whom a handshake lets through.
#[derive(Debug)]
pub(super) enum Rules {
    /// Members of our cluster.
    Members { trust: Box<Trust>, revocations: Arc<Revocations>, roles: Roles, expected: Option<Expected> },
    /// The signer that gave out a token.
    Issuer { root: [u8; 32], signer: NodeId },
}

impl Rules {
    pub(super) fn issuer_of(token: &Token) -> Self {
        Self::Issuer { root: *token.root(), signer: token.signer() }
    }

    fn judge(&self, ders: &[&[u8]], now: Time) -> Result<Peer, Refused> {
        let chain = Chain::parse(ders.iter().copied())?;
        let member = match self {
            Self::Members { trust, .. } => trust.check(&chain)?,
            Self::Issuer { root, .. } => pinned(root, ders)?.check(&chain)?,
        };
        match self {
            Self::Members { revocations, roles, expected, .. } => {
                // Revocation first: an expelled member that also expired is told what matters.
                revocations.check(&member)?;
                let standing = member.standing(now)?;
                roles.admit(&member)?;
                expected.as_ref().map_or(Ok(()), |expected| expected.admit(&member))?;
                Ok(Peer { member, standing })
            }
            Self::Issuer { signer, .. } => {
                Roles::SIGNER.admit(&member)?;
                Expected { id: Some(*signer), name: None }.admit(&member)?;
                member.valid_at(now)?;
                Ok(Peer { member, standing: Standing::Valid })
            }
        }
    }
}

/// The root that the other side sent is believed when it is exactly the one that the token names.
fn pinned(fingerprint: &[u8; 32], ders: &[&[u8]]) -> Result<Trust, Refused> {
    let [_, _, root] = ders else { return Err(Refused::Shape("its root is missing")) };
    let root = Certificate::parse(root)?;
    if root.fingerprint() == *fingerprint { Trust::new(root) } else { Err(Refused::WrongRoot) }
}

/// What a handshake found out about the other side.
#[derive(Debug, Default)]
pub(super) struct Finding(Mutex<Option<Result<Peer, Refused>>>);

impl Finding {
    fn put(&self, found: Result<Peer, Refused>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
    }

    pub(super) fn peer(&self) -> Option<Peer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?.ok()
    }

    pub(super) fn refused(&self) -> Option<Refused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?.err()
    }
}

/// rustls's view of our rules.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) rules: Rules,
    pub(super) finding: Arc<Finding>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let ders: Vec<&[u8]> = std::iter::once(leaf).chain(rest).map(|der| der.as_ref()).collect();
        let now = Time::from_secs(now.as_secs());
        let found = self.rules.judge(&ders, now);
        let said = found.as_ref().map(|_| ()).map_err(to_rustls);
        self.finding.put(found);
        said
    }

    fn signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }
}

/// The alert that the other side gets follows from this: it tells it what was wrong, and no more than that.
fn to_rustls(refused: &Refused) -> Error {
    Error::InvalidCertificate(match refused {
        Refused::Foreign { .. } => CertificateError::UnknownIssuer,
        Refused::Expired { .. } => CertificateError::Expired,
        Refused::NotYetValid { .. } => CertificateError::NotValidYet,
        Refused::Revoked { .. } => CertificateError::Revoked,
        Refused::WrongRole { .. } | Refused::WrongMember { .. } | Refused::WrongRoot => {
            CertificateError::ApplicationVerificationFailure
        }
        Refused::NoCertificate | Refused::Certificate(_) | Refused::Shape(_) | Refused::Path(_) => {
            CertificateError::BadEncoding
        }
        // Not the other side's fault: told as a failed handshake.
        Refused::RevocationsUnreadable(_) => return Error::General(refused.to_string()),
    })
}

const TLS12: Error = Error::General(String::new());

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(leaf, rest, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(leaf, rest, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(TLS12)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
