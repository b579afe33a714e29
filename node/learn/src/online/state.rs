//! What outlives a restart, and how it is read from a file that may be damaged.

use std::time::Duration;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use serde::{Deserialize, Serialize};
use smartfw_core::{Time, features::SCHEMA};

use crate::chance::Chance;

use super::{
    Candidate, Learner, LearningConfig, Shipped, Stage, Why, baseline::Baselines, corrections::Corrections,
    drift::Profile, quarantine::Taints, samples::Samples,
};

/// The version of the encoding.
pub(super) const FORMAT: u16 = 4;
/// More bytes than this are no state: the reservoir, the accusations and the corrections at their limits have less.
const MAX_BYTES: usize = 8 << 20;

/// Characters of the note that are kept: it may quote what a system said.
const NOTE: usize = 256;

/// All of a [`Learner`] but what waits: the quarantine and the effects.
#[derive(Serialize, Deserialize)]
struct Saved {
    chance: Chance,
    now: Time,
    hour_since: Time,
    day_since: Time,
    watched: Duration,
    taints: Taints,
    samples: Samples,
    profile: Option<Profile>,
    baselines: Baselines,
    corrections: Corrections,
    stage: Stage,
    last: Candidate,
    frozen: Option<Why>,
    note: Option<String>,
    contradicted: bool,
}

/// Why a state is not read. The learner starts empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Its encoding has another version.
    #[error("the state of learning has format {0}, and this program reads {FORMAT}; learning begins anew")]
    Format(u16),
    /// What it remembers are other features.
    #[error(
        "the state of learning is of schema {0} of the features, and this program has {SCHEMA}; learning begins anew"
    )]
    Schema(u32),
    /// It is damaged.
    #[error("the state of learning is damaged; learning begins anew")]
    Damaged,
}

impl Learner {
    /// The state, for [`Learner::restore`].
    pub fn save(&self) -> Vec<u8> {
        let saved = Saved {
            chance: self.chance.clone(),
            now: self.now,
            hour_since: self.hour_since,
            day_since: self.day_since,
            watched: self.watched,
            taints: self.taints.clone(),
            samples: self.samples.clone(),
            profile: self.profile.clone(),
            baselines: self.baselines.clone(),
            corrections: self.corrections.clone(),
            stage: self.stage.clone(),
            last: self.last,
            frozen: self.frozen.clone(),
            note: self.note.as_ref().map(|note| note.chars().take(NOTE).collect()),
            contradicted: self.contradicted,
        };
        let body = postcard::to_allocvec(&saved).unwrap_or_default();
        let sum = digest(&SHA256, &body);
        [FORMAT.to_be_bytes().as_slice(), &SCHEMA.to_be_bytes(), sum.as_ref(), &body].concat()
    }

    /// A learner as it was saved. A training that was under way is lost; [`Learner::handle_lost`] is for candidates
    /// that are no longer where the state says.
    ///
    /// # Errors
    /// [`StateError`] when there is nothing to go on with.
    pub fn restore(config: LearningConfig, shipped: Shipped, bytes: &[u8]) -> Result<Self, StateError> {
        let saved = decode(bytes)?;
        let under_way = matches!(saved.stage, Stage::Training(_));
        Ok(Self {
            chance: saved.chance,
            now: saved.now,
            hour_since: saved.hour_since,
            day_since: saved.day_since,
            watched: saved.watched,
            taints: saved.taints,
            samples: saved.samples,
            profile: saved.profile,
            baselines: saved.baselines,
            corrections: saved.corrections,
            stage: if under_way { Stage::Gathering } else { saved.stage },
            last: saved.last,
            frozen: saved.frozen,
            note: saved.note,
            // Whether corrections contradict is not known before the candidate without them is judged.
            contradicted: saved.contradicted && !under_way,
            ..Self::new(config, shipped, 0)
        })
    }

    /// The candidate in the shadow, and the one in use on probation.
    pub const fn on_trial(&self) -> (Option<Candidate>, Option<Candidate>) {
        match &self.stage {
            Stage::Shadow(_) => (self.stage.candidate(), None),
            Stage::Probation(_) => (None, self.stage.candidate()),
            Stage::Gathering | Stage::Training(_) => (None, None),
        }
    }
}

fn decode(bytes: &[u8]) -> Result<Saved, StateError> {
    let (format, rest) = bytes.split_first_chunk().ok_or(StateError::Damaged)?;
    let format = u16::from_be_bytes(*format);
    if format != FORMAT {
        return Err(StateError::Format(format));
    }
    let (schema, rest) = rest.split_first_chunk().ok_or(StateError::Damaged)?;
    let schema = u32::from_be_bytes(*schema);
    if schema != SCHEMA {
        return Err(StateError::Schema(schema));
    }
    let (sum, body) = rest.split_first_chunk::<SHA256_OUTPUT_LEN>().ok_or(StateError::Damaged)?;
    if bytes.len() > MAX_BYTES || digest(&SHA256, body).as_ref() != sum {
        return Err(StateError::Damaged);
    }
    let saved: Saved = postcard::from_bytes(body).map_err(|_| StateError::Damaged)?;
    let fits = saved.taints.fits()
        && saved.samples.fits()
        && saved.profile.as_ref().is_none_or(Profile::fits)
        && saved.baselines.fits()
        && saved.corrections.fits()
        && saved.stage.fits()
        && saved.frozen.as_ref().is_none_or(Why::fits)
        && saved.note.as_ref().is_none_or(|note| note.chars().count() <= NOTE);
    if fits { Ok(saved) } else { Err(StateError::Damaged) }
}
