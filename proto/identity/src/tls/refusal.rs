//! Why a connection did not come about, on either side.

use std::io;
use std::net::SocketAddr;

use rustls::{AlertDescription, Error};
use thiserror::Error;

use crate::trust::Refused;

/// Why the other side refused **us**, as far as its alert says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefusedUs {
    /// We showed no certificate.
    #[error("it wants a certificate and we showed none: join the cluster with a token first")]
    NoCertificate,
    /// It cannot make sense of ours.
    #[error("our certificate is none that it knows the form of, or breaks a rule of who may sign what")]
    BadCertificate,
    /// It knows another root.
    #[error("our certificate is not of its cluster: check the address, or join that cluster")]
    Foreign,
    /// Ours has expired, or one of the clocks is wrong.
    #[error(
        "our certificate does not hold now: compare the clocks of both; if they agree, join again with a new token"
    )]
    Expired,
    /// We were expelled.
    #[error("we were revoked: to come back, this node needs a new key and a new token")]
    Revoked,
    /// We have another role, or are another member than it expected.
    #[error("our role is not one that it lets in here")]
    Denied,
    /// It cannot let anybody in, or speaks another version of TLS.
    #[error(
        "it could not finish the handshake: look at its health list; it lets nobody in while its revocations cannot be read"
    )]
    Unable,
}

impl RefusedUs {
    pub(super) const fn of_alert(alert: AlertDescription) -> Option<Self> {
        Some(match alert {
            AlertDescription::CertificateRequired => Self::NoCertificate,
            AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
                Self::BadCertificate
            }
            AlertDescription::UnknownCA | AlertDescription::DecryptError => Self::Foreign,
            AlertDescription::CertificateExpired => Self::Expired,
            AlertDescription::CertificateRevoked => Self::Revoked,
            AlertDescription::AccessDenied => Self::Denied,
            AlertDescription::HandshakeFailure | AlertDescription::NoApplicationProtocol => Self::Unable,
            _ => return None,
        })
    }

    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match tls_error(error) {
            Some(Error::AlertReceived(alert)) => Self::of_alert(*alert),
            _ => None,
        }
    }
}

pub(super) fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// A connection that was not accepted.
#[derive(Clone, Debug, Error)]
#[error("refused a connection from {from}: {why}")]
pub struct Refusal {
    /// Who tried.
    pub from: SocketAddr,
    /// Why not.
    pub why: Why,
}

/// Why a connection was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// The other side is nobody for us.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The other side did not take us for whom it wanted.
    #[error("it refused us: {0}")]
    RefusedUs(#[from] RefusedUs),
    /// It was too slow.
    #[error("it did not finish the handshake within {} s", super::HANDSHAKE.as_secs())]
    Slow,
    /// More came than may wait at once.
    #[error("too many unfinished handshakes: the oldest was dropped")]
    Crowded,
    /// It spoke no TLS, or broke off.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// Our own certificate cannot be used.
    #[error("our own certificate cannot be used: {0}")]
    Ours(String),
}
