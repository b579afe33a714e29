//! A node that learns: the learner, its models, and the sensor's part as far as it matters here.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use smartfw_core::{Class, Evidence, Time, model::Model};
use smartfw_learn::{
    forest::ForestOptions,
    online::{
        Candidate, Comparison, Effect, Exam, Labelled, Learner, LearningConfig, Reference, Scores, Seen,
        Shipped, WIDTH, candidate,
    },
    train::{TrainOptions, fit, fit_isolation},
};

use crate::{
    attacks::Attack,
    town::{Chance, STEP, STEPS, Town},
};

/// The probability from which the forest's word counts, as in the configuration.
const CONFIDENCE: f32 = 0.9;
/// In so many consecutive looks the forest's word has to be the same, as in the configuration.
const PERSISTENCE: u32 = 3;
/// Windows that a learner who believes everything would learn from: the last week's.
const BELIEVED: usize = 20_000;

#[derive(Clone)]
pub(crate) struct Node {
    learner: Learner,
    pub(crate) town: Town,
    pub(crate) chance: Chance,
    now: Time,
    step: u64,
    pub(crate) used: Arc<Model>,
    before: Option<Arc<Model>>,
    shadow: Option<Arc<Model>>,
    made: Option<(Candidate, Arc<Model>)>,
    promoted: u32,
    /// What was said last of each source, and how often on end.
    streaks: BTreeMap<IpAddr, (Option<Class>, u32)>,
    /// What somebody who believes everything would have learned from.
    pub(crate) believed: VecDeque<[f32; WIDTH]>,
    pub(crate) lies: Vec<[f32; WIDTH]>,
}

/// Few trees, so that a week takes seconds; all else is as it runs.
pub(crate) fn options() -> TrainOptions {
    TrainOptions {
        forest: ForestOptions { trees: 24, ..ForestOptions::default() },
        ..TrainOptions::default()
    }
}

impl Node {
    pub(crate) fn new() -> Self {
        let reference = Reference::builtin().unwrap();
        let forest = fit(reference.table(), &options(), 1, &mut |_| ()).unwrap();
        let isolation = fit_isolation(reference.table(), &options()).unwrap();
        let model = Arc::new(Model::new(forest, isolation).unwrap());
        let exam = Exam::of(&model, reference, &options()).unwrap();
        let shipped = Shipped { model: Arc::clone(&model), exam };
        Self {
            learner: Learner::new(LearningConfig::default(), shipped, 7),
            town: Town::new(reference),
            chance: Chance(7),
            now: Time::from_secs(1_800_000_000),
            step: 0,
            used: model,
            before: None,
            shadow: None,
            made: None,
            promoted: 0,
            streaks: BTreeMap::new(),
            believed: VecDeque::new(),
            lies: Vec::new(),
        }
    }

    /// Lets a week pass with the town's traffic and the attack's.
    pub(crate) fn week(&mut self, attack: Attack) {
        for step in 0..7 * STEPS {
            for lesson in attack.lessons(self, step) {
                self.lies.extend(lesson.features.iter().map(|features| features.to_array()));
                self.learner.handle_lesson(self.now, &lesson);
            }
            let mut seen = self.town.clone().step(self.step, &mut self.chance);
            seen.extend(attack.windows(self, step));
            self.see(&seen);
            self.step += 1;
            for _ in 0..STEP / 60 {
                self.now = self.now.after(std::time::Duration::from_secs(60));
                self.learner.handle_timeout(self.now);
                self.obey();
            }
        }
    }

    /// What the sensor does with windows: it has them judged, accuses, compares, and reports.
    fn see(&mut self, seen: &[Seen]) {
        let mut comparison = Comparison::default();
        for seen in seen {
            let values = seen.features.to_array();
            let word = word(&self.used, &values);
            if let Some(shadow) = &self.shadow {
                let other = self::word(shadow, &values);
                comparison.looks += 1;
                if word != other {
                    word.iter().for_each(|class| comparison.alarms.entry(*class).or_default().used += 1);
                    other.iter().for_each(|class| comparison.alarms.entry(*class).or_default().shadow += 1);
                }
            }
            let accused = word.filter(|_| self.persists(seen.source, word));
            if let Some(class) = accused {
                self.learner.handle_verdict(self.now, seen.source, Some(evidence(class)));
            }
            self.learner.handle_window(self.now, &Seen { suspect: accused.is_some(), ..*seen });
            self.believed.push_back(values);
        }
        let surplus = self.believed.len().saturating_sub(BELIEVED);
        self.believed.drain(..surplus);
        self.learner.handle_comparison(self.now, &comparison);
    }

    /// Whether the same was said of the source often enough; a look is a window here.
    fn persists(&mut self, source: IpAddr, word: Option<Class>) -> bool {
        let streak = self.streaks.entry(source).or_insert((word, 0));
        *streak = (word, if streak.0 == word { streak.1 + 1 } else { 1 });
        streak.1 >= PERSISTENCE
    }

    fn obey(&mut self) {
        while let Some(effect) = self.learner.poll_effect() {
            match effect {
                Effect::Train(lot) => {
                    let (model, exam) = candidate(&lot, Reference::builtin().unwrap(), &options()).unwrap();
                    self.made = Some((lot.candidate, Arc::new(model)));
                    self.learner.handle_trained(self.now, lot.candidate, Ok(exam));
                }
                Effect::Shadow(candidate) => {
                    self.shadow =
                        self.made.clone().filter(|(made, _)| *made == candidate).map(|(_, model)| model);
                }
                Effect::Promote(_) => {
                    let next = self.shadow.take().expect("what is promoted is in the shadow");
                    self.shadow = Some(Arc::clone(&self.used));
                    self.before = Some(std::mem::replace(&mut self.used, next));
                    self.promoted += 1;
                }
                Effect::Rollback(..) => {
                    self.used = self.before.take().expect("what was in use is kept");
                    self.shadow = None;
                }
                Effect::Withdraw(..) | Effect::Confirm(_) => self.shadow = None,
                Effect::Freeze(_) | Effect::Thaw => (),
            }
        }
    }

    pub(crate) const fn promoted(&self) -> u32 {
        self.promoted
    }

    pub(crate) fn progress(&self) -> String {
        let frozen = self.learner.troubles().frozen.map(|health| health.what);
        format!("{} promoted; {}; {frozen:?}", self.promoted, self.learner.progress())
    }

    /// How good the model in use is: on the attacks of the reference set, and on what honest clients do here.
    pub(crate) fn figures(&self) -> Scores {
        figures_of(&self.used, &self.town)
    }
}

pub(crate) fn figures_of(model: &Model, town: &Town) -> Scores {
    let table = Reference::builtin().unwrap().table();
    let attacks = (0..table.len()).map(|at| table.row(at)).filter(|row| row.class != "benign");
    let mut rows: Vec<Labelled> = attacks
        .map(|row| Labelled {
            values: row.values.try_into().unwrap(),
            class: Some(row.class.parse().unwrap()),
        })
        .collect();
    let mut chance = Chance(99);
    rows.extend((0..2000).map(|_| Labelled { values: town.window(&mut chance), class: None }));
    Scores::of([(model, rows.as_slice())])
}

/// What the forest's word proves at best, as the sensor has it: offences that need completed connections are the source's
/// own, and the packets of all others may be forged.
fn evidence(class: Class) -> Evidence {
    match class {
        Class::BruteForce | Class::SlowDos | Class::HttpFlood => Evidence::Handshake,
        _ => Evidence::Spoofable,
    }
}

/// The class that a model names.
pub(crate) fn word(model: &Model, values: &[f32; WIDTH]) -> Option<Class> {
    let (class, probability) = likeliest_attack(model, values);
    class.filter(|_| probability >= CONFIDENCE)
}

/// The likeliest attack, and how likely.
pub(crate) fn likeliest_attack(model: &Model, values: &[f32; WIDTH]) -> (Option<Class>, f32) {
    let mut probabilities = vec![0.0; model.classes().len()];
    model.forest().probabilities(values, &mut probabilities);
    let attacks = model.classes().iter().copied().zip(probabilities).filter(|(class, _)| class.is_some());
    attacks.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((None, 0.0))
}
