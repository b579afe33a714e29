//! Certificates and requests for them, read strictly: what is not exactly ours is refused.

use rustls_pki_types::CertificateDer;
use smartfw_core::Time;
use smartfw_core::fleet::NodeId;
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::key::{PublicKey, sha256};
use crate::name::Subject;
use crate::pem;

/// The longest certificate and the longest request: ours are about 500 bytes.
pub const CERTIFICATE_BYTES: usize = 2048;

/// A certificate of ours, read but not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: CertificateDer<'static>,
    /// Whom it speaks of.
    pub subject: Subject,
    /// Whose key it names.
    pub key: PublicKey,
    /// From when it holds.
    pub not_before: Time,
    /// Until when it holds.
    pub not_after: Time,
    /// Whether it may sign others.
    pub authority: bool,
}

/// Bytes that are no certificate of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Longer than ours ever are.
    #[error("it is longer than {CERTIFICATE_BYTES} bytes")]
    TooLong,
    /// Not what it should be.
    #[error("it is not in X.509 form: {0}")]
    Malformed(String),
    /// The key is of another kind.
    #[error("its key is not an Ed25519 key")]
    OtherKey,
    /// It is not exactly one URI of ours.
    #[error("it does not carry exactly one name of the form smartfw://CLUSTER/SITE/NAME?role=ROLE")]
    NoName,
    /// It was not signed by the key that it is about.
    #[error("the request was not signed with the key that it names")]
    NotPossessed,
}

impl Certificate {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When the bytes are too long, no X.509, about a key of another kind, or name nobody in our form.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let cert = parse_strictly::<X509Certificate<'_>>(der)?;
        if cert.version() != X509Version::V3 {
            return Err(CertificateError::Malformed("it is not of version 3".into()));
        }
        let constraints = cert.basic_constraints().map_err(malformed)?;
        Ok(Self {
            subject: subject(&cert)?,
            key: ed25519(cert.public_key())?,
            not_before: time(cert.validity().not_before.timestamp())?,
            not_after: time(cert.validity().not_after.timestamp())?,
            authority: constraints.is_some_and(|c| c.value.ca),
            der: CertificateDer::from(der.to_vec()),
        })
    }

    /// Reads the one certificate in a PEM text: another cluster's root that an operator adds.
    ///
    /// # Errors
    /// When there is not exactly one, or it is none of ours.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        match pem::decode(pem::CERTIFICATE, text.as_bytes()).map_err(malformed)?.as_slice() {
            [der] => Self::parse(der),
            other => Err(malformed(format!("{} certificates are in the text instead of one", other.len()))),
        }
    }

    /// As PEM text.
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der).as_str().to_owned()
    }

    /// Its bytes.
    pub const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The SHA-256 of its bytes: what a token pins.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.der)
    }

    /// Whose key it names.
    pub fn id(&self) -> NodeId {
        self.key.id()
    }
}

/// The key of a certificate request whose sender has shown to hold it. **Nothing else of a request is looked at**: its
/// names, usages and extensions are wishes of a stranger.
///
/// # Errors
/// When the bytes are no request, the key is of another kind, or the request was signed with another.
pub fn requested_key(der: &[u8]) -> Result<PublicKey, CertificateError> {
    let request = parse_strictly::<X509CertificationRequest<'_>>(der)?;
    let info = &request.certification_request_info;
    let key = ed25519(&info.subject_pki)?;
    let ours = request.signature_algorithm.algorithm == OID_SIG_ED25519;
    if ours && key.verify_raw(info.raw, &request.signature_value.data) {
        Ok(key)
    } else {
        Err(CertificateError::NotPossessed)
    }
}

fn parse_strictly<'a, T: FromDer<'a, x509_parser::error::X509Error>>(
    der: &'a [u8],
) -> Result<T, CertificateError> {
    if der.len() > CERTIFICATE_BYTES {
        return Err(CertificateError::TooLong);
    }
    let (rest, parsed) = T::from_der(der).map_err(malformed)?;
    if rest.is_empty() { Ok(parsed) } else { Err(CertificateError::Malformed("bytes follow it".into())) }
}

fn subject(cert: &X509Certificate<'_>) -> Result<Subject, CertificateError> {
    let names = cert.subject_alternative_name().map_err(malformed)?.ok_or(CertificateError::NoName)?;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Subject::parse(uri).ok_or(CertificateError::NoName),
        _ => Err(CertificateError::NoName),
    }
}

fn ed25519(key: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, CertificateError> {
    let bits = &key.subject_public_key;
    let ours = key.algorithm.algorithm == OID_SIG_ED25519 && key.algorithm.parameters.is_none();
    let bytes = (ours && bits.unused_bits == 0).then(|| bits.data.as_ref().try_into().ok()).flatten();
    bytes.map(PublicKey).ok_or(CertificateError::OtherKey)
}

fn time(seconds: i64) -> Result<Time, CertificateError> {
    let early = |_| CertificateError::Malformed("it is from before 1970".into());
    u64::try_from(seconds).map(Time::from_secs).map_err(early)
}

fn malformed(why: impl ToString) -> CertificateError {
    CertificateError::Malformed(why.to_string())
}
