//! The thread's work, second by second.

use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _, time::Duration};

use smartfw_core::{Agent, Health as Entry, Time, record::Lesson, sensor};
use smartfw_learn::{
    online::{Candidate, Effect, Learner, Reference, candidate},
    train::TrainOptions,
};

use super::{
    Student, compared,
    shelf::{self, Made},
};
use crate::{files, health::Matter};

/// How often people's corrections are asked for, and the state is kept: what a crash may lose.
const ROUND: Duration = Duration::from_secs(600);

/// The learner, with what it needs to be carried out.
pub(super) struct Learning {
    pub(super) student: Student,
    pub(super) learner: Learner,
    pub(super) reference: &'static Reference,
    pub(super) options: TrainOptions,
    /// The sensor's counts at the last look.
    pub(super) compared: sensor::Comparison,
    /// The last candidate, until it is in the shadow.
    pub(super) made: Option<Made>,
    /// When corrections were last asked for.
    pub(super) round: Time,
}

impl Learning {
    /// Learns from what came, and does what the learner wants.
    pub(super) fn step(&mut self, now: Time) {
        let heard = self.student.ear.take();
        if !self.student.models.names().0.is_some_and(|name| shelf::may_replace(&name)) {
            return;
        }
        heard.windows.iter().for_each(|seen| self.learner.handle_window(now, seen));
        for (source, evidence) in heard.verdicts {
            self.learner.handle_verdict(now, source, evidence);
        }
        if heard.gap {
            self.learner.handle_gap(now);
        }
        self.compare(now);
        self.learner.handle_timeout(now);
        self.obey(now);
        if now.since(self.round) >= ROUND {
            self.round = now;
            self.correct(now);
            self.keep();
            tracing::debug!(progress = %self.learner.progress(), "learning");
        }
        self.tell();
    }

    fn compare(&mut self, now: Time) {
        let (used, shadow) = self.student.models.names();
        let (in_shadow, in_use) = self.learner.on_trial();
        let gone = |on_trial: Option<Candidate>, there: &Option<String>| {
            on_trial.filter(|candidate| there.as_ref() != Some(&candidate.to_string()))
        };
        // A person chose another.
        if let Some(lost) = gone(in_shadow, &shadow).or_else(|| gone(in_use, &used)) {
            self.learner.handle_lost(now, lost);
        }
        let counts = self.student.board.comparison();
        let comparison = compared::since(&self.compared, &counts);
        self.compared = counts;
        self.learner.handle_comparison(now, &comparison);
    }

    fn correct(&mut self, now: Time) {
        let ask = |agent: &Agent, _| agent.lessons().cloned().collect::<Vec<Lesson>>();
        let lessons = self.student.inbox.ask(ask).unwrap_or_default();
        lessons.iter().for_each(|lesson| self.learner.handle_lesson(now, lesson));
    }

    fn obey(&mut self, now: Time) {
        while let Some(effect) = self.learner.poll_effect() {
            tracing::info!(what = %said(&effect), "learning");
            let models = &self.student.models;
            let (candidate, done) = match effect {
                Effect::Train(lot) => {
                    let made = candidate(&lot, self.reference, &self.options);
                    let result = made.map_err(|why| why.to_string()).map(|(model, exam)| {
                        self.made = Some(Made::new(now, &lot, model, &exam));
                        exam
                    });
                    self.learner.handle_trained(now, lot.candidate, result);
                    continue;
                }
                Effect::Shadow(candidate) => {
                    let made = self.made.take().filter(|made| made.candidate == candidate);
                    (candidate, made.map_or(Ok(()), |made| shelf::shadow(models, &made)))
                }
                Effect::Promote(candidate) => (candidate, shelf::promote(models, candidate)),
                Effect::Withdraw(candidate, _) | Effect::Confirm(candidate) => {
                    (candidate, shelf::confirm(models))
                }
                Effect::Rollback(candidate, _) => (candidate, shelf::roll_back(models)),
                Effect::Freeze(_) | Effect::Thaw => continue,
            };
            if let Err(error) = done {
                tracing::warn!(%error, %candidate, "a candidate cannot be placed");
                self.learner.handle_lost(now, candidate);
            }
        }
    }

    /// Keeps the state.
    pub(super) fn keep(&self) {
        let path = &self.student.path;
        let folder = path.parent().unwrap_or(path);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        if let Err(error) = made.and_then(|()| files::replace(path, &self.learner.save())) {
            tracing::warn!(%error, "what was learned cannot be kept");
        }
    }

    fn tell(&self) {
        let health = &self.student.health;
        let told = self.learner.health();
        for (matter, at) in [(Matter::Learning, 0), (Matter::Corrections, 1)] {
            match told.get(at) {
                Some(Entry { level, what, remedy }) => health.set(matter, *level, what, remedy),
                None => health.clear(matter),
            }
        }
    }
}

fn said(effect: &Effect) -> String {
    match effect {
        Effect::Train(lot) => format!("{} is trained on {} windows", lot.candidate, lot.rows.len()),
        Effect::Shadow(candidate) => format!("{candidate} goes into the shadow"),
        Effect::Withdraw(candidate, why) => format!("{candidate} is withdrawn: {why}"),
        Effect::Promote(candidate) => format!("{candidate} is in use"),
        Effect::Confirm(candidate) => format!("{candidate} has proven itself"),
        Effect::Rollback(candidate, why) => format!("{candidate} is rolled back: {why}"),
        Effect::Freeze(why) => format!("it stands still: {why}"),
        Effect::Thaw => "it goes on".to_owned(),
    }
}
