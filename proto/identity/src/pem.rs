//! PEM: the text form of keys and certificates.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::{PemObject, SectionKind};
use zeroize::Zeroizing;

/// The private key, readable by anybody who has the file.
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";
/// A certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// A private key under a passphrase; see [`crate::seal`].
pub(crate) const SEALED_KEY: &str = "SMARTFW SEALED KEY";

/// One section of a file; `label` is at most 64 characters.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = Zeroizing::new(String::with_capacity(body.len() * 66 / 64 + 2 * label.len() + 40));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Every section of this label, in order; what else the text holds is skipped, as PEM demands.
pub(crate) fn decode(label: &str, text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    match label {
        CERTIFICATE => sections(text, SectionKind::Certificate),
        PRIVATE_KEY => sections(text, SectionKind::PrivateKey),
        other => own_sections(other, text),
    }
}

fn sections(text: &[u8], wanted: SectionKind) -> Result<Vec<Vec<u8>>, String> {
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, bytes) = section.map_err(|e| e.to_string())?;
        if kind == wanted {
            found.push(bytes);
        }
    }
    Ok(found)
}

/// The library knows only the labels of others.
fn own_sections(label: &str, text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let text = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let Some((_, rest)) = text.split_once(&begin) else { return Ok(Vec::new()) };
    let (body, _) = rest.split_once(&end).ok_or("its last line is missing")?;
    let body: String = body.split_ascii_whitespace().collect();
    Ok(vec![STANDARD.decode(body).map_err(|e| e.to_string())?])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for label in [PRIVATE_KEY, CERTIFICATE, SEALED_KEY] {
                let text = format!("a word before\n{}\nand after", encode(label, &bytes).as_str());
                prop_assert_eq!(decode(label, text.as_bytes()).unwrap(), vec![bytes.clone()]);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "(-----BEGIN |SMARTFW SEALED KEY|CERTIFICATE|-----|\n|A|=)*") {
            for label in [PRIVATE_KEY, CERTIFICATE, SEALED_KEY] {
                let _ = (decode(label, &bytes), decode(label, text.as_bytes()));
            }
        }
    }
}
