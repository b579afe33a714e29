//! Models over windows: once a second and source, where the window says enough and no rule has said it all.

mod comparison;
mod judges;
mod streak;
mod words;

use alloc::sync::Arc;
use core::time::Duration;

use super::{
    Sensor,
    rules::Finding,
    sighting::Sighting,
    source::{FAILURES_HALF_LIFE, Source, within},
    window::BUCKETS,
};
use crate::{
    Class, Detector, Evidence, Features, Time, Verdict,
    model::{Model, Opinion},
};
pub use comparison::Comparison;
pub(super) use judges::Judges;
pub(super) use streak::Streak;

/// The models that judge windows.
#[derive(Clone, Debug, Default)]
pub struct Models {
    /// The one whose word counts.
    pub used: Option<Arc<Model>>,
    /// One that judges the same windows, and whose word is only compared.
    pub shadow: Option<Arc<Model>>,
}

/// Windows judged within a second, at most. Judging one costs as much as thirty packets: who sends from ten thousand
/// addresses must not make us spend a processor on it. Sources that anybody could have forged get half of it, and so do
/// those of a network that has had its share.
pub(super) const MAX_LOOKS: u32 = 4096;
/// A source's window is looked at once in this time.
pub(super) const LOOK: Duration = Duration::from_secs(1);
/// A verdict of a rule speaks for the window that it was given in.
const WINDOW: Duration = Duration::from_secs(BUCKETS as u64);
/// A source is reported as strange once in this time: who is odd stays odd.
pub(super) const ODD: Duration = Duration::from_secs(3600);

impl Sensor {
    /// Other models judge from now on. The comparison begins anew where one of the two is another.
    pub fn set_models(&mut self, models: Models) {
        self.judges.set_models(models);
    }

    /// How the shadow's word compares with that of the model in use, since these two judge.
    pub fn comparison(&self) -> Comparison {
        self.judges.comparison
    }

    /// Has the window judged, and acts on what is said.
    pub(super) fn judge(&mut self, seen: &Sighting, features: &Features) -> Option<Opinion> {
        let now = seen.now;
        let proven = self.is_proven(seen);
        let source = self.source_of(seen)?;
        if is_settled(source, now, proven) || !source.says_enough() || !self.judges.any() {
            return None;
        }
        if !self.judges.admit(now, seen.remote, proven) {
            self.stats.looks_skipped += 1;
            return None;
        }
        self.stats.looks += 1;
        let (opinion, vote) = self.judges.judge(features)?;
        let enough = self.persists(seen, vote);
        match vote.filter(|_| enough) {
            None => {}
            Some(Class::Anomaly) => self.report_strange(seen, features, &opinion),
            Some(class) => self.accuse_by_forest(seen, features, class, &opinion),
        }
        Some(opinion)
    }

    pub(super) fn is_proven(&self, seen: &Sighting) -> bool {
        self.proven.get(seen.hash, &seen.remote).is_some()
    }

    /// Whether the same was said often enough.
    fn persists(&mut self, seen: &Sighting, vote: Option<Class>) -> bool {
        let enough = self.judges.rules.persistence;
        self.source_of(seen).is_some_and(|source| source.streak.add(seen.now, vote) >= enough)
    }

    fn accuse_by_forest(&mut self, seen: &Sighting, features: &Features, class: Class, opinion: &Opinion) {
        let evidence = Some(self.evidence(seen, features, class));
        let Some(model) = self.judges.models.used.clone() else { return };
        let Some(source) = self.source_of(seen) else { return };
        if source.ruled(seen.now, WINDOW).any(|(said, proof)| said == class && proof >= evidence) {
            return;
        }
        source.named_at = seen.now;
        let finding = Finding {
            class,
            rule: "model.forest",
            evidence,
            measured: opinion.probability.into(),
            limit: f64::from(self.judges.rules.confidence) / 100.0,
            text: words::attack(&model, features, class, opinion),
        };
        self.stats.forest_verdicts += 1;
        let verdict = self.verdict(seen.remote, finding);
        self.report(Verdict { detector: Detector::Forest, confidence: opinion.probability, ..verdict });
    }

    /// Proven are offences that need completed connections, and only where nearly all of the window belongs to such, and
    /// half of the rule was done over them: what is forged in the name of somebody proven does not.
    fn evidence(&mut self, seen: &Sighting, features: &Features, class: Class) -> Evidence {
        if !self.is_proven(seen) {
            return Evidence::Spoofable;
        }
        let Some(source) = self.source_of(seen) else { return Evidence::Spoofable };
        let total = source.window.total();
        let own = Features {
            failed_logins: source.proven_failures.read(seen.now, FAILURES_HALF_LIFE),
            requests_per_second: total.proven_requests as f32 / BUCKETS as f32,
            ..*features
        };
        let genuine = u64::from(total.proven) * 10 >= u64::from(total.packets) * 9;
        if genuine && self.is_half_a_rule(&own, class) { Evidence::Handshake } else { Evidence::Spoofable }
    }

    /// Whether there is half of what the rule of the class would want, of a class that needs connections. A model may
    /// be surer than the rule, but a client of a kind that no training knew is not blocked for what it never did.
    pub(super) fn is_half_a_rule(&self, features: &Features, class: Class) -> bool {
        let (measured, limit) = match class {
            Class::BruteForce => (features.failed_logins, self.rules.brute_force.failures),
            Class::SlowDos => (features.unfinished_requests, self.rules.slow_dos.connections),
            Class::HttpFlood => {
                let open = features.open_connections * 2.0 >= self.rules.http_flood.connections as f32;
                (if open { features.requests_per_second * 10.0 } else { 0.0 }, self.rules.http_flood.requests)
            }
            _ => return false,
        };
        measured * 2.0 >= limit as f32
    }

    /// What is strange is told to a person, seldom: of those who did honest work only what is far from everything.
    fn report_strange(&mut self, seen: &Sighting, features: &Features, opinion: &Opinion) {
        let Some(model) = self.judges.models.used.clone() else { return };
        let limit = model.isolation().threshold();
        let known = self.acquaintances.is_known(&self.keyed, seen.now, seen.remote);
        let far = limit + (1.0 - limit) / 2.0;
        let Some(source) = self.source_of(seen) else { return };
        if known && opinion.anomaly < far {
            return;
        }
        source.strange_at = seen.now;
        let named = source.ruled(seen.now, WINDOW).next().is_some();
        if named || within(source.told_at, seen.now, ODD) {
            return;
        }
        if !self.judges.admit_strange(seen.now) {
            self.stats.anomalies_unreported += 1;
            return;
        }
        if let Some(source) = self.source_of(seen) {
            source.told_at = seen.now;
        }
        let finding = Finding {
            class: Class::Anomaly,
            rule: "model.isolation",
            evidence: Some(Evidence::Spoofable),
            measured: opinion.anomaly.into(),
            limit: limit.into(),
            text: words::strange(&model, features),
        };
        self.stats.isolation_verdicts += 1;
        let verdict = self.verdict(seen.remote, finding);
        self.report(Verdict { detector: Detector::Isolation, confidence: opinion.anomaly, ..verdict });
    }
}

/// Whether no model has anything to add to what the rules said within the window: an offence is proven already, or the
/// address is not, so that a model could only report it as the rule did. Where the address is proven and the offence
/// may be forged they go on: else whoever is known would scan, which is only reported, to be left alone as he guesses.
fn is_settled(source: &Source, now: Time, proven: bool) -> bool {
    source.ruled(now, WINDOW).any(|(_, proof)| !proven || proof == Some(Evidence::Handshake))
}
