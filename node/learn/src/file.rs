//! A model as a file: the model, its card, and whose word it is.
//!
//! ```text
//! SFWM | version u16 | length u32, model | length u32, card (JSON) | public key (32) | signature (64)
//! ```
//!
//! Numbers are little-endian. The signature (Ed25519) is over everything before it. Reading says whose it is; whether to
//! believe them is for whoever reads.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use smartfw_core::model::{self, Model, ModelError};
use thiserror::Error;

use crate::{Card, ModelKey, Signer};

const MAGIC: &[u8; 4] = b"SFWM";
/// The version of the layout.
pub const VERSION: u16 = 1;
/// The longest card, bytes: a confusion matrix of every class and tool has a tenth of it.
pub const MAX_CARD: usize = 256 << 10;
/// The longest file, bytes.
pub const MAX_FILE: usize = model::MAX_BYTES + MAX_CARD + 4 + 2 + 4 + 4 + 32 + 64;

/// A signed model.
#[derive(Clone, Debug)]
pub struct ModelFile {
    bytes: Vec<u8>,
    model: Arc<Model>,
    card: Card,
    signer: Signer,
}

impl ModelFile {
    /// Puts a file together, and signs it.
    ///
    /// # Errors
    /// When the card or the model is none that [`read`](Self::read) would take.
    pub fn write(model: &Model, card: &Card, key: &ModelKey) -> Result<Self, FileError> {
        let (model, card) = (model.encode(), serde_json::to_vec(card).map_err(|_| card_is("no JSON"))?);
        let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
        for part in [&model, &card] {
            let length = u32::try_from(part.len()).map_err(|_| FileError::TooLong)?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(part);
        }
        bytes.extend(key.signer().0);
        bytes.extend(key.sign(&bytes));
        Self::read(bytes)
    }

    /// Reads a file: its form, its signature, its model.
    ///
    /// # Errors
    /// [`FileError`] says what is wrong with it, whatever the bytes are.
    pub fn read(bytes: impl Into<Vec<u8>>) -> Result<Self, FileError> {
        let bytes = bytes.into();
        if bytes.len() > MAX_FILE {
            return Err(FileError::TooLong);
        }
        let mut rest = Rest(&bytes);
        let (model, card) = head(&mut rest)?;
        if rest.0.is_empty() {
            return Err(FileError::Unsigned);
        }
        let signer = Signer(*rest.take::<32>()?);
        let signed = &bytes[..bytes.len() - rest.0.len()];
        let signature = rest.take::<64>()?;
        if !rest.0.is_empty() {
            return Err(FileError::Surplus);
        }
        if !signer.verify(signed, signature) {
            return Err(FileError::Signature);
        }
        let card: Card = serde_json::from_slice(card).map_err(|error| FileError::Card(error.to_string()))?;
        card.check().map_err(FileError::Card)?;
        let model = Arc::new(Model::decode(model)?);
        Ok(Self { bytes, model, card, signer })
    }

    /// Reads the file at a path, and no more of it than may be.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the system refuses.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory).into());
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
        Self::read(bytes)
    }

    /// The file itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The model.
    pub const fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// What stands beside it.
    pub const fn card(&self) -> &Card {
        &self.card
    }

    /// Whose word it is.
    pub const fn signer(&self) -> Signer {
        self.signer
    }
}

/// The model's and the card's bytes.
fn head<'a>(rest: &mut Rest<'a>) -> Result<(&'a [u8], &'a [u8]), FileError> {
    let begins = rest.0.len().min(MAGIC.len());
    if rest.0[..begins] != MAGIC[..begins] {
        return Err(FileError::Other);
    }
    rest.take::<4>()?;
    let version = u16::from_le_bytes(*rest.take()?);
    if version != VERSION {
        return Err(FileError::Version(version));
    }
    let model = rest.part(model::MAX_BYTES)?;
    let card = rest.part(MAX_CARD)?;
    Ok((model, card))
}

/// What of the bytes was not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], FileError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FileError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes that stand behind their length.
    fn part(&mut self, most: usize) -> Result<&'a [u8], FileError> {
        let length = u32::from_le_bytes(*self.take()?) as usize;
        if length > most {
            return Err(FileError::TooLong);
        }
        let (part, rest) = self.0.split_at_checked(length).ok_or(FileError::Truncated)?;
        self.0 = rest;
        Ok(part)
    }
}

fn card_is(what: &str) -> FileError {
    FileError::Card(what.to_owned())
}

/// Why a model file is refused.
#[derive(Debug, Error)]
pub enum FileError {
    /// It does not begin like one.
    #[error("it is no model file; one is made by `smartfw-cli train` or `smartfw-cli model export`")]
    Other,
    /// Its layout has another version.
    #[error(
        "its layout is version {0}, and this program reads {VERSION}: make or export it with a program of this version"
    )]
    Version(u16),
    /// It ends too early.
    #[error("it is truncated: copy it again")]
    Truncated,
    /// It goes on after its end.
    #[error("it goes on after its end: copy it again")]
    Surplus,
    /// It, or a part of it, is longer than may be.
    #[error("it is longer than a model ({} MiB) and its card ({} KiB) may be", model::MAX_BYTES >> 20, MAX_CARD >> 10)]
    TooLong,
    /// Nobody signed it.
    #[error("it is not signed: whoever made it has to sign it, with `smartfw-cli train --key FILE`")]
    Unsigned,
    /// It is not what its signer signed.
    #[error("its signature is wrong: it was changed since it was signed; get it from its maker again")]
    Signature,
    /// Its card cannot be read.
    #[error("its card cannot be read: {0}")]
    Card(String),
    /// Its model is none of this program's.
    #[error("its model is refused: {0}; train it again with this version")]
    Model(#[from] ModelError),
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;
