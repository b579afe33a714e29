//! The models of this node: which are kept, which one judges, whose word is believed.
//!
//! A model can never keep the daemon from starting: what cannot be read or is signed by a stranger is told of in the
//! health list, and the model that came with the program judges instead.

mod error;
mod folder;
mod keeping;
mod placing;
mod state;
mod trust;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use smartfw_core::{model::Model, sensor};
use smartfw_learn::{ModelFile, ModelKey, Signer};
use smartfw_proto::view::Voucher;

use crate::{
    detector::Feed,
    health::{Health, Level, Matter},
};
pub use error::ModelsError;
use folder::Folder;
pub use folder::MAX_MODELS;
pub use state::Places;
use state::{MAX_KEYS, State};

/// The name of the model that came with the program.
pub const BUILT_IN: &str = "builtin";
/// What the name of a model begins with that was learned here.
const LEARNED: &str = "learned-";
/// Where a model can be named: the one that judged before.
const PREVIOUS: &str = "previous";

/// The models.
#[derive(Debug)]
pub struct Models {
    folder: Folder,
    built_in: Option<ModelFile>,
    feed: Arc<Feed>,
    health: Arc<Health>,
    /// Held while files are read and written.
    kept: Mutex<Kept>,
    /// What the sensor was told; never held for long.
    judging: Mutex<Judging>,
}

#[derive(Debug)]
struct Kept {
    state: State,
    /// Signers that the configuration names.
    configured: Vec<Signer>,
    /// This node's own key, once there is one.
    key: Option<ModelKey>,
}

/// Who judges now, by name.
#[derive(Clone, Debug, Default)]
struct Judging {
    used: Option<Named>,
    shadow: Option<Named>,
}

#[derive(Clone, Debug)]
struct Named {
    name: String,
    model: Arc<Model>,
    signer: Signer,
    voucher: Voucher,
}

impl Models {
    /// The models in the state folder; the sensor is told which of them judge.
    pub fn open(
        state_dir: &Path,
        built_in: Option<ModelFile>,
        configured: Vec<Signer>,
        feed: Arc<Feed>,
        health: Arc<Health>,
    ) -> Self {
        let folder = Folder::new(state_dir.join("models"));
        let state = State::read(&folder.state()).unwrap_or_else(|why| {
            let what = format!("which model to use is forgotten: {why}; the built-in one judges");
            health.set(Matter::Model, Level::Warn, what, "choose one: smartfw-cli model use NAME");
            State::default()
        });
        let key = folder.own_key().unwrap_or_else(|why| {
            health.set(Matter::ModelKey, Level::Warn, why.to_string(), "see to it, then restart the node");
            None
        });
        let kept = Mutex::new(Kept { state, configured, key });
        let models = Self { folder, built_in, feed, health, kept, judging: Mutex::default() };
        models.begin(&models.kept());
        models
    }

    /// Who judges, for a sensor that begins.
    pub fn judges(&self) -> sensor::Models {
        let judging = self.judging();
        let model = |named: &Option<Named>| named.as_ref().map(|named| named.model.clone());
        sensor::Models { used: model(&judging.used), shadow: model(&judging.shadow) }
    }

    /// The name of the model in use, and of its shadow.
    pub fn names(&self) -> (Option<String>, Option<String>) {
        let judging = self.judging();
        let name = |named: &Option<Named>| named.as_ref().map(|named| named.name.clone());
        (name(&judging.used), name(&judging.shadow))
    }

    /// What stands in the way of the stored choice is told, and what came with the program judges.
    fn begin(&self, kept: &Kept) {
        let chosen = &kept.state.places;
        let used = self.load(kept, &chosen.used).or_else(|why| {
            let there = if self.built_in.is_some() { "the built-in one judges" } else { "only rules judge" };
            if chosen.used != BUILT_IN {
                let what = format!("{why}; {there} instead");
                let remedy = "bring it back and restart, or choose another: smartfw-cli model use NAME";
                self.health.set(Matter::Model, Level::Warn, what, remedy);
            }
            self.load(kept, BUILT_IN)
        });
        let shadow = chosen.shadow.as_ref().map(|name| self.load(kept, name)).transpose();
        let shadow = shadow.unwrap_or_else(|why| {
            let what = format!("no model judges in the shadow: {why}");
            self.health.set(Matter::ShadowModel, Level::Warn, what, "smartfw-cli model shadow NAME, or none");
            None
        });
        *self.judging() = Judging { used: used.ok(), shadow };
        self.feed.models(self.judges());
    }

    fn load(&self, kept: &Kept, name: &str) -> Result<Named, ModelsError> {
        let file = self.read(name)?;
        match self.voucher(kept, file.signer()) {
            Some(voucher) => Ok(Named {
                name: name.to_owned(),
                model: file.model().clone(),
                signer: file.signer(),
                voucher,
            }),
            None => Err(ModelsError::Stranger { name: name.to_owned(), signer: file.signer() }),
        }
    }

    fn read(&self, name: &str) -> Result<ModelFile, ModelsError> {
        if name == BUILT_IN {
            return self.built_in.clone().ok_or(ModelsError::NoBuiltIn);
        }
        self.folder.read(name)
    }

    fn voucher(&self, kept: &Kept, signer: Signer) -> Option<Voucher> {
        let of = |file: &ModelFile| file.signer() == signer;
        if self.built_in.as_ref().is_some_and(of) {
            Some(Voucher::BuiltIn)
        } else if kept.key.as_ref().is_some_and(|key| key.signer() == signer) {
            Some(Voucher::Own)
        } else if kept.configured.contains(&signer) {
            Some(Voucher::Configured)
        } else {
            kept.state.trusted.contains(&signer).then_some(Voucher::Imported)
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judging(&self) -> MutexGuard<'_, Judging> {
        self.judging.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
