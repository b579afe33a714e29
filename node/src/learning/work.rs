//! The thread's work, second by second.

use std::{
    fs::DirBuilder,
    mem,
    os::unix::fs::DirBuilderExt as _,
    time::{Duration, Instant},
};

use smartfw_core::{Agent, Health as Entry, Time, record::Lesson, sensor};
use smartfw_learn::{
    online::{Effect, Learner, Lot, Reference, Troubles, candidate},
    train::TrainOptions,
};

use super::{
    Student, compared,
    ear::Heard,
    shelf::{self, Made},
};
use crate::{
    files,
    health::{Level, Matter},
    models::ModelsError,
};

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
    /// When corrections were last asked for; a clock that is set back does not move it.
    pub(super) round: Instant,
    /// Learning rested at the last look, while a model from elsewhere judged.
    pub(super) rested: bool,
}

impl Learning {
    /// Learns from what came, and does what the learner wants.
    pub(super) fn step(&mut self, now: Time) {
        // Accusations and suspect windows come before whatever lets windows out of quarantine that waited as long.
        self.hear(now);
        // Before anything else can move the learner on: what it wants then is not done yet.
        self.reconcile(now);
        if !self.student.models.may_replace() {
            // What others compare meanwhile is no trial's, and nobody counts as clean afterwards.
            self.rested = true;
            self.compared = self.student.board.comparison();
            return;
        }
        if mem::take(&mut self.rested) {
            self.learner.handle_gap(now);
        }
        self.compare(now);
        self.learner.handle_timeout(now);
        self.obey(now);
        if self.round.elapsed() >= ROUND {
            self.round = Instant::now();
            self.correct(now);
            self.keep();
            tracing::debug!(progress = %self.learner.progress(), "learning");
        }
        self.tell();
    }

    fn hear(&mut self, now: Time) {
        let Heard { windows, verdicts, gap } = self.student.ear.take();
        for (source, evidence) in verdicts {
            self.learner.handle_verdict(now, source, evidence);
        }
        // Nothing is let in that would only be forgotten when learning goes on.
        let rested = self.rested;
        let windows = windows.iter().filter(|seen| seen.suspect || !rested);
        windows.for_each(|seen| self.learner.handle_window(now, seen));
        // Last, since what was lost may be about any of them.
        if gap {
            self.learner.handle_gap(now);
        }
    }

    /// Ends a trial whose candidate is not where it should be: a person chose another, its file is lost, or the process
    /// ended between two files. Unwatched, no candidate stays in use.
    pub(super) fn reconcile(&mut self, now: Time) {
        let on_trial = self.learner.on_trial();
        if shelf::is_in_place(&self.student.models, on_trial) {
            return;
        }
        if let Some(lost) = on_trial.0.or(on_trial.1) {
            self.learner.handle_lost(now, lost);
        }
        let ended = shelf::end_trial(&self.student.models);
        self.placed(ended);
    }

    fn compare(&mut self, now: Time) {
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
                    self.train(now, &lot);
                    continue;
                }
                Effect::Shadow(candidate) => {
                    let made = self.made.take().filter(|made| made.candidate == candidate);
                    (candidate, made.map_or(Ok(()), |made| shelf::shadow(models, &made)))
                }
                Effect::Promote(candidate) => (candidate, shelf::promote(models, candidate)),
                Effect::Confirm(candidate) => (candidate, shelf::confirm(models, candidate)),
                Effect::Withdraw(candidate, _) | Effect::Rollback(candidate, _) => {
                    (candidate, shelf::end_trial(models))
                }
                Effect::Freeze(_) | Effect::Thaw => continue,
            };
            if !self.placed(done) {
                self.learner.handle_lost(now, candidate);
            }
            // Whatever ends the process next, the two files tell of the same trial.
            self.keep();
        }
    }

    fn train(&mut self, now: Time, lot: &Lot) {
        // The end of the node does not wait for it.
        self.keep();
        let made = candidate(lot, self.reference, &self.options);
        let result = made.map_err(|why| why.to_string()).map(|(model, exam)| {
            self.made = Some(Made::new(now, lot, model, &exam));
            exam
        });
        self.learner.handle_trained(now, lot.candidate, result);
    }

    /// Tells whether candidates find their places. That a person chose otherwise is no trouble.
    fn placed(&self, done: Result<(), ModelsError>) -> bool {
        let health = &self.student.health;
        match &done {
            Ok(()) => health.clear(Matter::Candidate),
            Err(why @ ModelsError::Overtaken) => tracing::info!(%why, "a candidate has no place"),
            Err(why) => {
                let what = format!("a learned model cannot be placed: {why}");
                health.set(
                    Matter::Candidate,
                    Level::Warn,
                    what,
                    "see to it; the next one comes within a day",
                );
            }
        }
        done.is_ok()
    }

    /// Keeps the state.
    pub(super) fn keep(&self) {
        let Student { path, health, .. } = &self.student;
        let folder = path.parent().unwrap_or(path);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        match made.and_then(|()| files::replace(path, &self.learner.save())) {
            Ok(()) => health.clear(Matter::LearningState),
            Err(error) => {
                let what = format!("what was learned cannot be kept in {}: {error}", path.display());
                health.set(
                    Matter::LearningState,
                    Level::Warn,
                    what,
                    "see to the disk; a restart would forget it",
                );
            }
        }
    }

    fn tell(&self) {
        let health = &self.student.health;
        let Troubles { frozen, contradicted } = self.learner.troubles();
        for (matter, trouble) in [(Matter::Learning, frozen), (Matter::Corrections, contradicted)] {
            match trouble {
                Some(Entry { level, what, remedy }) => health.set(matter, level, what, remedy),
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

#[cfg(test)]
mod tests;
