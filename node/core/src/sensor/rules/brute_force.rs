//! `brute_force`: failed logins, by the service's own word or by the shape of the connection.

use alloc::format;

use super::Finding;
use crate::{
    Class, Evidence, Time,
    config::BruteForceRule,
    sensor::{
        decay::Decay,
        source::{FAILURES_HALF_LIFE, Source},
        window::Counts,
    },
};

/// Failed logins, and passwords in the open. A customer's own do not prove those that others forge in its name.
pub(crate) fn brute_force(source: &mut Source, now: Time, rule: &BruteForceRule) -> Option<Finding> {
    let evidence = |proven| Some(if proven { Evidence::Handshake } else { Evidence::Spoofable });
    // Rounded: the first of eight within minutes has faded a little when the eighth comes.
    let read = |sum: &Decay| libm::roundf(sum.read(now, FAILURES_HALF_LIFE));
    let (failures, proven) = (read(&source.failures), read(&source.proven_failures));
    if failures >= rule.failures as f32 {
        return Some(Finding {
            class: Class::BruteForce,
            rule: "brute_force.failures",
            evidence: evidence(proven >= rule.failures as f32),
            measured: f64::from(failures),
            limit: rule.failures.into(),
            text: format!("{failures:.0} failed logins within minutes"),
        });
    }
    let &Counts { passwords, proven_passwords, .. } = source.window.total();
    (passwords >= rule.passwords).then(|| Finding {
        class: Class::BruteForce,
        rule: "brute_force.passwords",
        evidence: evidence(proven_passwords >= rule.passwords),
        measured: passwords.into(),
        limit: rule.passwords.into(),
        text: format!("{passwords} passwords sent to a form in {:.1} s", source.window.span().as_secs_f64()),
    })
}
