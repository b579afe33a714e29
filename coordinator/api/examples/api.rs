//! Serves the API with a fleet in memory on a loopback address, to try it with curl or a bouncer.
//!
//! `cargo run -p smartfw-api --features fixture --example api -- ADDR:PORT FOLDER` prints the first password, writes its
//! certificate to FOLDER/certificate.pem, and serves until it is ended.
#![expect(clippy::print_stdout, reason = "a program for a person")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::PrivateKeyDer;
use smartfw_api::{Api, Clock, Limits, MemoryFleet, Settings, serve, tls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("give ADDR:PORT and a folder".into());
    };
    let (address, folder): (SocketAddr, PathBuf) = (address.parse()?, folder.into());
    let fleet = MemoryFleet::new(Clock::system());
    let settings = Settings { state: folder.join("state"), log: folder.join("log"), clock: Clock::system() };
    let (api, first) = Api::open(settings, fleet.clone())?;

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    std::fs::write(folder.join("certificate.pem"), pem(made.cert.der()))?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = rustls::crypto::ring::default_provider();
    let certified = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &provider)?;
    let certificate = Arc::new(SingleCertAndKey::from(certified));
    let served =
        serve(address, tls(certificate)?, api.router(axum::Router::new()), Limits::default()).await?;
    if let Some(password) = first {
        println!("admin's password, shown this once: {}", password.reveal());
    }
    println!("https://localhost:{}", served.address().port());
    let mut pace = tokio::time::interval(Duration::from_secs(2));
    loop {
        pace.tick().await;
        fleet.alert("web-1", "port_scan", "203.0.113.7");
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
