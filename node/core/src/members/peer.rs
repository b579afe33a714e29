//! What is known of one other member.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use foca::State;

use super::{Card, Path, Remembered, bytes::Reader, record::Record, window::Window};
use crate::{Time, class::named, fleet::NodeId};

named! {
    /// How a member is.
    MemberState {
        /// It answers.
        Alive = "alive",
        /// It does not answer one of us.
        Suspect = "suspect",
        /// It answers nobody.
        Dead = "dead",
        /// It said good-bye.
        Left = "left",
    }
}

/// A member.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its key.
    pub id: NodeId,
    /// What it says of itself.
    pub card: Card,
    /// How it is.
    pub state: MemberState,
    /// Since when.
    pub since: Time,
    /// How long a datagram to it and back takes, smoothed; `None` until it was measured.
    pub round_trip: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) record: Arc<Record>,
    pub(super) state: MemberState,
    pub(super) since: Time,
    pub(super) round_trip: Option<Duration>,
    pub(super) window: Window,
    /// Which life of ours it knows, with record and certificate; 0: none.
    pub(super) knows: u64,
    /// When we last introduced ourselves.
    pub(super) introduced_at: Option<Time>,
    /// Datagrams that wanted an answer since the last one that came by UDP.
    pub(super) unanswered: u8,
    /// The strongest news of this life that foca has heard: most of what is passed on has been heard before, and foca
    /// would search its list for it.
    heard: Option<(u16, u8)>,
    /// The last probe: its number, when it was sent first, and by which way.
    pub(super) pinged: Option<(u8, Time, Path)>,
}

/// What a datagram wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    Answer,
    /// And it is sent by the other way, too, where none comes: a member is asked by UDP again with nothing else.
    ProbeAnswer,
}

/// So many times unanswered, datagrams go through streams.
const BLOCKED: u8 = 3;
/// And one in so many still goes by UDP, to see whether it works again.
const TRIAL: u8 = 16;

impl Peer {
    pub(super) fn new(now: Time, record: Arc<Record>) -> Self {
        Self {
            state: if record.left { MemberState::Left } else { MemberState::Dead },
            record,
            since: now,
            round_trip: None,
            window: Window::default(),
            knows: 0,
            introduced_at: None,
            unanswered: 0,
            heard: None,
            pinged: None,
        }
    }

    /// As it was before our restart; whether it is alive has to be seen.
    pub(super) fn restored(now: Time, remembered: &Remembered) -> Option<Self> {
        let Remembered { node, record, epoch, state, since } = remembered;
        let record = Record::read(&mut Reader(record)).filter(|record| record.id == *node)?;
        let gone = matches!(state, MemberState::Left | MemberState::Dead);
        Some(Self {
            state: if *state == MemberState::Left { MemberState::Left } else { MemberState::Dead },
            since: if gone { (*since).min(now) } else { now },
            window: Window::of(*epoch),
            ..Self::new(now, Arc::new(record))
        })
    }

    pub(super) fn remembered(&self) -> Remembered {
        let mut record = Vec::new();
        self.record.put(&mut record);
        let (state, since) = (self.state, self.since);
        Remembered { node: self.record.id, record, epoch: self.window.epoch, state, since }
    }

    pub(super) fn member(&self) -> Member {
        Member {
            id: self.record.id,
            card: self.record.card.clone(),
            state: self.state,
            since: self.since,
            round_trip: self.round_trip,
        }
    }

    pub(super) const fn is_active(&self) -> bool {
        matches!(self.state, MemberState::Alive | MemberState::Suspect)
    }

    /// A later life begins.
    pub(super) fn renew(&mut self, record: Arc<Record>) {
        (self.record, self.knows, self.introduced_at, self.heard) = (record, 0, None, None);
    }

    /// Whether these news of its present life are any: a later incarnation, or a worse state (SWIM, section 4.2).
    pub(super) fn is_news(&mut self, incarnation: u16, state: State) -> bool {
        let strength = match state {
            State::Alive => (incarnation, 0),
            State::Suspect => (incarnation, 1),
            State::Down => (u16::MAX, 2),
        };
        let news = self.heard.is_none_or(|heard| strength > heard);
        if news {
            self.heard = Some(strength);
        }
        news
    }

    /// A datagram is about to be sent: whether it should go through a stream.
    pub(super) const fn wants_stream(&mut self, wants: Wants) -> bool {
        let may_try = match wants {
            Wants::Nothing => return self.unanswered > BLOCKED,
            Wants::Answer => !self.is_active(),
            Wants::ProbeAnswer => true,
        };
        let trial = may_try && self.unanswered >= BLOCKED + TRIAL;
        if trial {
            self.unanswered = BLOCKED + 1;
        } else if self.unanswered < BLOCKED + TRIAL {
            self.unanswered += 1;
        }
        self.unanswered > BLOCKED && !trial
    }

    /// UDP to it or from it is dropped, but its stream answered: that one is used until UDP is heard again.
    pub(super) fn needs_stream(&mut self) {
        self.unanswered = self.unanswered.max(BLOCKED + 1);
    }

    /// It came through a stream, and whether UDP gets through is not known: the next probe tries it.
    pub(super) const fn came_by_stream(&mut self) {
        self.unanswered = BLOCKED + TRIAL;
    }

    /// An answer took so long: a moving average with an eighth of the new (RFC 6298).
    pub(super) fn measured(&mut self, took: Duration) {
        self.round_trip = Some(self.round_trip.map_or(took, |before| (before * 7 + took) / 8));
    }
}
