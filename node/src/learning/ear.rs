//! What learning hears: bounded, and nobody who speaks ever waits.

use std::{
    collections::VecDeque,
    mem,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use smartfw_core::{Detector, Evidence, Subject, Verdict, sensor::WindowReport};
use smartfw_learn::online::Seen;

/// Windows that may wait: what a crowded node reports while a candidate is trained. More are no loss where nothing
/// speaks against their sources; a suspect one accuses, and is missed as an accusation is.
const WINDOWS: usize = 8192;
/// Accusations that may wait. Where more come, nobody in quarantine counts as clean.
const VERDICTS: usize = 4096;

/// The way to the thread that learns.
#[derive(Debug, Default)]
pub struct Ear {
    listens: AtomicBool,
    heard: Mutex<Heard>,
}

/// What came since.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) windows: VecDeque<Seen>,
    pub(super) verdicts: VecDeque<(IpAddr, Option<Evidence>)>,
    /// Accusations or suspect windows were lost.
    pub(super) gap: bool,
}

impl Ear {
    /// A source's window was seen.
    pub fn window(&self, report: &WindowReport) {
        let &WindowReport { source, features, suspect, known, port, protocol, .. } = report;
        if !self.listens.load(SeqCst) {
            return;
        }
        let mut heard = self.heard();
        if heard.windows.len() < WINDOWS {
            heard.windows.push_back(Seen { source, features, suspect, known, service: (protocol, port) });
        } else {
            heard.gap |= suspect;
        }
    }

    /// A source was accused. An anomaly accuses nobody: what is strange may be new and honest, and its windows come
    /// marked as suspect while it lasts, and for an hour after.
    pub fn verdict(&self, verdict: &Verdict) {
        let Subject::Source(source) = verdict.subject else { return };
        if verdict.detector != Detector::Isolation && self.listens.load(SeqCst) {
            self.accused(source, verdict.evidence);
        }
    }

    pub(super) fn accused(&self, source: IpAddr, evidence: Option<Evidence>) {
        let mut heard = self.heard();
        if heard.verdicts.len() < VERDICTS {
            heard.verdicts.push_back((source, evidence));
        } else {
            heard.gap = true;
        }
    }

    /// Somebody learns from now on.
    pub(super) fn listen(&self) {
        self.listens.store(true, SeqCst);
    }

    pub(super) fn take(&self) -> Heard {
        mem::take(&mut *self.heard())
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use smartfw_core::{Class, Features, Reason, Time, verdict::Standing};

    use super::*;

    fn verdict(detector: Detector) -> Verdict {
        Verdict {
            at: Time::ZERO,
            subject: Subject::Source([192, 0, 2, 1].into()),
            class: Class::PortScan,
            confidence: 1.0,
            detector,
            evidence: None,
            reason: Reason { rule: String::new(), measured: 0.0, limit: 0.0, text: String::new() },
            features: Features::default(),
            standing: Standing::default(),
        }
    }

    #[test]
    fn what_comes_beyond_the_limits_is_lost_and_lost_accusations_are_told() {
        let ear = Ear::default();
        ear.listen();
        let report = WindowReport::new(Time::ZERO, [192, 0, 2, 1].into(), Features::default());
        (0..WINDOWS + 5).for_each(|_| ear.window(&report));
        (0..VERDICTS).for_each(|_| ear.verdict(&verdict(Detector::Rules)));
        let full = ear.take();
        assert_eq!((full.windows.len(), full.verdicts.len(), full.gap), (WINDOWS, VERDICTS, false));
        (0..WINDOWS).for_each(|_| ear.window(&report));
        ear.window(&WindowReport { suspect: true, ..report });
        assert!(ear.take().gap, "a suspect window is one");
        (0..=VERDICTS).for_each(|_| ear.verdict(&verdict(Detector::Forest)));
        assert!(ear.take().gap);
    }

    #[test]
    fn an_anomaly_accuses_nobody_and_who_does_not_listen_hears_nothing() {
        let ear = Ear::default();
        ear.verdict(&verdict(Detector::Rules));
        ear.listen();
        ear.verdict(&verdict(Detector::Isolation));
        assert!(ear.take().verdicts.is_empty());
    }
}
