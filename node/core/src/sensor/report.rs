//! A window a second and source is looked at: by models, and for the log.

use core::net::IpAddr;

use super::{Sensor, sighting::Sighting};
use crate::{Features, Time, model::Opinion, verdict::Protocol};

/// How many windows may wait to be logged: one reading of the log's thread.
pub(super) const MAX_REPORTS: usize = 4096;

/// An active source's window, for the log, for training and for learning: at most one in ten seconds and source, unless
/// [`Sensor::report_every_look`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowReport {
    /// The window's end.
    pub at: Time,
    /// The remote address.
    pub source: IpAddr,
    /// Its features.
    pub features: Features,
    /// What the model in use said of it, if it was asked.
    pub opinion: Option<Opinion>,
    /// Whether anything at all speaks against the source: what was proven within a day, another verdict or what may
    /// become one within minutes, an anomaly within the hour.
    pub suspect: bool,
    /// Whether the source ever completed a handshake.
    pub proven: bool,
    /// Whether it did honest work here within a day.
    pub known: bool,
    /// The local port that it asked last; 0 for protocols without ports.
    pub port: u16,
    /// By which protocol.
    pub protocol: Protocol,
}

impl WindowReport {
    /// A window of which nothing else is known.
    pub const fn new(at: Time, source: IpAddr, features: Features) -> Self {
        Self {
            at,
            source,
            features,
            opinion: None,
            suspect: false,
            proven: false,
            known: false,
            port: 0,
            protocol: Protocol::Other,
        }
    }
}

impl Sensor {
    /// Looks at the window of a source that was just counted. Log, training and models see the same windows at the same
    /// moments.
    pub(super) fn look(&mut self, seen: &Sighting) {
        let (now, all, judged) = (seen.now, self.report_all, self.judges.any());
        let Some(source) = self.source_of(seen) else { return };
        let enough = source.says_enough();
        if enough {
            source.looked_at = now;
        }
        let reported = source.is_report_due(now) || (all && enough);
        if !reported && !judged {
            return;
        }
        let features = source.features(now);
        let opinion = self.judge(seen, &features);
        if reported {
            self.report_window(seen, features, opinion);
        }
    }

    fn report_window(&mut self, seen: &Sighting, features: Features, opinion: Option<Opinion>) {
        let &Sighting { now, remote, port, protocol, .. } = seen;
        let proven = self.is_proven(seen);
        let known = self.acquaintances.is_known(&self.keyed, now, remote);
        let Some(source) = self.source_of(seen) else { return };
        source.reported_at = now;
        let suspect = source.is_suspect(now) || source.is_strange(now);
        if self.windows.len() < MAX_REPORTS {
            let report = WindowReport::new(now, remote, features);
            self.windows.push_back(WindowReport {
                opinion,
                suspect,
                proven,
                known,
                port,
                protocol,
                ..report
            });
        } else {
            self.stats.windows_unlogged += 1;
        }
    }
}
