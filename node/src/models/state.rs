//! Which models have a place, and whose word a person vouched for: `<state>/models/state.json`.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};
use smartfw_learn::{Signer, card::is_name};

use super::{BUILT_IN, ModelsError};
use crate::files;

/// The most signers that people vouch for at imports: a fleet has one or two.
pub(super) const MAX_KEYS: usize = 64;
/// The longest file that is read, bytes: names and keys at their limits have a tenth of it.
const MAX_BYTES: u64 = 64 << 10;

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) places: Places,
    pub(super) trusted: Vec<Signer>,
}

/// Who is to judge, by name: as it was chosen, whether or not the files can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The model whose word counts.
    pub used: String,
    /// The one that judges without a say.
    pub shadow: Option<String>,
    /// The one that was in use before.
    pub previous: Option<String>,
    /// The one that learning put into the shadow or in use, and that has yet to prove itself.
    pub trial: Option<String>,
}

impl Default for Places {
    fn default() -> Self {
        Self { used: BUILT_IN.to_owned(), shadow: None, previous: None, trial: None }
    }
}

impl Places {
    /// The shadow, unless it is there for a trial: the candidate, or the model before it.
    pub(crate) fn persons_shadow(&self) -> Option<String> {
        let in_use = self.trial.as_ref() == Some(&self.used);
        let compared = if in_use { &self.previous } else { &self.trial };
        self.shadow.clone().filter(|shadow| self.trial.is_none() || Some(shadow) != compared.as_ref())
    }

    /// Whether a model has a place.
    pub(super) fn hold(&self, name: &str) -> bool {
        let Self { used, shadow, previous, trial: _ } = self;
        [Some(used), shadow.as_ref(), previous.as_ref()].into_iter().flatten().any(|placed| placed == name)
    }
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Written {
    used: String,
    shadow: Option<String>,
    previous: Option<String>,
    trial: Option<String>,
    trusted: Vec<String>,
}

impl State {
    /// Reads it; where there is none, the built-in model is used.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("cannot read {}: {error}", path.display());
        let mut text = String::new();
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(cannot)?.take(MAX_BYTES).read_to_string(&mut text).map_err(cannot)?,
        };
        let written: Written = serde_json::from_str(&text)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Self::parse(written).ok_or_else(|| format!("{} names what is none", path.display()))
    }

    fn parse(Written { used, shadow, previous, trial, trusted }: Written) -> Option<Self> {
        let right = |name: &String| is_name(name) || name == BUILT_IN;
        let named = right(&used) && shadow.iter().chain(&previous).chain(&trial).all(right);
        let trusted: Vec<Signer> = trusted.iter().map(|key| key.parse().ok()).collect::<Option<_>>()?;
        let places = Places { used, shadow, previous, trial };
        (named && trusted.len() <= MAX_KEYS).then_some(Self { places, trusted })
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), ModelsError> {
        let Self { places: Places { used, shadow, previous, trial }, trusted } = self.clone();
        let trusted = trusted.iter().map(Signer::to_string).collect();
        let text = serde_json::to_vec_pretty(&Written { used, shadow, previous, trial, trusted });
        let written = text.map_err(io::Error::from).and_then(|text| {
            let folder = path.parent().filter(|folder| fs::metadata(folder).is_err());
            folder.map_or(Ok(()), |folder| DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
            files::replace(path, &text)
        });
        written.map_err(ModelsError::io(path))
    }

    /// Vouches for one more.
    pub(super) fn trust(&mut self, signer: Signer) -> Result<(), ModelsError> {
        if self.trusted.contains(&signer) {
            return Ok(());
        }
        if self.trusted.len() >= MAX_KEYS {
            return Err(ModelsError::FullOfKeys);
        }
        self.trusted.push(signer);
        Ok(())
    }

    /// Takes a word back; `false` when it was not given.
    pub(super) fn distrust(&mut self, signer: Signer) -> bool {
        let before = self.trusted.len();
        self.trusted.retain(|trusted| *trusted != signer);
        self.trusted.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_outlives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("models/state.json");
        assert_eq!(State::read(&path), Ok(State::default()));
        let (shadow, previous) = (Some("b".to_owned()), Some(BUILT_IN.to_owned()));
        let places = Places { used: "a".into(), shadow: shadow.clone(), previous, trial: shadow };
        let state = State { places, trusted: vec![Signer([7; 32])] };
        state.write(&path).unwrap();
        assert_eq!(State::read(&path), Ok(state));
    }

    #[test]
    fn a_damaged_choice_is_refused_and_says_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let key = format!("\"{}\"", "ab".repeat(32));
        let many = vec![key.as_str(); MAX_KEYS + 1].join(",");
        let form = |used: &str, keys: &str| format!(r#"{{"used":"{used}","trusted":[{keys}]}}"#);
        let wrong = ["".into(), "[]".into(), form("../key", ""), form("a", "\"zz\""), form("a", &many)];
        for text in wrong {
            fs::write(&path, text).unwrap();
            assert!(State::read(&path).unwrap_err().contains("state.json"));
        }
        fs::write(&path, vec![0xff; 100]).unwrap();
        assert!(State::read(&path).is_err());
    }

    #[test]
    fn so_many_keys_are_believed_and_no_more() {
        let mut state = State::default();
        (0..MAX_KEYS as u8).for_each(|n| state.trust(Signer([n; 32])).unwrap());
        assert!(matches!(state.trust(Signer([255; 32])), Err(ModelsError::FullOfKeys)));
        state.trust(Signer([0; 32])).unwrap();
        assert!(state.distrust(Signer([0; 32])) && !state.distrust(Signer([0; 32])));
        state.trust(Signer([255; 32])).unwrap();
    }
}
