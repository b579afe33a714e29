//! The thread that learns.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use smartfw_config::LearningSettings;
use smartfw_core::Time;
use smartfw_learn::{
    online::{Chosen, Exam, Learner, LearningConfig, Reference},
    train::TrainOptions,
};

use super::{Ear, priority, work::Learning};
use crate::{
    chance, clock,
    detector::Board,
    health::{Health, Level, Matter},
    inbox::Inbox,
    models::{BUILT_IN, Models},
};

/// How often it listens.
const STEP: Duration = Duration::from_secs(1);
/// A node that has just started has better to do than to examine models. What comes meanwhile waits.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything that the thread needs.
pub struct Student {
    /// What it hears.
    pub ear: Arc<Ear>,
    /// Where candidates go.
    pub models: Arc<Models>,
    /// Where the sensor shows how two models compare.
    pub board: Arc<Board>,
    /// Where people's corrections are asked for.
    pub inbox: Inbox,
    /// Where it is told how learning is.
    pub health: Arc<Health>,
    /// What was configured.
    pub settings: LearningSettings,
    /// Where its state is kept.
    pub path: PathBuf,
}

impl Student {
    /// Starts the thread. The end of the node does not wait for it: what it kept last is what it goes on with.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, ending: Arc<AtomicBool>) -> io::Result<()> {
        // Without a model there is nothing to adapt.
        if !self.settings.enabled || self.models.export(BUILT_IN).is_err() {
            return Ok(());
        }
        let work = move || {
            priority::lower();
            self.ear.listen();
            if !sleep(PATIENCE, &ending) {
                return;
            }
            let health = self.health.clone();
            match self.begin(clock::now()) {
                Ok(mut learning) => {
                    while sleep(STEP, &ending) {
                        learning.step(clock::now());
                    }
                    learning.keep();
                }
                Err(why) => {
                    let what = format!("nothing is learned: {why}");
                    health.set(Matter::Learning, Level::Info, what, "detection goes on without it");
                }
            }
        };
        thread::Builder::new().name("learning".to_owned()).spawn(work).map(drop)
    }

    /// Reads what was learned before, and examines the model that shipped.
    fn begin(self, now: Time) -> Result<Learning, String> {
        let reference = Reference::builtin().map_err(|why| why.to_string())?;
        let file = self.models.export(BUILT_IN).map_err(|why| why.to_string())?;
        let options = TrainOptions { threads: 1, ..TrainOptions::default() };
        let model = file.model().clone();
        let exam = Exam::of(&model, reference, &options).map_err(|why| why.to_string())?;
        let seed = chance::seed().map_err(|why| why.to_string())?;
        let learner = self.read(Chosen { model, exam }, seed);
        let compared = self.board.comparison();
        Ok(Learning { student: self, learner, reference, options, compared, made: None, round: now })
    }

    fn read(&self, chosen: Chosen, seed: u64) -> Learner {
        let config = LearningConfig { shadow: self.settings.shadow, ..LearningConfig::default() };
        let new = |config, chosen| Learner::new(config, chosen, seed);
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.tell_lost(&error.to_string());
                }
                return new(config, chosen);
            }
        };
        Learner::restore(config.clone(), chosen.clone(), &bytes).unwrap_or_else(|why| {
            self.tell_lost(&why.to_string());
            new(config, chosen)
        })
    }

    fn tell_lost(&self, why: &str) {
        let what = format!("what was learned is lost: {why}");
        self.health.set(
            Matter::LearningState,
            Level::Warn,
            what,
            "nothing: it is learned anew within a week",
        );
    }
}

/// Sleeps; `false` when the node ends meanwhile.
fn sleep(time: Duration, ending: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    while !ending.load(SeqCst) && Instant::now() < until {
        thread::sleep(STEP.min(until.saturating_duration_since(Instant::now())));
    }
    !ending.load(SeqCst)
}

#[cfg(test)]
mod tests {
    use smartfw_learn::{
        ModelFile, ModelKey,
        fixture::{card, model},
    };

    use super::*;
    use crate::{counters::Counters, detector::Feed, inbox};

    /// A student in a folder, and the driver's end of its inbox, which nobody reads.
    fn student(dir: &std::path::Path) -> (Student, inbox::Inputs) {
        let built_in = ModelFile::write(&model(), &card("shipped"), &ModelKey::generate().unwrap()).unwrap();
        let (counters, health) = (Arc::new(Counters::default()), Arc::<Health>::default());
        let feed = Arc::new(Feed::new(counters.clone()));
        let (inbox, inputs) = inbox::inbox(counters);
        let student = Student {
            ear: Arc::default(),
            models: Arc::new(Models::open(dir, Some(built_in), Vec::new(), feed, health.clone())),
            board: Arc::default(),
            inbox,
            health,
            settings: LearningSettings::default(),
            path: dir.join("models").join("learner"),
        };
        (student, inputs)
    }

    fn wrong(health: &Health) -> Vec<String> {
        health.list().into_iter().map(|entry| entry.what).collect()
    }

    #[test]
    fn what_was_learned_outlives_a_restart_and_a_damaged_state_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::from_secs(1_800_000_000);
        let mut learning = student(dir.path()).0.begin(now).unwrap();
        learning.step(now);
        learning.keep();
        let kept = learning.learner.save();
        let (again, _inputs) = student(dir.path());
        let (health, path) = (again.health.clone(), again.path.clone());
        assert_eq!(again.begin(now).unwrap().learner.save(), kept);
        assert_eq!(wrong(&health), Vec::<String>::new());

        fs::write(&path, &kept[..kept.len() - 1]).unwrap();
        let (again, _inputs) = student(dir.path());
        let health = again.health.clone();
        assert!(again.begin(now).is_ok());
        assert!(wrong(&health)[0].contains("damaged"), "{:?}", wrong(&health));
    }

    #[test]
    fn nothing_is_learned_while_a_model_from_elsewhere_judges() {
        let dir = tempfile::tempdir().unwrap();
        let now = Time::from_secs(1_800_000_000);
        let mut learning = student(dir.path()).0.begin(now).unwrap();
        let models = learning.student.models.clone();
        models.put(&models.sign(&model(), &card("lab")).unwrap()).unwrap();
        models.use_("lab").unwrap();
        let before = learning.learner.save();
        learning.step(now);
        assert_eq!(learning.learner.save(), before);
        models.use_(BUILT_IN).unwrap();
        learning.step(now);
        assert_ne!(learning.learner.save(), before);
    }
}
