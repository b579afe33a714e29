//! rustls configurations: one per handshake, so that each uses the identity that is current and keeps its own finding.

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, Error, ServerConfig, SignatureScheme};

use crate::identity::Identity;

use super::verify::{Finding, Rules, Verifier};
use super::{JOIN_ALPN, MEMBER_ALPN};

/// For members: both sides show certificates.
pub(super) fn server(
    identity: &Identity,
    rules: Rules,
    finding: Arc<Finding>,
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = builder.with_client_cert_verifier(verifier(rules, finding));
    let config = builder.with_cert_resolver(Arc::new(Ours(shown(identity, false))));
    Ok(unresumed(config, MEMBER_ALPN))
}

/// For strangers with tokens: they show none, and see our root.
pub(super) fn join_server(identity: &Identity) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Ours(shown(identity, true))));
    Ok(unresumed(config, JOIN_ALPN))
}

pub(super) fn client(
    identity: &Identity,
    rules: Rules,
    finding: Arc<Finding>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier(rules, finding));
    let config = builder.with_client_cert_resolver(Arc::new(Ours(shown(identity, false))));
    Ok(nameless(config, MEMBER_ALPN))
}

pub(super) fn join_client(rules: Rules, finding: Arc<Finding>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13])?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier(rules, finding));
    Ok(nameless(builder.with_no_client_auth(), JOIN_ALPN))
}

/// A resumed session skips the certificates, and so would skip revocation and expiry.
fn unresumed(mut config: ServerConfig, protocol: &[u8]) -> ServerConfig {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

fn nameless(mut config: ClientConfig, protocol: &[u8]) -> ClientConfig {
    config.resumption = Resumption::disabled();
    // Names are in our certificates; the address is only how to get there.
    config.enable_sni = false;
    config.alpn_protocols = vec![protocol.to_vec()];
    config
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn verifier(rules: Rules, finding: Arc<Finding>) -> Arc<Verifier> {
    let algorithms = ring::default_provider().signature_verification_algorithms;
    Arc::new(Verifier { rules, finding, algorithms })
}

fn shown(identity: &Identity, with_root: bool) -> Arc<CertifiedKey> {
    let chain = [identity.chain().leaf(), identity.chain().signer()];
    let root = with_root.then(|| identity.trust().root());
    let ders = chain.into_iter().chain(root).map(|certificate| certificate.der().clone());
    Arc::new(CertifiedKey::new(ders.collect(), identity.key().handshakes()))
}

#[derive(Debug)]
struct Ours(Arc<CertifiedKey>);

impl ResolvesServerCert for Ours {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
