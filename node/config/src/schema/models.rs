//! When models speak.

use smartfw_core::config::ModelRules;

use super::Visitor;
use crate::kinds::{Number, Switch};

pub(super) fn models(v: &mut impl Visitor, rules: &mut ModelRules) {
    let ModelRules { enabled, confidence, persistence, anomaly, anomalies_per_minute } = rules;
    v.section(
        "detection.models",
        "What models say of windows in which no rule has spoken, or only one whose word could be forged. They look once \
         a second at each source.",
    );
    v.item("enabled", "Whether models judge at all.", Switch, enabled);
    v.item(
        "confidence",
        "An attack is named from this probability on, per cent.",
        Number(50..=100),
        confidence,
    );
    v.item(
        "persistence",
        "So many looks on end must say the same: a single odd second is nobody's attack.",
        Number(1..=60),
        persistence,
    );
    v.item(
        "anomaly",
        "Whether what has no name and is strange is reported, once an hour and source. It is never blocked.",
        Switch,
        anomaly,
    );
    v.item(
        "anomalies_per_minute",
        "Strange sources reported within a minute, at most.",
        Number(0..=10_000),
        anomalies_per_minute,
    );
}
