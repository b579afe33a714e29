//! What was refused, and why.

/// Why a datagram changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Not a datagram of this format.
    Malformed,
    /// Seen before, or from an earlier life of its sender.
    Replayed,
    /// For somebody else, or for an earlier life of this node.
    Misaddressed,
    /// From somebody whose certificate or record is unknown.
    Stranger,
    /// Not signed by its sender.
    Forged,
    /// Too much at once.
    Flooded,
    /// The table of members is full.
    Full,
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MembersStats {
    /// Datagrams sent.
    pub sent: u64,
    /// Their bytes, without the headers of UDP and IP.
    pub sent_bytes: u64,
    /// Datagrams taken in.
    pub received: u64,
    /// Refused: not of this format.
    pub malformed: u64,
    /// Refused: seen before, or of an earlier life of its sender.
    pub replayed: u64,
    /// Refused: for somebody else, or for an earlier life of this node.
    pub misaddressed: u64,
    /// Refused: from somebody whose certificate is unknown.
    pub strangers: u64,
    /// Refused: not signed by its sender.
    pub forged: u64,
    /// Refused: too many wrong signatures or introductions within a second.
    pub flooded: u64,
    /// Refused: [`MAX_MEMBERS`](super::MAX_MEMBERS) are known.
    pub full: u64,
    /// Messages that made no sense to the protocol.
    pub refused: u64,
}

impl MembersStats {
    pub(super) const fn count(&mut self, refused: Refused) {
        *match refused {
            Refused::Malformed => &mut self.malformed,
            Refused::Replayed => &mut self.replayed,
            Refused::Misaddressed => &mut self.misaddressed,
            Refused::Stranger => &mut self.strangers,
            Refused::Forged => &mut self.forged,
            Refused::Flooded => &mut self.flooded,
            Refused::Full => &mut self.full,
        } += 1;
    }
}
