//! What a model file is, and everything that is none.

use proptest::prelude::*;

use super::*;
use crate::fixture::{card, model};

fn file() -> (ModelFile, ModelKey) {
    let key = ModelKey::generate().unwrap();
    (ModelFile::write(&model(), &card("lab"), &key).unwrap(), key)
}

/// The same bytes with another model in them, signed by whoever holds the key.
fn framed(model: &[u8], card: &[u8], key: &ModelKey) -> Vec<u8> {
    let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
    for part in [model, card] {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part);
    }
    bytes.extend(key.signer().0);
    bytes.extend(key.sign(&bytes));
    bytes
}

#[test]
fn a_model_its_card_and_its_signer_outlive_the_file() {
    let (file, key) = file();
    let read = ModelFile::read(file.as_bytes()).unwrap();
    assert_eq!(**read.model(), model());
    assert_eq!((read.card(), read.signer()), (&card("lab"), key.signer()));
    assert_eq!(read.as_bytes(), file.as_bytes());
}

#[test]
fn a_file_that_was_cut_anywhere_is_refused_and_says_so() {
    let (file, _) = file();
    let whole = file.as_bytes();
    let unsigned = whole.len() - 32 - 64;
    for length in 0..whole.len() {
        let error = ModelFile::read(&whole[..length]).unwrap_err();
        match length {
            length if length == unsigned => assert!(matches!(error, FileError::Unsigned), "{error}"),
            _ => assert!(matches!(error, FileError::Truncated), "{length}: {error}"),
        }
    }
    assert!(matches!(ModelFile::read([whole, &[0]].concat()), Err(FileError::Surplus)));
}

#[test]
fn a_file_that_was_changed_anywhere_is_refused() {
    let (file, _) = file();
    for at in 0..file.as_bytes().len() {
        for flip in [1, 0x80] {
            let mut bytes = file.as_bytes().to_vec();
            bytes[at] ^= flip;
            assert!(ModelFile::read(bytes).is_err(), "byte {at}");
        }
    }
}

#[test]
fn what_is_signed_by_one_is_not_another_s() {
    let (file, _) = file();
    let mut bytes = file.as_bytes().to_vec();
    let at = bytes.len() - 64 - 32;
    bytes[at..at + 32].copy_from_slice(&ModelKey::generate().unwrap().signer().0);
    assert!(matches!(ModelFile::read(bytes), Err(FileError::Signature)));
}

#[test]
fn what_is_no_model_file_is_told_what_would_be_one() {
    for bytes in [b"PK\x03\x04 a zip".as_slice(), &model().encode()] {
        let error = ModelFile::read(bytes).unwrap_err();
        assert!(matches!(error, FileError::Other) && error.to_string().contains("smartfw-cli train"));
    }
    let (file, _) = file();
    let mut other = file.as_bytes().to_vec();
    other[4] = 9;
    assert!(matches!(ModelFile::read(other), Err(FileError::Version(9))));
}

#[test]
fn a_signature_makes_no_model_of_what_is_none() {
    let key = ModelKey::generate().unwrap();
    let (good, text) = (model().encode(), serde_json::to_vec(&card("lab")).unwrap());
    assert!(ModelFile::read(framed(&good, &text, &key)).is_ok());
    let mut other_schema = good.clone();
    other_schema[1] = 9;
    let error = ModelFile::read(framed(&other_schema, &text, &key)).unwrap_err();
    assert!(matches!(error, FileError::Model(ModelError::Schema(9))), "{error}");
    let nested = format!("{{\"name\":\"a\",\"figures\":{}", "[".repeat(100_000));
    for card in [b"".as_slice(), b"[]", b"{}", br#"{"name":"../key"}"#, nested.as_bytes()] {
        let error = ModelFile::read(framed(&good, card, &key)).unwrap_err();
        assert!(matches!(error, FileError::Card(_)), "{error}");
    }
}

#[test]
fn what_is_longer_than_may_be_is_refused_by_its_claim() {
    let key = ModelKey::generate().unwrap();
    let long = Card { figures: "a".repeat(MAX_CARD).into(), ..card("lab") };
    assert!(matches!(ModelFile::write(&model(), &long, &key), Err(FileError::TooLong)));
    assert!(matches!(ModelFile::read(vec![0; MAX_FILE + 1]), Err(FileError::TooLong)));
    let claim = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &u32::MAX.to_le_bytes()].concat();
    assert!(matches!(ModelFile::read(claim), Err(FileError::TooLong)));
}

#[test]
fn a_path_that_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(ModelFile::open(folder.path()), Err(FileError::Io(_))));
    assert!(matches!(ModelFile::open(&folder.path().join("none")), Err(FileError::Io(_))));
    let (file, _) = file();
    let path = folder.path().join("lab.sfwm");
    std::fs::write(&path, file.as_bytes()).unwrap();
    assert_eq!(ModelFile::open(&path).unwrap().as_bytes(), file.as_bytes());
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(ModelFile::read(bytes.clone()).is_err());
        prop_assert!(ModelFile::read([MAGIC.as_slice(), &VERSION.to_le_bytes(), &bytes].concat()).is_err());
        // Whoever has a key can sign anything.
        let (key, text) = (ModelKey::generate().unwrap(), serde_json::to_vec(&card("lab")).unwrap());
        let good = model().encode();
        let begun = [&good[..2], &bytes].concat();
        prop_assert!(matches!(ModelFile::read(framed(&begun, &text, &key)), Err(FileError::Model(_))));
        prop_assert!(matches!(ModelFile::read(framed(&good, &bytes, &key)), Err(FileError::Card(_))));
    }
}
