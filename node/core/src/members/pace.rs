//! How the machine adapts: to the size of the fleet, to its own health, and to floods.

use core::{
    num::{NonZeroU8, NonZeroUsize},
    time::Duration,
};

use foca::PeriodicParams;

use crate::Time;

/// How often a member is probed by this node. Twice a second's length, because a probe and its answer are 350 bytes with
/// signatures and headers, and the whole idle fleet may cost 1 kB/s a node.
const PROBE_PERIOD: Duration = Duration::from_secs(2);
/// How long a direct answer may take before others are asked: ten times what a loaded network between sites needs.
const PROBE_ROUND_TRIP: Duration = Duration::from_millis(500);
/// Others that are asked to probe in our place.
const INDIRECT_PROBES: usize = 3;
/// Suspicion lasts four probe periods, times the decimal logarithm of the fleet's size, as in memberlist: time enough
/// to hear of it through gossip and to refute it.
const SUSPICION_PERIODS: f64 = 4.0;
/// News are passed on so often, times the decimal logarithm of the fleet's size. Half as often again as in memberlist:
/// at a quarter of all datagrams lost a refutation has to get back in time.
const TRANSMISSIONS: f64 = 6.0;
/// News are passed on every 200 ms to three members: 300 members hear them within two seconds. Without news nothing
/// is sent.
const GOSSIP_EVERY: Duration = Duration::from_millis(200);
/// And every 100 ms while many come at once: nine members fit into a datagram.
const GOSSIP_BUSY_EVERY: Duration = Duration::from_millis(100);
/// So many are many.
const BUSY: usize = 16;
/// One member a minute is asked for members, against news that were lost: a datagram, so 25 bytes a second.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// The most that is made of one's own bad health: suspicion nine times as long.
const WORST: u8 = 8;

/// What foca's settings depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Active members, this node among them.
    pub(super) size: usize,
    pub(super) health: Health,
    /// Whether many came at once.
    pub(super) busy: bool,
}

/// Whether so many news waiting are many.
pub(super) const fn is_busy(backlog: usize) -> bool {
    backlog > BUSY
}

/// foca's settings.
pub(super) fn config(settings: Settings) -> foca::Config {
    let Settings { size, health, busy } = settings;
    let magnitude = libm::log10(size.max(1) as f64 + 1.0);
    let transmissions = libm::ceil(magnitude * TRANSMISSIONS).clamp(4.0, 32.0) as u8;
    let suspicion = PROBE_PERIOD.mul_f64(SUSPICION_PERIODS * magnitude.max(1.0)) * health.factor();
    let every = |frequency, members| {
        NonZeroUsize::new(members).map(|num_members| PeriodicParams { frequency, num_members })
    };
    foca::Config {
        probe_period: PROBE_PERIOD,
        probe_rtt: PROBE_ROUND_TRIP,
        num_indirect_probes: NonZeroUsize::new(INDIRECT_PROBES).unwrap_or(NonZeroUsize::MIN),
        max_transmissions: NonZeroU8::new(transmissions).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: suspicion,
        // Ours to do: foca would keep a timer for every time that a member went down.
        remove_down_after: None,
        max_packet_size: NonZeroUsize::new(MAX_NEWS).unwrap_or(NonZeroUsize::MIN),
        notify_down_members: true,
        periodic_announce: every(ANNOUNCE_EVERY, 1),
        // Ours to do: see `reach`.
        periodic_announce_to_down_members: None,
        periodic_gossip: every(if busy { GOSSIP_BUSY_EVERY } else { GOSSIP_EVERY }, 3),
    }
}

/// Bytes of foca's messages. They name both ends in full; the wire leaves out the receiver's record (122 bytes at
/// least) and adds the rest of the envelope and the signature (130).
pub(super) const MAX_NEWS: usize = super::datagram::MAX_DATAGRAM - 16;

/// How well this node itself keeps time (Lifeguard; Dadgar, Phillips, Currey 2018): 0 is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Health(u8);

impl Health {
    /// Its own timers fired late.
    pub(super) fn late(&mut self) {
        self.0 = (self.0 + 2).min(WORST);
    }

    /// A probe was not answered, and nobody else was heard either: it is us, most likely.
    pub(super) fn deaf(&mut self) {
        self.0 = (self.0 + 2).min(WORST);
    }

    /// A probe was answered.
    pub(super) const fn answered(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// By how much suspicion lasts longer.
    pub(super) const fn factor(self) -> u32 {
        1 + self.0 as u32
    }
}

/// How much work others may cause within a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    second: u64,
    forged: u32,
    read: u32,
    written: u32,
}

/// Signatures that may turn out wrong in a second: some 10 ms of work at 50 µs each; from then on only datagrams from
/// addresses of members are looked at, up to twice as many.
const FORGED: u32 = 200;
/// Introductions read in a second, and written: 1,000 members get to know each other in 10 s, and a flood of them
/// costs 3 % of a core.
const INTRODUCTIONS: u32 = 100;

impl Budget {
    /// Whether a signature may be checked.
    pub(super) const fn may_check(&mut self, now: Time, from_member: bool) -> bool {
        self.renew(now);
        self.forged < if from_member { 2 * FORGED } else { FORGED }
    }

    /// A signature was wrong.
    pub(super) const fn forged(&mut self) {
        self.forged = self.forged.saturating_add(1);
    }

    /// Whether one more introduction may be read.
    pub(super) const fn read(&mut self, now: Time) -> bool {
        self.renew(now);
        self.read = self.read.saturating_add(1);
        self.read <= INTRODUCTIONS
    }

    /// Whether one more introduction may be written.
    pub(super) const fn write(&mut self, now: Time) -> bool {
        self.renew(now);
        self.written = self.written.saturating_add(1);
        self.written <= INTRODUCTIONS
    }

    const fn renew(&mut self, now: Time) {
        if now.as_secs() != self.second {
            *self = Self { second: now.as_secs(), forged: 0, read: 0, written: 0 };
        }
    }
}
