//! Ten seconds of one remote address, in ten one-second buckets.

use core::time::Duration;

use crate::{Features, Time};

/// How many one-second buckets a window has.
pub(super) const BUCKETS: usize = 10;

/// What is counted in each second. All counts are of wire segments unless the name says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Received.
    pub(super) packets: u32,
    /// IP bytes received.
    pub(super) bytes: u64,
    /// Sum of the squares of the segments' lengths.
    pub(super) squares: u64,
    /// Sum of the squares of the gaps between frames, in microseconds squared.
    pub(super) gaps: f64,
    /// TCP segments received.
    pub(super) tcp: u32,
    /// Connection attempts.
    pub(super) syn: u32,
    /// Connection attempts that went on.
    pub(super) followed: u32,
    /// RSTs that we answered.
    pub(super) refused: u32,
    /// TCP segments that belong to no connection.
    pub(super) stray: u32,
    /// Datagrams of conversations that were not answered when they came.
    pub(super) udp: u32,
    /// Those of them that were answered later.
    pub(super) udp_answered: u32,
    /// Our errors for closed ports.
    pub(super) unreachable: u32,
    /// Echo requests.
    pub(super) echo: u32,
    /// Complete requests.
    pub(super) requests: u32,
    /// Those of them over connections whose handshake was completed.
    pub(super) proven_requests: u32,
    /// Requests that carry a password in the open.
    pub(super) passwords: u32,
    /// Those of them over connections whose handshake was completed.
    pub(super) proven_passwords: u32,
    /// Probes that prove their sender: handshakes on ports not tried before that ended without carrying anything.
    pub(super) probes: u32,
    /// TCP segments of connections whose handshake was completed, those that completed it included.
    pub(super) proven: u32,
    /// Connections that did some work.
    pub(super) worked: u32,
    /// Attempts on the service that had the most.
    pub(super) attempts: u32,
}

impl Counts {
    /// What a bucket no longer counts; a sum that reached its type's end may have less left than the bucket.
    fn subtract(&mut self, other: &Self) {
        self.packets = self.packets.saturating_sub(other.packets);
        self.bytes = self.bytes.saturating_sub(other.bytes);
        self.squares = self.squares.saturating_sub(other.squares);
        self.gaps = (self.gaps - other.gaps).max(0.0);
        self.tcp = self.tcp.saturating_sub(other.tcp);
        self.syn = self.syn.saturating_sub(other.syn);
        self.followed = self.followed.saturating_sub(other.followed);
        self.refused = self.refused.saturating_sub(other.refused);
        self.stray = self.stray.saturating_sub(other.stray);
        self.udp = self.udp.saturating_sub(other.udp);
        self.udp_answered = self.udp_answered.saturating_sub(other.udp_answered);
        self.unreachable = self.unreachable.saturating_sub(other.unreachable);
        self.echo = self.echo.saturating_sub(other.echo);
        self.requests = self.requests.saturating_sub(other.requests);
        self.proven_requests = self.proven_requests.saturating_sub(other.proven_requests);
        self.passwords = self.passwords.saturating_sub(other.passwords);
        self.proven_passwords = self.proven_passwords.saturating_sub(other.proven_passwords);
        self.probes = self.probes.saturating_sub(other.probes);
        self.proven = self.proven.saturating_sub(other.proven);
        self.worked = self.worked.saturating_sub(other.worked);
        self.attempts = self.attempts.saturating_sub(other.attempts);
    }
}

/// The rolling window.
#[derive(Clone, Debug)]
pub(super) struct Window {
    buckets: [Counts; BUCKETS],
    total: Counts,
    /// The second that the newest bucket counts.
    second: u64,
    /// When the oldest frame still counted arrived, at most ten seconds ago.
    begun: Time,
    last: Time,
}

impl Window {
    pub(super) fn new(now: Time) -> Self {
        Self {
            buckets: [Counts::default(); BUCKETS],
            total: Counts::default(),
            second: now.as_secs(),
            begun: now,
            last: now,
        }
    }

    /// Adds to the present second and to the total.
    pub(super) fn add(&mut self, now: Time, add: impl Fn(&mut Counts)) {
        self.advance(now);
        add(&mut self.buckets[self.second as usize % BUCKETS]);
        add(&mut self.total);
    }

    /// Counts a frame of `segments` segments with `bytes` bytes.
    pub(super) fn frame(&mut self, now: Time, segments: u32, bytes: u32) {
        self.advance(now);
        let gap = now.since(self.last).as_micros() as f64;
        let gap = if self.total.packets == 0 { 0.0 } else { gap };
        let each = u64::from(bytes / segments.max(1));
        self.add(now, |counts| {
            counts.packets = counts.packets.saturating_add(segments);
            counts.bytes += u64::from(bytes);
            counts.squares = counts.squares.saturating_add(each * each * u64::from(segments));
            counts.gaps += gap * gap;
        });
        self.last = self.last.max(now);
    }

    /// The sums over the last ten seconds.
    pub(super) fn total(&self) -> &Counts {
        &self.total
    }

    /// The sums over the present second.
    pub(super) fn second(&self) -> &Counts {
        &self.buckets[self.second as usize % BUCKETS]
    }

    /// How long the frames counted took to arrive.
    pub(super) fn span(&self) -> Duration {
        self.last.since(self.begun)
    }

    /// Drops the seconds that are over.
    pub(super) fn advance(&mut self, now: Time) {
        let second = now.as_secs();
        if second <= self.second {
            return;
        }
        if second - self.second >= BUCKETS as u64 {
            *self = Self { last: self.last, ..Self::new(now) };
            return;
        }
        for over in self.second + 1..=second {
            let bucket = &mut self.buckets[over as usize % BUCKETS];
            self.total.subtract(bucket);
            *bucket = Counts::default();
        }
        self.second = second;
        self.begun = self.begun.max(Time::from_secs(second.saturating_sub(BUCKETS as u64 - 1)));
        if self.total.packets == 0 {
            self.begun = now;
        }
    }

    /// The features that need nothing but this window; see [`Features`] for the formulas.
    pub(super) fn features(&self) -> Features {
        let Counts { packets, bytes, squares, gaps, tcp, syn, followed, refused, requests, attempts, .. } =
            self.total;
        let (n, seconds) = (f64::from(packets.max(1)), BUCKETS as f64);
        let length = bytes as f64 / n;
        let gap = self.span().as_secs_f64() / (n - 1.0).max(1.0);
        let share = |part: u32| (f64::from(part) / f64::from(tcp.max(1))).min(1.0) as f32;
        Features {
            packets_per_second: (f64::from(packets) / seconds) as f32,
            bytes_per_second: (bytes as f64 / seconds) as f32,
            mean_packet_length: length as f32,
            std_packet_length: libm::sqrt((squares as f64 / n - length * length).max(0.0)) as f32,
            mean_interarrival: gap as f32,
            std_interarrival: libm::sqrt((gaps / 1e12 / (n - 1.0).max(1.0) - gap * gap).max(0.0)) as f32,
            syn_share: share(syn),
            reset_share: share(refused),
            half_open: syn.saturating_sub(followed) as f32,
            attempts_per_service: attempts as f32,
            requests_per_second: (f64::from(requests) / seconds) as f32,
            ..Features::default()
        }
    }
}
