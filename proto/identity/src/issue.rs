//! Making certificates. What goes into one is decided here, never by who asks for it.

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType, SerialNumber,
};
use smartfw_core::Time;
use thiserror::Error;
use time::OffsetDateTime;

use crate::certificate::{Certificate, CertificateError};
use crate::key::{Key, KeyError, PublicKey, random};
use crate::name::{Role, Subject};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a member's certificate holds from when it is made.
pub const LEAF_LIFE: Duration = DAY.saturating_mul(30);
/// How long before it is made it holds already: clocks need not agree.
pub const BACKDATED: Duration = DAY;
/// How long the root holds: it never leaves its safe, and replacing it means a new cluster.
pub const ROOT_LIFE: Duration = DAY.saturating_mul(3650);
/// How long a signer's right to sign holds: renewing it needs the root, which is kept offline.
pub const SIGNER_LIFE: Duration = DAY.saturating_mul(730);

/// A certificate could not be made.
#[derive(Debug, Error)]
pub enum IssueError {
    /// The library refused.
    #[error("the certificate could not be made: {0}")]
    Refused(#[from] rcgen::Error),
    /// The system gives no random numbers.
    #[error(transparent)]
    NoChance(#[from] KeyError),
    /// What was made is not what we would accept.
    #[error("the certificate that was made would not be accepted: {0}")]
    Unreadable(#[from] CertificateError),
    /// The clock is out of the range of certificates.
    #[error("the clock of this machine is out of range: set it, then try again")]
    Clock,
}

/// The root's certificate of itself.
pub(crate) fn root(key: &Key, subject: &Subject, now: Time) -> Result<Certificate, IssueError> {
    let mut params = params(subject, &common_name(subject, true), now, now.after(ROOT_LIFE))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(Certificate::parse(params.self_signed(key)?.der())?)
}

/// A signer's right to sign members, itself signed by the root.
pub(crate) fn authority(
    subject: &Subject,
    key: &PublicKey,
    root: (&Certificate, &Key),
    now: Time,
) -> Result<Certificate, IssueError> {
    let until = now.after(SIGNER_LIFE).min(root.0.not_after);
    let mut params = params(subject, &common_name(subject, true), now, until)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    signed(&params, key, root)
}

/// A member's certificate, signed by a signer's authority; it never outlives it.
pub(crate) fn leaf(
    subject: &Subject,
    role: Role,
    key: &PublicKey,
    signer: (&Certificate, &Key),
    now: Time,
) -> Result<Certificate, IssueError> {
    let until = now.after(LEAF_LIFE).min(signer.0.not_after);
    let mut params = params(subject, &common_name(subject, false), now, until)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    if role.serves() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    signed(&params, key, signer)
}

/// A request for a certificate: shows that we hold the key, and asks for nothing.
///
/// # Errors
/// When the library refuses.
pub fn request(key: &Key) -> Result<Vec<u8>, IssueError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}

fn signed(
    params: &CertificateParams,
    key: &PublicKey,
    (issuer, issuer_key): (&Certificate, &Key),
) -> Result<Certificate, IssueError> {
    let issuer = Issuer::from_ca_cert_der(issuer.der(), issuer_key)?;
    Ok(Certificate::parse(params.signed_by(key, &issuer)?.der())?)
}

fn params(subject: &Subject, common: &str, now: Time, until: Time) -> Result<CertificateParams, IssueError> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    let mut serial = random::<16>()?;
    serial[0] &= 0x7f;
    let from = Time::from_secs(now.as_secs().saturating_sub(BACKDATED.as_secs()));
    let mut params = CertificateParams::default();
    params.not_before = date(from)?;
    params.not_after = date(until)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(subject.to_string())?)];
    params.distinguished_name = name;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// For people who print certificates; nothing is decided by it. An authority's differs from its holder's own, so that
/// tools do not take the holder's certificate for one that signed itself.
fn common_name(subject: &Subject, authority: bool) -> String {
    match subject {
        Subject::Root { cluster } => format!("SmartFW root of {cluster}"),
        Subject::Member { name, .. } if authority => format!("SmartFW signer {}", name.name),
        Subject::Member { name, .. } => name.name.to_string(),
    }
}

fn date(time: Time) -> Result<OffsetDateTime, IssueError> {
    let seconds = i64::try_from(time.as_secs()).map_err(|_| IssueError::Clock)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| IssueError::Clock)
}
