//! The way of a candidate: trained, in the shadow, in use on probation.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};
use smartfw_core::IpNet;

use super::{
    CORRECTIONS, Comparison, Effect, Exam, Learner, Lot,
    corrections::{self, Correction},
    samples::ROWS,
    seen::holder,
    trial::Corrected,
};

/// How many times the shadow's time a candidate waits for enough windows to be judged by.
const PATIENCE: u32 = 7;
/// Why a candidate goes that attackers taught.
const TAUGHT: &str = "it learned from sources that were accused since";

/// The number of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Candidate(pub u64);

/// The candidate's stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// There is none.
    Gathering,
    /// It is being trained.
    Training(Trial),
    /// It runs beside the model in use.
    Shadow(Trial),
    /// It is in use, and the model before it runs beside it.
    Probation(Trial),
}

/// A candidate on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trial {
    candidate: Candidate,
    /// How long it was watched in the stage that it is in.
    watched: Duration,
    compared: Comparison,
    /// What people corrected and it learned.
    corrected: Corrected,
    /// How many of the rows that it was trained on came from whom; those who were accused since are taken out.
    given: BTreeMap<IpNet, u32>,
    /// All of its rows, and how many of them came from sources that were accused since.
    rows: u32,
    accused: u32,
}

impl Stage {
    pub(super) const fn candidate(&self) -> Option<Candidate> {
        match self {
            Self::Gathering => None,
            Self::Training(trial) | Self::Shadow(trial) | Self::Probation(trial) => Some(trial.candidate),
        }
    }

    pub(super) fn compare(&mut self, comparison: &Comparison) {
        if let Self::Shadow(trial) | Self::Probation(trial) = self {
            trial.compared.add(comparison);
        }
    }

    /// Counts what the candidate learned from the sources of a network as learned from an attacker.
    pub(super) fn distrust(&mut self, network: &IpNet) {
        if let Self::Training(trial) | Self::Shadow(trial) | Self::Probation(trial) = self {
            let (given, accused) = (&mut trial.given, &mut trial.accused);
            given.retain(|holder, rows| {
                let gone = network.contains(holder);
                *accused = accused.saturating_add(if gone { *rows } else { 0 });
                !gone
            });
        }
    }

    /// What is on trial was watched for so long again. Time in which nobody watched is no trial.
    pub(super) fn watched(&mut self, time: Duration) {
        if let Self::Shadow(trial) | Self::Probation(trial) = self {
            trial.watched = trial.watched.saturating_add(time);
        }
    }

    /// Whether the stage makes sense: what was read from a file need not.
    pub(super) fn fits(&self) -> bool {
        match self {
            Self::Gathering => true,
            Self::Training(trial) | Self::Shadow(trial) | Self::Probation(trial) => trial.fits(),
        }
    }
}

impl Trial {
    /// A hundredth of what it learned came from those who turned out to be attackers.
    const fn is_tainted(&self) -> bool {
        self.accused.saturating_mul(100) > self.rows
    }

    fn fits(&self) -> bool {
        let corrections = self.corrected.values().fold(0, |sum: u64, times| sum.saturating_add(*times));
        self.rows as usize <= ROWS && self.given.len() <= ROWS && corrections <= CORRECTIONS as u64
    }
}

impl Learner {
    /// Trains a candidate, where none is on trial and nothing speaks against it.
    pub(super) fn begin_training(&mut self) {
        if self.stage == Stage::Gathering && self.frozen.is_none() && self.profile.is_some() {
            let corrections: Vec<Correction> = self.corrections.iter().copied().collect();
            self.train(corrections);
        }
    }

    fn train(&mut self, corrections: Vec<Correction>) {
        self.last = Candidate(self.last.0.saturating_add(1));
        let rows: Vec<_> = self.samples.rows().map(|row| row.values).collect();
        let mut given = BTreeMap::new();
        self.samples.rows().for_each(|row| *given.entry(holder(row.source)).or_default() += 1);
        let trial = Trial {
            candidate: self.last,
            watched: Duration::ZERO,
            compared: Comparison::default(),
            corrected: corrections::by_class(&corrections),
            given,
            rows: rows.len() as u32,
            accused: 0,
        };
        self.stage = Stage::Training(trial);
        let seed = self.chance.next();
        self.effect(Effect::Train(Box::new(Lot { candidate: self.last, seed, rows, corrections })));
    }

    /// Puts a candidate into the shadow that is good enough on the reference set.
    pub(super) fn trained(&mut self, candidate: Candidate, result: Result<Exam, String>) {
        let Stage::Training(trial) = &self.stage else { return };
        if trial.candidate != candidate {
            return;
        }
        let trial = trial.clone();
        let corrected = !trial.corrected.is_empty();
        let exam = match result {
            Ok(exam) => exam,
            // There is no candidate that people's words could have made worse.
            Err(why) => return self.refuse(candidate, why),
        };
        match self.shipped.exam.shortfall(&exam) {
            None => {
                self.contradicted &= !corrected;
                self.stage = Stage::Shadow(trial);
                self.effect(Effect::Shadow(candidate));
            }
            // Perhaps it is what people said that makes it worse: then it does without, and they are told if it is good.
            Some(_) if corrected => {
                self.contradicted = true;
                self.train(Vec::new());
            }
            Some(why) => self.refuse(candidate, why),
        }
    }

    /// Gives up a candidate that is no better without what people said.
    fn refuse(&mut self, candidate: Candidate, why: String) {
        self.contradicted = false;
        self.give_up(candidate, why);
    }

    /// Ends what has lasted long enough.
    pub(super) fn advance_stage(&mut self) {
        let shadow = self.config.shadow;
        match self.stage.clone() {
            Stage::Gathering | Stage::Training(_) => (),
            Stage::Shadow(trial) if trial.is_tainted() => {
                self.withdraw(trial.candidate, TAUGHT.into());
            }
            Stage::Shadow(trial) if trial.watched >= shadow => self.end_shadow(trial),
            Stage::Shadow(_) => (),
            Stage::Probation(trial) => self.watch(&trial),
        }
    }

    fn end_shadow(&mut self, trial: Trial) {
        let candidate = trial.candidate;
        if !trial.compared.says_enough() {
            if trial.watched >= self.config.shadow * PATIENCE {
                self.withdraw(candidate, "too little was seen to compare it by".into());
            }
        } else if let Some(why) = trial.compared.against_shadow(&trial.corrected) {
            self.withdraw(candidate, why);
        } else if self.frozen.is_none() {
            let (watched, compared) = (Duration::ZERO, Comparison::default());
            self.stage = Stage::Probation(Trial { watched, compared, ..trial });
            self.effect(Effect::Promote(candidate));
        }
    }

    fn watch(&mut self, trial: &Trial) {
        let (candidate, shadow) = (trial.candidate, self.config.shadow);
        let taught = trial.is_tainted().then(|| TAUGHT.to_owned());
        if let Some(why) = taught.or_else(|| trial.compared.against_used(&trial.corrected)) {
            self.roll_back(candidate, why);
        } else if trial.compared.says_enough() {
            if trial.watched >= shadow {
                self.note = Some(format!("{candidate} is in use"));
                self.stage = Stage::Gathering;
                self.effect(Effect::Confirm(candidate));
            }
        } else if trial.watched >= shadow * PATIENCE {
            self.roll_back(candidate, "too little was seen to compare it by".into());
        }
    }

    fn roll_back(&mut self, candidate: Candidate, why: String) {
        self.note = Some(format!("{candidate} was rolled back: {why}"));
        self.stage = Stage::Gathering;
        self.effect(Effect::Rollback(candidate, why));
    }

    fn withdraw(&mut self, candidate: Candidate, why: String) {
        self.give_up(candidate, why.clone());
        self.effect(Effect::Withdraw(candidate, why));
    }

    fn give_up(&mut self, candidate: Candidate, why: String) {
        self.note = Some(format!("{candidate} was refused: {why}"));
        self.stage = Stage::Gathering;
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "learned-{}", self.0)
    }
}
