//! What the data plane has seen, and what it could not take in.

use crate::packet::Malformed;

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SensorStats {
    /// Frames taken in; one may carry several segments.
    pub frames: u64,
    /// Wire segments, and frames that are not IP.
    pub packets: u64,
    /// IP bytes, and the bytes of frames that are not IP.
    pub bytes: u64,
    /// Frames that could not be read.
    pub malformed: u64,
    /// Segments of sources under a hard block.
    pub suppressed: u64,
    /// Remote addresses remembered now.
    pub sources: u64,
    /// Conversations begun.
    pub flows: u64,
    /// Handshakes completed.
    pub handshakes: u64,
    /// Connections that went on although our answer was never seen leaving.
    pub unanswered: u64,
    /// Windows forgotten because the table was full.
    pub forgotten_sources: u64,
    /// Conversations forgotten because the table was full.
    pub forgotten_conversations: u64,
    /// Destination windows forgotten because the table was full.
    pub forgotten_services: u64,
    /// Verdicts that nobody took in time.
    pub verdicts_dropped: u64,
    /// Windows that nobody logged in time.
    pub windows_unlogged: u64,
    /// Windows that a model judged.
    pub looks: u64,
    /// Windows that no model judged because enough were within the second.
    pub looks_skipped: u64,
    /// Verdicts of the random forest.
    pub forest_verdicts: u64,
    /// Verdicts of the isolation forest.
    pub isolation_verdicts: u64,
    /// Strange windows that were not reported because enough were within the minute.
    pub anomalies_unreported: u64,
    /// Signs of weak evidence that nobody took in time.
    pub weak_dropped: u64,
    pub(super) malformed_by: [u64; Malformed::ALL.len()],
}

impl SensorStats {
    /// How many frames could not be read, for each reason.
    pub fn malformed_by(&self) -> impl Iterator<Item = (Malformed, u64)> {
        Malformed::ALL.iter().copied().zip(self.malformed_by)
    }

    /// Whether too few of the connections show our answers leaving: another path carries them, and no handshake can
    /// be proven here.
    pub fn is_asymmetric(&self) -> bool {
        const ENOUGH: u64 = 100;
        let seen = self.handshakes + self.unanswered;
        seen >= ENOUGH && self.unanswered * 2 > seen
    }

    pub(super) fn count_malformed(&mut self, why: Malformed) {
        self.malformed += 1;
        self.malformed_by[why as usize] += 1;
    }
}
