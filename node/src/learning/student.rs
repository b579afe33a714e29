//! The thread that learns.

use std::{
    any::Any,
    fs, io,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smartfw_config::LearningSettings;
use smartfw_core::Time;
use smartfw_learn::{
    online::{Candidate, Exam, Learner, LearningConfig, Reference, Shipped},
    train::TrainOptions,
};

use super::{Ear, priority, shelf, work::Learning};
use crate::{
    chance, clock,
    detector::Board,
    health::{Health, Level, Matter},
    inbox::Inbox,
    models::{BUILT_IN, Models},
};

/// How often it listens.
const STEP: Duration = Duration::from_secs(1);
/// How soon it notices that the node ends.
const NOTICE: Duration = Duration::from_millis(100);
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
    /// Starts the thread, where there is something to learn.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, ending: Arc<AtomicBool>) -> io::Result<Option<JoinHandle<()>>> {
        // Without a model there is nothing to adapt.
        if !self.settings.enabled || self.models.export(BUILT_IN).is_err() {
            end_trial(&self.models);
            return Ok(None);
        }
        let (models, health) = (self.models.clone(), self.health.clone());
        let work = move || watched(&models, &health, || self.learn(&ending));
        thread::Builder::new().name("learning".to_owned()).spawn(work).map(Some)
    }

    fn learn(self, ending: &AtomicBool) -> Result<(), String> {
        priority::lower();
        self.ear.listen();
        if !sleep(PATIENCE, ending) {
            return Ok(());
        }
        let mut learning = self.begin(clock::now())?;
        while sleep(STEP, ending) {
            learning.step(clock::now());
        }
        learning.keep();
        Ok(())
    }

    /// Reads what was learned before, and examines the model that shipped.
    fn begin(self, now: Time) -> Result<Learning, String> {
        let reference = Reference::builtin().map_err(|why| why.to_string())?;
        let file = self.models.export(BUILT_IN).map_err(|why| why.to_string())?;
        let options = TrainOptions { threads: 1, ..TrainOptions::default() };
        let model = file.model().clone();
        let exam = Exam::of(&model, reference, &options).map_err(|why| why.to_string())?;
        let seed = chance::seed().map_err(|why| why.to_string())?;
        let mut learner = self.read(Shipped { model, exam }, seed);
        // What a lost state made is still there, and no other takes its name.
        learner.begin_after(Candidate(self.models.last_learned().map_err(|why| why.to_string())?));
        let compared = self.board.comparison();
        let mut learning = Learning {
            student: self,
            learner,
            reference,
            options,
            compared,
            made: None,
            round: Instant::now(),
            rested: false,
        };
        learning.reconcile(now);
        Ok(learning)
    }

    fn read(&self, shipped: Shipped, seed: u64) -> Learner {
        let config = LearningConfig { shadow: self.settings.shadow, ..LearningConfig::default() };
        let new = |config, shipped| Learner::new(config, shipped, seed);
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.tell_lost(&error.to_string());
                }
                return new(config, shipped);
            }
        };
        Learner::restore(config.clone(), shipped.clone(), &bytes).unwrap_or_else(|why| {
            self.tell_lost(&why.to_string());
            new(config, shipped)
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

/// Whatever ends it is told.
fn watched(models: &Models, health: &Health, work: impl FnOnce() -> Result<(), String>) {
    let why = match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return,
        Ok(Err(why)) => why,
        Err(panic) => format!("learning failed: {}", message(&*panic)),
    };
    let remedy = "detection goes on without it; a restart begins again";
    health.set(Matter::Learning, Level::Warn, format!("nothing is learned: {why}"), remedy);
    end_trial(models);
}

/// Where nobody watches, no candidate stays on trial.
fn end_trial(models: &Models) {
    if let Err(error) = shelf::end_trial(models) {
        tracing::warn!(%error, "a learned model stays where it was on trial");
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "for no known reason".to_owned())
}

/// Sleeps; `false` when the node ends meanwhile, which is noticed soon.
fn sleep(time: Duration, ending: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    while !ending.load(SeqCst) && Instant::now() < until {
        thread::sleep(NOTICE.min(until.saturating_duration_since(Instant::now())));
    }
    !ending.load(SeqCst)
}

#[cfg(test)]
mod tests {
    use smartfw_learn::fixture::{card, model};

    use super::{
        super::testing::{settle, student, wrong},
        *,
    };
    use crate::models::Places;

    #[test]
    fn what_was_learned_outlives_a_restart_and_a_damaged_or_older_state_is_told_of() {
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

        fs::write(&path, [&[0, 2], &kept[2..]].concat()).unwrap();
        let (again, _inputs) = student(dir.path());
        let health = again.health.clone();
        assert!(again.begin(now).is_ok());
        assert!(wrong(&health)[0].contains("format 2"), "{:?}", wrong(&health));
    }

    #[test]
    fn after_a_lost_state_candidates_get_names_that_are_free() {
        let dir = tempfile::tempdir().unwrap();
        let models = super::super::testing::models(dir.path(), Arc::default());
        for name in ["learned-7", "learned-10", "learned-x", "learned-99999999999999999999"] {
            models.put(&models.sign(&model(), &card(name)).unwrap()).unwrap();
        }
        let mut now = Time::from_secs(1_800_000_000);
        let (student, _inputs) = student(dir.path());
        let mut learner = student.begin(now).unwrap().learner;
        assert_eq!(settle(&mut learner, &mut now), Candidate(11));
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

    #[test]
    fn an_end_in_the_middle_of_learning_is_told_of_and_leaves_nobody_on_trial() {
        let dir = tempfile::tempdir().unwrap();
        let (student, _inputs) = student(dir.path());
        let Student { models, health, .. } = student;
        for (work, why) in [
            (
                Box::new(|| -> Result<(), String> { panic!("no tree grows") })
                    as Box<dyn FnOnce() -> Result<(), String>>,
                "no tree grows",
            ),
            (Box::new(|| Err("nothing to learn by".to_owned())), "nothing to learn by"),
        ] {
            let name = models.put(&models.sign(&model(), &card("learned-1")).unwrap()).unwrap();
            let trial = |chosen: &Places| {
                Ok(Places { shadow: Some(name.clone()), trial: Some(name.clone()), ..chosen.clone() })
            };
            models.arrange(trial).unwrap();
            watched(&models, &health, work);
            assert!(wrong(&health)[0].contains(why), "{:?}", wrong(&health));
            assert_eq!(models.names(), (Some(BUILT_IN.to_owned()), None));
        }
        health.clear(Matter::Learning);
        watched(&models, &health, || Ok(()));
        assert_eq!(wrong(&health), Vec::<String>::new());
    }

    #[test]
    fn the_end_of_the_node_is_noticed_soon() {
        let ending = AtomicBool::new(false);
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| assert!(!sleep(PATIENCE, &ending)));
            ending.store(true, SeqCst);
        });
        assert!(begun.elapsed() < STEP);
    }
}
