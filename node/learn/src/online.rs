//! Learning on the node that cannot be taught by those it watches.
//!
//! [`Learner`] is a pure state machine: windows, accusations, corrections and time go in, and what is to be done comes
//! out. A window passes, in this order:
//!
//! ```text
//! entry       known, unsuspected, not accused within a day, benign and ordinary to the model that ships
//! quarantine  an hour in which its source stays clean; a tenth of the sources at most of one /24 or /48
//! hour        an even sample of 119 rows, a tenth of it for one /24 or /48
//! day         learned as a whole or not at all: like the node's first week, by the population stability index
//! reservoir   seven days
//! candidate   not worse on the reference set than the model that ships
//! shadow      a day beside the model in use; neither louder nor more silent
//! probation   a day in use beside the model before it, which comes back when the new one is far louder, or silent
//! ```

mod baseline;
mod config;
mod corrections;
mod drift;
mod exam;
mod health;
mod intake;
mod quarantine;
mod reference;
mod samples;
mod scores;
mod seen;
mod stages;
mod state;
#[cfg(test)]
mod testing;
mod trial;

use std::{collections::VecDeque, net::IpAddr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use smartfw_core::{Evidence, Time, features::NAMES, model::Model, record::Lesson};

use crate::chance::Chance;
use baseline::Baselines;
pub use baseline::{LEASH, SERVICES, STEP};
pub use config::LearningConfig;
use corrections::Corrections;
pub use corrections::{CORRECTIONS, Correction};
pub use drift::Drift;
use drift::Profile;
pub use exam::{Exam, ExamError, candidate};
pub use health::Troubles;
use quarantine::{Quarantine, Taints};
pub use quarantine::{SOURCES, TAINTS, WINDOWS_PER_SOURCE};
pub use reference::{REFERENCE_ROWS, Reference, sample};
use samples::Samples;
pub use samples::{DAYS, ROWS, ROWS_PER_HOUR, SHARES};
pub use scores::{Labelled, RECALL_TOLERANCE, Scores, Share, THRESHOLD_TOLERANCE, TOLERANCE};
pub use seen::{LocalService, Seen, WIDTH};
pub use stages::Candidate;
use stages::Stage;
pub use state::StateError;
pub use trial::{Alarms, Comparison, LEAST_LOOKS};

/// How often what waits is looked through.
const SWEEP: Duration = Duration::from_secs(60);
/// Between two sweeps that are farther apart nobody watched: the program did not run, or learning rested.
const UNWATCHED: Duration = Duration::from_secs(120);
/// A clock that is behind by more than this was set back; by less, it is the order of what comes from several threads.
const SET_BACK: Duration = Duration::from_secs(60);
/// Effects that wait to be taken; an input makes three at most, and the driver takes them after each.
const EFFECTS: usize = 32;

/// The state machine.
#[derive(Clone, Debug)]
pub struct Learner {
    config: LearningConfig,
    shipped: Shipped,
    chance: Chance,
    now: Time,
    swept_at: Time,
    /// Since when the hour and the day run; [`Time::ZERO`] before the first input.
    hour_since: Time,
    day_since: Time,
    /// How much of the day somebody watched.
    watched: Duration,
    quarantine: Quarantine,
    taints: Taints,
    samples: Samples,
    profile: Option<Profile>,
    baselines: Baselines,
    corrections: Corrections,
    stage: Stage,
    /// The number of the last candidate.
    last: Candidate,
    frozen: Option<Why>,
    /// What became of the last candidate or day.
    note: Option<String>,
    /// The last candidate was good enough only without what people had corrected.
    contradicted: bool,
    effects: VecDeque<Effect>,
}

/// The model that ships: what every candidate is measured against, and what looks at every window before it is learned
/// from. Nothing changes it, also no person's choice of one that was learned: losses would add up from one to the next.
#[derive(Clone, Debug)]
pub struct Shipped {
    /// The model.
    pub model: Arc<Model>,
    /// Its figures on the reference set.
    pub exam: Exam,
}

/// What is to be done. The driver takes effects until there are none, after each input.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Train a candidate; answer by [`Learner::handle_trained`], however long it takes and whatever comes of it.
    Train(Box<Lot>),
    /// Put the candidate into the shadow, and report what it says by [`Learner::handle_comparison`].
    Shadow(Candidate),
    /// Take the candidate out of the shadow, and forget it.
    Withdraw(Candidate, String),
    /// Put the candidate in use, and the model that was in use into the shadow.
    Promote(Candidate),
    /// The candidate has proven itself: nothing more is to be compared.
    Confirm(Candidate),
    /// Put the model that was in use before the candidate in use again, and nothing into the shadow.
    Rollback(Candidate, String),
    /// Learning stands still.
    Freeze(Why),
    /// Learning goes on.
    Thaw,
}

/// What a candidate is to be trained on, besides the reference set.
#[derive(Clone, Debug, PartialEq)]
pub struct Lot {
    /// Its number.
    pub candidate: Candidate,
    /// The seed of the training.
    pub seed: u64,
    /// The reservoir: windows that are held to be benign.
    pub rows: Vec<[f32; WIDTH]>,
    /// What people corrected.
    pub corrections: Vec<Correction>,
}

/// Why learning stands still. Detection goes on with the model in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Why {
    /// The last day was not like the first week.
    Drift(Drift),
    /// What is usual has gone too far from where it began: of which service (none: of the node), and which feature.
    Strayed(Option<LocalService>, usize),
    /// As many sources are accused as can be remembered.
    Accused,
}

impl Learner {
    /// A learner that knows nothing yet. `seed` must be unknown to those who send the packets.
    pub fn new(config: LearningConfig, shipped: Shipped, seed: u64) -> Self {
        Self {
            config,
            shipped,
            chance: Chance::new(seed),
            now: Time::ZERO,
            swept_at: Time::ZERO,
            hour_since: Time::ZERO,
            day_since: Time::ZERO,
            watched: Duration::ZERO,
            quarantine: Quarantine::default(),
            taints: Taints::default(),
            samples: Samples::default(),
            profile: None,
            baselines: Baselines::default(),
            corrections: Corrections::default(),
            stage: Stage::Gathering,
            last: Candidate(0),
            frozen: None,
            note: None,
            contradicted: false,
            effects: VecDeque::new(),
        }
    }

    /// Candidates up to this one were made before, which a lost state does not know: the next one comes after it.
    pub fn begin_after(&mut self, made: Candidate) {
        self.last = self.last.max(made);
    }

    /// A window was seen. Nothing is let out of quarantine before [`Learner::handle_timeout`]: of what was seen and said
    /// until now, the accusations may be told last.
    pub fn handle_window(&mut self, now: Time, seen: &Seen) {
        self.set_clock(now);
        self.admit(seen);
    }

    /// A source was accused. What it sent lately is not learned; where it is proven that the address is its own, nor is
    /// what it sent before, or anybody else in its /48. (A forged accusation must not rid the reservoir of an honest
    /// source.)
    pub fn handle_verdict(&mut self, now: Time, source: IpAddr, evidence: Option<Evidence>) {
        self.set_clock(now);
        self.accuse(source, evidence);
    }

    /// Accusations were lost on their way: nobody in quarantine is known to be clean.
    pub fn handle_gap(&mut self, now: Time) {
        self.set_clock(now);
        self.quarantine.clear();
    }

    /// A person corrected detection.
    pub fn handle_lesson(&mut self, now: Time, lesson: &Lesson) {
        self.handle_timeout(now);
        if let Some(features) = &lesson.features {
            self.corrections.insert(lesson.id, lesson.class, features);
        }
    }

    /// A training ended: with the candidate's figures on the reference set, or with the reason why there is none.
    pub fn handle_trained(&mut self, now: Time, candidate: Candidate, result: Result<Exam, String>) {
        self.handle_timeout(now);
        self.trained(candidate, result);
    }

    /// What the model in use and the one in the shadow said since the last report.
    pub fn handle_comparison(&mut self, now: Time, comparison: &Comparison) {
        self.stage.compare(comparison);
        self.handle_timeout(now);
    }

    /// The candidate is not, or no longer, where it should be: its file is lost, or a person wanted the shadow.
    pub fn handle_lost(&mut self, now: Time, candidate: Candidate) {
        if self.stage.candidate() == Some(candidate) {
            self.note = Some(format!("{candidate} was lost, or had to make room"));
            self.stage = Stage::Gathering;
        }
        self.handle_timeout(now);
    }

    /// The time has come that [`Learner::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Time) {
        self.set_clock(now);
        let since = self.now.since(self.swept_at);
        if since < SWEEP {
            return;
        }
        self.swept_at = self.now;
        if since <= UNWATCHED {
            self.watched = self.watched.saturating_add(since);
            self.stage.watched(since);
        }
        self.sweep();
        self.advance_stage();
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to come back.
    pub fn poll_timeout(&self) -> Time {
        self.swept_at.after(SWEEP)
    }

    /// Time goes on, and steps back only where the clock was set back: otherwise nothing would be learned, and nobody be
    /// forgiven, until it is again where it was.
    fn set_clock(&mut self, now: Time) {
        if self.now.since(now) > SET_BACK {
            self.set_back(now);
        }
        self.now = self.now.max(now);
        if self.day_since == Time::ZERO {
            (self.hour_since, self.day_since) = (self.now, self.now);
        }
    }

    /// Nobody knows how long anything has lasted: all begins to last now, and who waits is not known to be clean.
    fn set_back(&mut self, now: Time) {
        (self.now, self.swept_at, self.hour_since, self.day_since) = (now, now, now, now);
        self.watched = Duration::ZERO;
        self.quarantine.clear();
        self.taints.set_back(now.after(self.config.taint));
        self.baselines.set_back(now);
        self.note = Some("the clock was set back: hours and days began anew".into());
    }

    fn effect(&mut self, effect: Effect) {
        if self.effects.len() >= EFFECTS {
            self.effects.pop_front();
        }
        self.effects.push_back(effect);
    }
}

impl Why {
    /// Whether it names a feature that there is: what was read from a file need not.
    const fn fits(&self) -> bool {
        match self {
            Self::Drift(Drift { feature, .. }) | Self::Strayed(_, feature) => *feature < WIDTH,
            Self::Accused => true,
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Drift(Drift { feature, index }) => {
                write!(f, "{} is not as in the first week (stability index {index:.2})", NAMES[*feature])
            }
            Self::Strayed(None, feature) => write!(f, "{} has left its usual range", NAMES[*feature]),
            Self::Strayed(Some((protocol, port)), feature) => {
                write!(f, "{} at {port}/{protocol} has left its usual range", NAMES[*feature])
            }
            Self::Accused => write!(f, "{TAINTS} sources are accused, and no more can be remembered"),
        }
    }
}

#[cfg(test)]
mod tests;
