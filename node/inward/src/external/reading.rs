//! What both forms have in common.

use std::net::IpAddr;

use smartfw_core::{
    Class, Detector, Evidence, Features, Reason, Subject, Time, Verdict, prefix, verdict::Standing,
};

/// Why a line gives no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// It is about something else.
    Other,
    /// It is not what it should be.
    Unreadable,
}

/// Bytes of a reason.
const TEXT: usize = 200;

/// What a line says.
pub(super) struct Said<'a> {
    pub(super) at: Time,
    pub(super) source: IpAddr,
    pub(super) class: Class,
    pub(super) confidence: f64,
    pub(super) evidence: Option<Evidence>,
    pub(super) rule: String,
    pub(super) text: &'a str,
}

impl Said<'_> {
    pub(super) fn verdict(self) -> Verdict {
        let Self { at, source, class, confidence, evidence, rule, text } = self;
        Verdict {
            at,
            subject: Subject::Source(prefix::canonical(source)),
            class,
            confidence: confidence as f32,
            detector: Detector::External,
            evidence,
            reason: Reason { rule, measured: 1.0, limit: 1.0, text: plain(text) },
            features: Features::default(),
            standing: Standing::default(),
        }
    }
}

/// The text on one line, without what a terminal would obey.
fn plain(text: &str) -> String {
    let letters = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut plain = String::new();
    for letter in letters {
        if plain.len() + letter.len_utf8() > TEXT {
            break;
        }
        plain.push(letter);
    }
    plain
}
