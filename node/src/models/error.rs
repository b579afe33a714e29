//! Why a model is not kept, or does not judge.

use std::{io, path::PathBuf};

use smartfw_learn::{FileError, KeyError, Signer, card::NAME_IS};
use thiserror::Error;

use super::{MAX_KEYS, MAX_MODELS};

/// Why something was not done with a model; nothing has changed.
#[derive(Debug, Error)]
pub enum ModelsError {
    /// There is none of this name.
    #[error("there is no model `{0}`: look with `smartfw-cli model list`")]
    NoSuch(String),
    /// There is another one of this name.
    #[error("there is another model `{0}`: give this one another name (--name), or remove the other")]
    Exists(String),
    /// The name is none.
    #[error("`{0}` is no name of a model: it has {NAME_IS}")]
    Name(String),
    /// As many as may be are kept.
    #[error("{MAX_MODELS} models are kept, and no more: smartfw-cli model remove NAME")]
    Full,
    /// As many keys as may be are believed.
    #[error("{MAX_KEYS} keys are believed, and no more: smartfw-cli model distrust KEY takes one back")]
    FullOfKeys,
    /// It is in use, the shadow, or what would be gone back to.
    #[error("the model `{0}` has a place (in use, shadow, or previous): give that to another first")]
    Placed(String),
    /// It is in use already.
    #[error("the model `{0}` is in use: a shadow is another one")]
    Judges(String),
    /// Another one is in the shadow.
    #[error("`{0}` judges in the shadow: smartfw-cli model shadow none makes room")]
    ShadowTaken(String),
    /// A person chose otherwise meanwhile.
    #[error("another model was chosen meanwhile: nothing is to be done")]
    Overtaken,
    /// Nobody vouches for its signer.
    #[error(
        "the model `{name}` is signed by {signer}, whom nobody vouches for: if you know that key, import it with --trust {signer}"
    )]
    Stranger {
        /// The model.
        name: String,
        /// Who signed it.
        signer: Signer,
    },
    /// Nobody vouched for the key at an import.
    #[error("{0} is none of the keys that were believed at an import: look with `smartfw-cli model list`")]
    NotTrusted(Signer),
    /// The configuration vouches for the key.
    #[error("{0} is named in [models] trusted_keys: take it out there, then `smartfw-cli reload`")]
    Configured(Signer),
    /// A model of the key judges.
    #[error(
        "the model `{0}` is signed by that key, and judges: choose another first (smartfw-cli model use, shadow)"
    )]
    StillJudges(String),
    /// It is not signed by whom the person named.
    #[error("it is signed by {signer}, not by {trust}: ask its maker which key is theirs")]
    OtherKey {
        /// Who signed it.
        signer: Signer,
        /// Who was named.
        trust: Signer,
    },
    /// No model was in use before.
    #[error("no model was in use before this one: look with `smartfw-cli model list`")]
    NoPrevious,
    /// The program has none.
    #[error("this program came without a model: look with `smartfw-cli model list`")]
    NoBuiltIn,
    /// Its file is refused.
    #[error("the model `{name}` is refused: {source}")]
    File {
        /// The model.
        name: String,
        /// Why.
        source: FileError,
    },
    /// What came is no model.
    #[error("{0}")]
    NoModel(FileError),
    /// The node's own key cannot be used.
    #[error("{0}")]
    Key(#[from] KeyError),
    /// The system refused.
    #[error("cannot use {path}: {source}; see to the disk and to the folder's owner, then try again")]
    Io {
        /// What.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

impl ModelsError {
    /// The system refused to do something with `path`.
    pub(super) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}
