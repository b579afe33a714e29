//! The rules: deterministic thresholds, one file a class. Each looks at one source and names what it found.

mod brute_force;
mod http_flood;
mod net_flood;
mod port_scan;
mod slow_dos;

use alloc::string::{String, ToString};

pub(super) use brute_force::brute_force;
pub(super) use http_flood::http_flood;
pub(super) use net_flood::{distributed, echo_flood, stray_flood, syn_flood, udp_flood};
pub(super) use port_scan::{port_scan, protocol_scan, udp_scan};
pub(super) use slow_dos::slow_dos;

use crate::{Class, Detector, Evidence, Features, Reason, Subject, Time, Verdict, verdict::Standing};

/// What a rule found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) class: Class,
    pub(super) rule: &'static str,
    pub(super) evidence: Option<Evidence>,
    pub(super) measured: f64,
    pub(super) limit: f64,
    pub(super) text: String,
}

impl Finding {
    pub(super) fn verdict(
        self,
        at: Time,
        subject: Subject,
        features: Features,
        standing: Standing,
    ) -> Verdict {
        // At the limit nine in ten; the further beyond, the surer.
        let confidence = 1.0 - 0.1 * (self.limit / self.measured.max(self.limit)) as f32;
        Verdict {
            at,
            subject,
            class: self.class,
            confidence,
            detector: Detector::Rules,
            evidence: self.evidence,
            reason: Reason {
                rule: self.rule.to_string(),
                measured: self.measured,
                limit: self.limit,
                text: self.text,
            },
            features,
            standing,
        }
    }
}
