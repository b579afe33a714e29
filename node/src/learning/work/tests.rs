//! A candidate's way through the daemon, and what comes between.

use std::{fs, path::Path};

use smartfw_core::{BlockId, Class, Detector, Evidence};
use smartfw_learn::{
    Card,
    fixture::{card, model},
    online::{Alarms, Candidate, Comparison, LEAST_LOOKS, Seen},
};

use super::{
    super::testing::{self, HOUR, wrong},
    *,
};
use crate::{inbox::Inputs, models::BUILT_IN};

const NOW: Time = Time::from_secs(1_800_000_000);

struct Lab {
    dir: tempfile::TempDir,
    learning: Learning,
    now: Time,
    _inputs: Inputs,
}

impl Lab {
    /// With a candidate in the shadow.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (learner, candidate, now) = testing::settled(NOW);
        let (mut learning, inputs) = learning(dir.path(), learner);
        learning.made = Some(Made { candidate, model: model(), card: card(&candidate.to_string()) });
        learning.learner.handle_trained(now, candidate, Ok(testing::exam()));
        learning.obey(now);
        let lab = Self { dir, learning, now, _inputs: inputs };
        assert_eq!(lab.places(), places(BUILT_IN, Some("learned-1")));
        lab
    }

    /// With a candidate in use on probation.
    fn promoted() -> Self {
        let mut lab = Self::new();
        lab.compared(0);
        lab.pass_a_day();
        assert_eq!(
            lab.places(),
            places("learned-1", Some(BUILT_IN)),
            "{} {:?}",
            lab.learning.learner.progress(),
            wrong(&lab.learning.student.health)
        );
        lab
    }

    /// The daemon as it is after an untimely end, with this state of learning.
    fn restarted(self, learner: Option<&[u8]>) -> Self {
        let Self { dir, now, .. } = self;
        let learner = match learner {
            Some(bytes) => Learner::restore(testing::config(), testing::shipped(), bytes).unwrap(),
            None => Learner::new(testing::config(), testing::shipped(), 8),
        };
        let (mut learning, inputs) = learning(dir.path(), learner);
        learning.reconcile(now);
        Self { dir, learning, now, _inputs: inputs }
    }

    fn compared(&mut self, alarms: u64) {
        let alarms = [(Class::PortScan, Alarms { used: alarms, shadow: 0 })].into();
        let comparison = Comparison { looks: LEAST_LOOKS, alarms };
        self.learning.learner.handle_comparison(self.now, &comparison);
    }

    fn step(&mut self) {
        self.learning.step(self.now);
    }

    fn pass_a_day(&mut self) {
        for _ in 0..25 {
            self.now = self.now.after(HOUR);
            self.step();
        }
    }

    fn places(&self) -> (Option<String>, Option<String>) {
        self.learning.student.models.names()
    }

    fn on_trial(&self) -> bool {
        self.learning.learner.on_trial() != (None, None)
    }

    fn add(&self, name: &str) {
        let models = &self.learning.student.models;
        models.put(&models.sign(&model(), &Card { ..card(name) }).unwrap()).unwrap();
    }
}

fn learning(dir: &Path, learner: Learner) -> (Learning, Inputs) {
    let (student, inputs) = testing::student(dir);
    let learning = Learning {
        student,
        learner,
        reference: Reference::builtin().unwrap(),
        options: TrainOptions::default(),
        compared: sensor::Comparison::default(),
        made: None,
        round: Instant::now(),
        rested: false,
    };
    (learning, inputs)
}

fn places(used: &str, shadow: Option<&str>) -> (Option<String>, Option<String>) {
    (Some(used.to_owned()), shadow.map(str::to_owned))
}

#[test]
fn a_candidate_goes_all_its_way_and_the_state_is_kept_at_every_change() {
    let mut lab = Lab::new();
    let path = lab.learning.student.path.clone();
    let on_trial = |lab: &Lab| {
        let kept = fs::read(&path).unwrap();
        let kept = Learner::restore(testing::config(), testing::shipped(), &kept).unwrap();
        assert_eq!(kept.on_trial(), lab.learning.learner.on_trial());
        kept.on_trial()
    };
    assert_eq!(on_trial(&lab), (Some(Candidate(1)), None));
    lab.compared(0);
    lab.pass_a_day();
    assert_eq!(on_trial(&lab), (None, Some(Candidate(1))));
    lab.compared(0);
    lab.pass_a_day();
    assert_eq!(on_trial(&lab), (None, None));
    assert_eq!(lab.places(), places("learned-1", None));
    let lab = lab.restarted(None);
    assert_eq!(lab.places(), places("learned-1", None), "what has proven itself stays");
}

#[test]
fn a_candidate_that_is_far_louder_is_rolled_back() {
    let mut lab = Lab::promoted();
    lab.compared(100);
    lab.pass_a_day();
    assert_eq!((lab.places(), lab.on_trial()), (places(BUILT_IN, None), false));
}

#[test]
fn after_an_untimely_end_no_candidate_is_left_on_a_trial_that_nobody_watches() {
    let lab = Lab::new();
    let in_shadow = lab.learning.learner.save();
    assert_eq!(lab.restarted(None).places(), places(BUILT_IN, None), "the state was lost");

    let lab = Lab::promoted();
    let on_probation = lab.learning.learner.save();
    assert_eq!(lab.restarted(None).places(), places(BUILT_IN, None));

    let lab = Lab::promoted().restarted(Some(&in_shadow));
    assert_eq!((lab.places(), lab.on_trial()), (places(BUILT_IN, None), false), "it ended between two files");
    let lab = Lab::new().restarted(Some(&on_probation));
    assert_eq!((lab.places(), lab.on_trial()), (places(BUILT_IN, None), false));

    let lab = Lab::promoted().restarted(Some(&on_probation));
    assert_eq!(
        (lab.places(), lab.on_trial()),
        (places("learned-1", Some(BUILT_IN)), true),
        "the trial goes on"
    );
}

#[test]
fn a_candidate_whose_file_is_damaged_on_probation_makes_room_for_the_one_before() {
    let lab = Lab::promoted();
    let on_probation = lab.learning.learner.save();
    fs::write(lab.dir.path().join("models/learned-1.sfwm"), "rubbish").unwrap();
    let mut lab = lab.restarted(Some(&on_probation));
    assert_eq!((lab.places(), lab.on_trial()), (places(BUILT_IN, None), false));
    let before = lab.learning.learner.save();
    lab.learning.step(lab.now.after(HOUR));
    assert_ne!(lab.learning.learner.save(), before, "and learning goes on");
}

#[test]
fn another_shadow_ends_a_probation_and_never_gets_a_say() {
    let mut lab = Lab::promoted();
    lab.add("lab");
    lab.learning.student.models.shadow(Some("lab")).unwrap();
    lab.step();
    assert_eq!((lab.places(), lab.on_trial()), (places(BUILT_IN, Some("lab")), false));
}

#[test]
fn another_model_in_use_ends_a_trial_in_the_shadow() {
    let mut lab = Lab::new();
    lab.add("lab");
    let models = lab.learning.student.models.clone();
    models.use_("lab").unwrap();
    assert_eq!(lab.places(), places("lab", None), "they were compared with another");
    lab.step();
    assert!(lab.learning.rested);
    models.use_(BUILT_IN).unwrap();
    lab.step();
    assert_eq!((lab.places(), lab.on_trial()), (places(BUILT_IN, None), false));
    assert!(models.export("learned-1").is_err(), "it is forgotten");
}

#[test]
fn a_fallback_is_not_the_person_s_choice() {
    let lab = Lab::new();
    lab.add("lab");
    lab.learning.student.models.use_("lab").unwrap();
    fs::write(lab.dir.path().join("models/lab.sfwm"), "rubbish").unwrap();
    let mut lab = lab.restarted(None);
    assert_eq!(lab.places().0.as_deref(), Some(BUILT_IN));
    lab.step();
    assert!(lab.learning.rested, "the person wants lab, which they may bring back");
    assert_eq!(lab.learning.student.models.chosen().used, "lab");
}

#[test]
fn who_was_accused_while_learning_rested_is_not_clean_afterwards() {
    let mut lab = Lab::new();
    lab.add("lab");
    let models = lab.learning.student.models.clone();
    let waiting = |lab: &Lab| !lab.learning.learner.progress().contains(" 0 sources in quarantine");
    lab.learning.learner.handle_window(lab.now, &testing::seen(1));
    assert!(waiting(&lab));
    models.use_("lab").unwrap();
    lab.step();
    models.use_(BUILT_IN).unwrap();
    lab.step();
    assert!(!waiting(&lab), "{}", lab.learning.learner.progress());
}

#[test]
fn what_others_compared_while_learning_rested_is_no_trial_s() {
    let mut lab = Lab::new();
    lab.add("lab");
    lab.learning.student.models.use_("lab").unwrap();
    let mut counts = sensor::Comparison::default();
    counts.looks += 500;
    lab.learning.student.board.compare(counts);
    lab.step();
    assert_eq!(lab.learning.compared, counts);
}

#[test]
fn an_accusation_is_heard_before_the_windows_that_waited_as_long() {
    let mut lab = Lab::new();
    let (ear, accused) = (lab.learning.student.ear.clone(), testing::seen(1).source);
    ear.listen();
    lab.learning.learner.handle_window(lab.now, &testing::seen(1));
    lab.now = lab.now.after(2 * HOUR);
    let mut expected = lab.learning.learner.clone();
    expected.handle_verdict(lab.now, accused, Some(Evidence::Spoofable));
    expected.handle_timeout(lab.now);
    let report = sensor::WindowReport::new(lab.now, testing::seen(2).source, testing::seen(2).features);
    ear.window(&report);
    ear.accused(accused, Some(Evidence::Spoofable));
    lab.learning.step(lab.now);
    assert_eq!(lab.learning.learner.save(), expected.save());
}

/// What is learned where a window of a source waits for so long that it is due, and then this comes.
fn after(lab: &mut Lab, come: impl Fn(&mut Lab)) -> Vec<u8> {
    lab.learning.student.ear.listen();
    lab.learning.learner.handle_window(lab.now, &testing::seen(1));
    lab.now = lab.now.after(2 * HOUR);
    come(lab);
    lab.step();
    lab.learning.learner.save()
}

/// A suspect window of the source comes.
fn suspect(lab: &mut Lab) {
    let Seen { source, features, .. } = testing::seen(1);
    let report = sensor::WindowReport::new(lab.now, source, features);
    lab.learning.student.ear.window(&sensor::WindowReport { suspect: true, ..report });
}

#[test]
fn a_suspect_window_is_heard_before_the_windows_that_waited_as_long() {
    let clean = after(&mut Lab::new(), |_| ());
    let caught = after(&mut Lab::new(), suspect);
    assert_ne!(caught, clean, "else this test tells nothing");
    let accused = after(&mut Lab::new(), |lab| lab.learning.learner.handle_gap(lab.now));
    assert_eq!(caught, accused);
}

#[test]
fn a_suspect_window_is_heard_before_a_lost_candidate_lets_windows_out() {
    let lost = |lab: &mut Lab| {
        lab.add("lab");
        lab.learning.student.models.use_("lab").unwrap();
    };
    let clean = after(&mut Lab::new(), lost);
    let caught = after(&mut Lab::new(), |lab| {
        suspect(lab);
        lost(lab);
    });
    assert_ne!(caught, clean, "else this test tells nothing");
    let accused = after(&mut Lab::new(), |lab| {
        lab.learning.learner.handle_gap(lab.now);
        lost(lab);
    });
    assert_eq!(caught, accused);
}

#[test]
fn what_is_seen_while_learning_rests_does_not_wait() {
    let mut lab = Lab::new();
    lab.add("lab");
    lab.learning.student.models.use_("lab").unwrap();
    lab.step();
    let ear = lab.learning.student.ear.clone();
    ear.listen();
    let Seen { source, features, .. } = testing::seen(1);
    let report = sensor::WindowReport::new(lab.now, source, features);
    ear.window(&sensor::WindowReport { known: true, ..report });
    lab.step();
    assert!(lab.learning.learner.progress().contains(" 0 sources in quarantine"));
}

#[test]
fn a_candidate_without_a_place_is_told_of() {
    let mut lab = Lab::new();
    let health = lab.learning.student.health.clone();
    let in_the_way = lab.dir.path().join("models/state.json.new");
    fs::create_dir(&in_the_way).unwrap();
    lab.compared(0);
    lab.pass_a_day();
    assert!(wrong(&health).iter().any(|what| what.contains("cannot be placed")), "{:?}", wrong(&health));
    fs::remove_dir(&in_the_way).unwrap();
    lab.step();
    assert_eq!((lab.places(), wrong(&health)), (places(BUILT_IN, None), vec![]));
}

#[test]
fn contradicting_corrections_are_told_of_as_such_also_where_learning_goes_on() {
    let mut learner = Learner::new(testing::config(), testing::shipped(), 7);
    let mut now = NOW;
    let lesson = Lesson {
        id: BlockId(1),
        at: now,
        target: "203.0.113.9/32".parse().unwrap(),
        class: Class::PortScan,
        detector: Detector::Forest,
        features: Some(testing::seen(1).features),
    };
    learner.handle_lesson(now, &lesson);
    let candidate = testing::settle(&mut learner, &mut now);
    let mut worse = testing::exam();
    worse.all.macro_f1 = 0.5;
    learner.handle_trained(now, candidate, Ok(worse));
    let Some(Effect::Train(without)) = learner.poll_effect() else { panic!("none is made without them") };
    learner.handle_trained(now, without.candidate, Ok(testing::exam()));
    let dir = tempfile::tempdir().unwrap();
    let (learning, _inputs) = learning(dir.path(), learner);
    let health = learning.student.health.clone();
    learning.tell();
    assert!(wrong(&health)[0].contains("contradict"), "{:?}", wrong(&health));
    health.clear(Matter::Learning);
    assert_eq!(wrong(&health).len(), 1, "it is another matter");
    health.clear(Matter::Corrections);
    assert_eq!(wrong(&health), Vec::<String>::new());
}

#[test]
fn a_state_that_cannot_be_kept_is_told_of_until_it_can() {
    let lab = Lab::new();
    let health = lab.learning.student.health.clone();
    let in_the_way = lab.dir.path().join("models/learner.new");
    fs::create_dir(&in_the_way).unwrap();
    lab.learning.keep();
    assert!(wrong(&health)[0].contains("cannot be kept"), "{:?}", wrong(&health));
    fs::remove_dir(&in_the_way).unwrap();
    lab.learning.keep();
    assert_eq!(wrong(&health), Vec::<String>::new());
}
