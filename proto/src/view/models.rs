//! What the daemon tells of its models.

use std::fmt;

/// A model that is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelRow {
    /// What it goes by.
    pub name: String,
    /// What trained it; empty where its card does not say.
    pub trainer: String,
    /// When it was made; empty where its card does not say.
    pub created: String,
    /// So many rows it was trained on.
    pub rows: Option<u64>,
    /// The mean of the classes' F1 in cross-validation.
    pub macro_f1: Option<f64>,
    /// Who signed it; `None` where the file cannot be read.
    pub signer: Option<[u8; 32]>,
    /// Why its signer is believed; `None`: it is not.
    pub voucher: Option<Voucher>,
    /// It judges.
    pub used: bool,
    /// It judges beside the one in use, without a say.
    pub shadow: bool,
    /// It judged before the one in use.
    pub previous: bool,
    /// Why it cannot be used; empty: it can.
    pub fault: String,
}

/// Why a model's signer is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The model came with the program.
    BuiltIn,
    /// The node signed it.
    Own,
    /// The configuration names the signer.
    Configured,
    /// A person said so at an import.
    Imported,
}

impl Voucher {
    /// As users and scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BuiltIn => "built_in",
            Self::Own => "own",
            Self::Configured => "configured",
            Self::Imported => "imported",
        }
    }
}

impl fmt::Display for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which models have a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelPlaces {
    /// The one that judges; `None`: rules only.
    pub used: Option<String>,
    /// The one that judges beside it.
    pub shadow: Option<String>,
    /// The one that judged before.
    pub previous: Option<String>,
}

/// How a model file shall be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelHead {
    /// What it shall go by; `None`: the name on its card.
    pub name: Option<String>,
    /// A public key whose models are believed from now on.
    pub trust: Option<[u8; 32]>,
}

/// A piece of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportModelPiece {
    /// The first.
    Head(ModelHead),
    /// The file's next bytes.
    Data(Vec<u8>),
}

/// A model that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelImported {
    /// What it goes by.
    pub name: String,
    /// Who signed it.
    pub signer: [u8; 32],
    /// Why they are believed.
    pub voucher: Option<Voucher>,
}
