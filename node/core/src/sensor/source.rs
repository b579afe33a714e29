//! What is remembered of one remote address.

use core::{net::IpAddr, time::Duration};

use super::{
    decay::Decay,
    models::{LOOK, ODD, Streak},
    sketch::Stamps,
    standing::ACQUAINTANCE,
    table::Keyed,
    window::{BUCKETS, Window},
};
use crate::{Class, Evidence, Features, Time, model::LEAST_PACKETS};

/// The half-life of failed logins: one attempt in twenty seconds still adds up to dozens.
pub(super) const FAILURES_HALF_LIFE: Duration = Duration::from_secs(600);
/// The half-life of connections that starved until the server gave up.
pub(super) const STARVED_HALF_LIFE: Duration = Duration::from_secs(60);

/// How long anybody's word makes a suspect of an address, be it about packets that may be forged: for longer than the
/// soft block that may follow, at whose end all is forgotten but what was proven.
const DOUBT: Duration = Duration::from_secs(600);
/// How long after an offence that was proven, whoever says so, nobody becomes known by work: as long as work is
/// remembered.
const GUILT: Duration = ACQUAINTANCE;

/// From this age on, in seconds, a request that is not complete is a feature of its source.
const UNFINISHED: u8 = 5;

/// A verdict of any class may be due.
const CLASSES: usize = Class::ALL.len();

/// A remote address whose window is kept.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) window: Window,
    /// TCP ports (and ICMP hosts) that were asked for and have not answered.
    pub(super) tcp: Probes,
    /// UDP ports that were asked for and have not answered.
    pub(super) udp: Probes,
    /// The slow memory of `tcp`: an hour in minutes.
    pub(super) slow: SlowProbes,
    /// TCP ports on which a handshake was completed within the hour.
    pub(super) opened: Stamps<64, 60>,
    /// Local ports touched, answered or not.
    pub(super) ports: Stamps<128, 10>,
    /// Local addresses touched, answered or not.
    pub(super) hosts: Stamps<64, 10>,
    /// IP protocols tried without an answer.
    pub(super) protocols: Stamps<32, 10>,
    /// Connections whose request is unfinished, by the second in which it began.
    pub(super) starving: Stamps<128, 120>,
    /// Signs of different clients behind the address (user agents, forwarded addresses), in minutes.
    pub(super) clients: Stamps<32, 60>,
    /// Failed logins.
    pub(super) failures: Decay,
    /// Those of them over connections whose handshake was completed.
    pub(super) proven_failures: Decay,
    /// Connections that the server gave up on, unfinished.
    pub(super) starved: Decay,
    /// Proven connections open now.
    pub(super) open: u32,
    /// Until when its starving connections are left alone before they are looked at again.
    pub(super) watched_until: Time,
    /// The service with the most attempts lately, by majority vote (Boyer and Moore 1981).
    favourite: Favourite,
    /// When a connection last did some work.
    pub(super) worked_at: Time,
    /// When its window was last looked at.
    pub(super) looked_at: Time,
    /// When the last window was reported.
    pub(super) reported_at: Time,
    /// What a model says in look after look.
    pub(super) streak: Streak,
    /// When a model or another detector last named what it does. A rule's verdict waits for none of these: a model may
    /// only report what a rule blocks.
    pub(super) named_at: Time,
    /// When an offence was last proven. Neither weaker words of the same class nor a block's end wash it off.
    pub(super) convicted_at: Time,
    /// When it was last strange, whether that was reported or not.
    pub(super) strange_at: Time,
    /// When it was last reported as strange.
    pub(super) told_at: Time,
    /// When each class was last given as a rule's verdict, and on what evidence.
    verdicts: [(Time, Option<Evidence>); CLASSES],
    /// The FTP server that this address last gave commands to: what that server connects to, it does for this one.
    pub(super) ftp_server: Option<IpAddr>,
}

impl Source {
    pub(super) fn new(now: Time) -> Self {
        Self {
            window: Window::new(now),
            tcp: Probes::new(),
            udp: Probes::new(),
            slow: SlowProbes { ports: Stamps::new(), hosts: Stamps::new(), fresh: 0 },
            opened: Stamps::new(),
            ports: Stamps::new(),
            hosts: Stamps::new(),
            protocols: Stamps::new(),
            starving: Stamps::new(),
            clients: Stamps::new(),
            failures: Decay::default(),
            proven_failures: Decay::default(),
            starved: Decay::default(),
            open: 0,
            watched_until: Time::ZERO,
            favourite: Favourite { service: 0, votes: 0 },
            worked_at: Time::ZERO,
            looked_at: Time::ZERO,
            reported_at: now,
            streak: Streak::default(),
            named_at: Time::ZERO,
            convicted_at: Time::ZERO,
            strange_at: Time::ZERO,
            told_at: Time::ZERO,
            verdicts: [(Time::ZERO, None); CLASSES],
            ftp_server: None,
        }
    }

    /// Adds failed logins, or takes some back.
    pub(super) fn add_failures(&mut self, now: Time, amount: f32, proven: bool) {
        self.failures.add(now, FAILURES_HALF_LIFE, amount);
        if proven {
            self.proven_failures.add(now, FAILURES_HALF_LIFE, amount);
        }
    }

    /// Counts a connection attempt on the service whose hash is `service`.
    pub(super) fn attempt(&mut self, now: Time, service: u64) {
        let own = self.favourite.vote(service);
        self.window.add(now, |counts| {
            counts.syn += 1;
            counts.attempts += u32::from(own);
        });
    }

    /// Whether a verdict of this class is due: at most one a second, since policy wants to know that it goes on, but
    /// at once when the evidence has become stronger.
    pub(super) fn due(&mut self, now: Time, class: Class, evidence: Option<Evidence>) -> bool {
        let due = self.is_due(now, class, evidence);
        if due {
            self.verdicts[class as usize] = (now, evidence);
        }
        due
    }

    /// The same, for a rule that wants to know before it counts and tells.
    pub(super) fn is_due(&self, now: Time, class: Class, evidence: Option<Evidence>) -> bool {
        let (at, last) = self.verdicts[class as usize];
        !within(at, now, Duration::from_secs(1)) || evidence > last
    }

    /// Of what the rules accused it within `span`, and on what evidence.
    pub(super) fn ruled(&self, now: Time, span: Duration) -> impl Iterator<Item = (Class, Option<Evidence>)> {
        let lately = Class::ALL.iter().zip(&self.verdicts).filter(move |(_, (at, _))| within(*at, now, span));
        lately.map(|(class, (_, evidence))| (*class, *evidence))
    }

    /// Whether anything at all speaks against the address: a stranger like this does not become known.
    pub(super) fn is_suspect(&mut self, now: Time) -> bool {
        self.is_guilty(now)
            || within(self.named_at, now, DOUBT)
            || self.ruled(now, DOUBT).next().is_some()
            || self.tcp.ports.count(now.as_secs()) >= 5
            || self.failures.read(now, FAILURES_HALF_LIFE) >= 3.0
    }

    /// Whether something speaks against the address that nobody else can have done under it: such a one does not even
    /// stay known.
    pub(super) fn is_guilty(&mut self, now: Time) -> bool {
        within(self.convicted_at, now, GUILT)
            || self.proven_failures.read(now, FAILURES_HALF_LIFE) >= 3.0
            || self.starving.count_older(now.as_secs(), 5) >= 5
    }

    /// What was proven counts no more.
    pub(super) fn acquit(&mut self) {
        self.convicted_at = Time::ZERO;
    }

    /// Whether it was strange within the hour. That makes no suspect of it, but nothing is learned from it.
    pub(super) fn is_strange(&self, now: Time) -> bool {
        within(self.strange_at, now, ODD)
    }

    /// Whether its window, which was just counted, is to be looked at: by models when it has enough packets, a second
    /// after the last time, and for the log.
    pub(super) fn is_worth_a_look(&self, now: Time) -> bool {
        (self.says_enough() && now.since(self.looked_at) >= LOOK) || self.is_report_due(now)
    }

    /// Whether the window has enough packets to be judged by models.
    pub(super) fn says_enough(&self) -> bool {
        self.window.total().packets as f32 >= LEAST_PACKETS
    }

    /// Whether the log has had none of its windows for as long as a window is.
    pub(super) fn is_report_due(&self, now: Time) -> bool {
        now.since(self.reported_at).as_secs() >= BUCKETS as u64
    }

    /// The window's features; see [`Features`] for the formulas.
    pub(super) fn features(&mut self, now: Time) -> Features {
        self.window.advance(now);
        let second = now.as_secs();
        let unfinished = self.starving.count_older(second, UNFINISHED) as f32;
        Features {
            distinct_ports: self.ports.count(second) as f32,
            distinct_hosts: self.hosts.count(second) as f32,
            silent_ports: (self.tcp.ports.count(second) + self.udp.ports.count(second)) as f32,
            failed_logins: self.failures.read(now, FAILURES_HALF_LIFE),
            unfinished_requests: unfinished + self.starved.read(now, STARVED_HALF_LIFE),
            open_connections: self.open as f32,
            ..self.window.features()
        }
    }
}

/// Whether what happened `at`, if ever, is less than `span` ago.
pub(super) fn within(at: Time, now: Time, span: Duration) -> bool {
    at != Time::ZERO && now.since(at) < span
}

#[derive(Clone, Debug)]
struct Favourite {
    service: u64,
    votes: u32,
}

impl Favourite {
    fn vote(&mut self, service: u64) -> bool {
        match (self.service == service, self.votes) {
            (true, votes) => self.votes = votes.saturating_add(1).min(1000),
            (false, 0) => *self = Self { service, votes: 1 },
            (false, votes) => self.votes = votes - 1,
        }
        self.service == service
    }
}

/// Ports and hosts that were asked for and have not answered, in the last ten seconds. Pairs tell a scan from a
/// talkative peer: who asks each of fifty hosts on a port of its own scans neither ports nor hosts.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    pub(super) pairs: Stamps<256, 10>,
    pub(super) ports: Stamps<128, 10>,
    pub(super) hosts: Stamps<64, 10>,
}

impl Probes {
    const fn new() -> Self {
        Self { pairs: Stamps::new(), ports: Stamps::new(), hosts: Stamps::new() }
    }

    /// Whether the pair is new.
    pub(super) fn mark(&mut self, now: Time, at: Asked) -> bool {
        let tick = now.as_secs();
        self.ports.mark(at.port, tick);
        self.hosts.mark(at.host, tick);
        self.pairs.mark(at.pair, tick)
    }

    pub(super) fn clear(&mut self, at: Asked) {
        self.pairs.clear(at.pair);
        self.ports.clear(at.port);
        self.hosts.clear(at.host);
    }
}

/// The slow memory of probes: an hour, in minutes.
#[derive(Clone, Debug)]
pub(super) struct SlowProbes {
    pub(super) ports: Stamps<128, 60>,
    pub(super) hosts: Stamps<32, 60>,
    /// Fresh marks since the last count, on top of it: never less than there are ports.
    pub(super) fresh: u32,
}

impl SlowProbes {
    pub(super) fn mark(&mut self, now: Time, at: Asked) {
        self.fresh += u32::from(self.ports.mark(at.port, now.as_secs() / 60));
        self.hosts.mark(at.host, now.as_secs() / 60);
    }

    /// How many ports within the hour, estimated.
    pub(super) fn count(&mut self, minute: u64) -> u32 {
        let ports = self.ports.count(minute);
        self.fresh = ports;
        ports
    }

    pub(super) fn clear(&mut self, at: Asked) {
        self.ports.clear(at.port);
        self.hosts.clear(at.host);
    }
}

/// What was asked for, as hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) port: u64,
    pub(super) host: u64,
    pub(super) pair: u64,
}

impl Asked {
    pub(super) fn new(keyed: &Keyed, host: IpAddr, port: u16) -> Self {
        let (host, port) = (keyed.address(host), keyed.number(port));
        Self { port, host, pair: (host ^ port).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16 }
    }
}
