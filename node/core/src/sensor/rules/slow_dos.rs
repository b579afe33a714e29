//! `slow_dos`: many connections kept open and starving.

use alloc::format;

use super::Finding;
use crate::{
    Class, Evidence, Time,
    config::SlowDosRule,
    sensor::source::{STARVED_HALF_LIFE, Source},
};

/// Unfinished requests that are old, and those that the server gave up on. Only proven connections are counted.
pub(crate) fn slow_dos(source: &mut Source, now: Time, rule: &SlowDosRule) -> Option<Finding> {
    let min_age = rule.min_age.as_secs().min(100) as u8;
    let starving = source.starving.count_older(now.as_secs(), min_age);
    let starved = source.starved.read(now, STARVED_HALF_LIFE);
    let (measured, rule_name, text) = if starving >= rule.connections {
        let age = rule.min_age.as_secs();
        let text = format!("{starving} connections with a request unfinished for {age} s and more");
        (f64::from(starving), "slow_dos.connections", text)
    } else if starved >= rule.connections as f32 {
        let text = format!("{starved:.0} connections that the server gave up on, unfinished");
        (f64::from(starved), "slow_dos.starved", text)
    } else {
        return None;
    };
    Some(Finding {
        class: Class::SlowDos,
        rule: rule_name,
        evidence: Some(Evidence::Handshake),
        measured,
        limit: rule.connections.into(),
        text,
    })
}
