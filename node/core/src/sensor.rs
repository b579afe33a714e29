//! The data plane: frames in, verdicts out.
//!
//! A remote address is first only counted; from its third packet on it has a window, and once it has completed a
//! handshake it moves to a table that forged addresses cannot fill, nor those of one network.

mod blocked;
mod conversation;
mod datagram;
mod decay;
mod dialect;
mod ending;
mod fair;
mod ftp;
mod guilt;
mod models;
mod open;
mod payload;
mod report;
mod rules;
mod sequence;
mod service;
mod shares;
mod sighting;
mod sketch;
mod source;
mod sources;
mod standing;
mod stats;
mod table;
mod tcp;
mod view;
mod watch;
mod weak;
mod window;

use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use core::net::IpAddr;

use ipnet::IpNet;

use crate::{
    Evidence, Strength, Subject, Time, Verdict,
    config::{Rules, SensorConfig, SensorLimits},
    packet::{self, Frame, Malformed, Packet, Transport},
};
use blocked::Blocked;
use conversation::{Conversation, ConversationId};
use fair::Fair;
use guilt::Convictions;
use models::Judges;
pub use models::{Comparison, Models};
pub use open::OpenConnection;
pub use report::WindowReport;
use rules::Finding;
use service::Services;
use sighting::Sighting;
use sketch::Stamps;
use source::Source;
use standing::Acquaintances;
pub use stats::SensorStats;
use table::{Generations, Keyed};
use view::Judged;
pub use view::View;
use weak::Attempt;
pub use weak::{LoginKind, Sign, Weak};

/// The data plane's state machine.
#[derive(Debug)]
pub struct Sensor {
    /// Shared, so that a rule can be read while its source is written.
    rules: Arc<Rules>,
    limits: SensorLimits,
    judges: Judges,
    view: View,
    keyed: Keyed,
    now: Time,
    /// Addresses that were seen once or twice.
    strangers: Generations<IpAddr, u8>,
    /// Addresses that anybody could have forged.
    sources: Generations<IpAddr, Box<Source>>,
    /// Addresses that completed a handshake.
    proven: Fair<Box<Source>>,
    conversations: Generations<ConversationId, Conversation>,
    services: Services,
    acquaintances: Acquaintances,
    convictions: Convictions,
    blocked: Blocked,
    verdicts: VecDeque<Verdict>,
    windows: VecDeque<WindowReport>,
    /// Whether every look at a window is reported.
    report_all: bool,
    weak: VecDeque<Weak>,
    /// Connection attempts that may turn out to have been in vain, oldest first.
    attempts: VecDeque<Attempt>,
    /// Sources that hold many silent connections, by the time to look at them again.
    watches: VecDeque<(Time, IpAddr)>,
    /// Whether sshd itself reports its logins: then they are not guessed from packets as well.
    sshd_speaks: bool,
    /// Who completed a handshake, by the second.
    clients: Stamps<1024, 1>,
    stats: SensorStats,
}

/// What a service itself says about a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who tried.
    pub source: IpAddr,
    /// From which port.
    pub port: u16,
    /// How it ended.
    pub outcome: LoginOutcome,
}

/// How a login ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginOutcome {
    /// The credentials were wrong.
    Failed,
    /// Somebody is in.
    Accepted,
}

impl Sensor {
    /// A sensor that looks from `view`. `seed` must be unknown to those who send the packets.
    pub fn new(config: SensorConfig, view: View, seed: u64) -> Self {
        let SensorConfig { rules, limits, models } = config;
        let keyed = Keyed::new(seed);
        Self {
            rules: Arc::new(rules),
            judges: Judges::new(models, keyed),
            view,
            keyed,
            now: Time::ZERO,
            strangers: Generations::new(limits.sources * 4),
            sources: Generations::new(limits.sources),
            proven: Fair::new(limits.proven, keyed),
            conversations: Generations::new(limits.connections),
            services: Services::new(limits.services),
            acquaintances: Acquaintances::new(limits.proven, keyed),
            convictions: Convictions::new(limits.proven),
            blocked: Blocked::new(keyed),
            verdicts: VecDeque::new(),
            windows: VecDeque::new(),
            report_all: false,
            weak: VecDeque::new(),
            attempts: VecDeque::new(),
            watches: VecDeque::new(),
            sshd_speaks: false,
            clients: Stamps::new(),
            stats: SensorStats::default(),
            limits,
        }
    }

    /// Takes in a frame. Time never steps back: an earlier `now` counts as the latest.
    ///
    /// # Errors
    /// [`Malformed`] when the frame cannot be read; it is counted and changes nothing else.
    pub fn observe(&mut self, now: Time, frame: &Frame<'_>) -> Result<(), Malformed> {
        self.now = self.now.max(now);
        self.stats.frames += 1;
        let parsed = packet::parse(frame).inspect_err(|why| self.stats.count_malformed(*why))?;
        let Some(packet) = parsed else {
            self.stats.packets += 1;
            self.stats.bytes += u64::from(frame.wire_len);
            return Ok(());
        };
        self.stats.packets += u64::from(packet.segments);
        self.stats.bytes += u64::from(packet.bytes);
        if self.blocked.contains(packet.source) {
            self.stats.suppressed += u64::from(packet.segments);
        } else if !self.blocked.contains(packet.destination) {
            self.packet(&packet, self.view.judge(&packet, frame.direction, frame.trusted));
        }
        Ok(())
    }

    /// A service's own word about a login: strong evidence, since it saw the handshake.
    pub fn handle_login(&mut self, now: Time, login: Login) {
        self.now = self.now.max(now);
        self.sshd_speaks = true;
        let source = crate::prefix::canonical(login.source);
        if self.blocked.contains(source) {
            return;
        }
        match login.outcome {
            LoginOutcome::Failed => {
                self.login_failed(source, 1.0, true);
                self.weak(source, Sign::LoginFailed(LoginKind::Ssh));
            }
            LoginOutcome::Accepted => self.login_succeeded(source),
        }
    }

    /// Another program's verdict about a source: what is known of the source here is put beside it, so that it is bound as
    /// verdicts of this program are.
    pub fn handle_external(&mut self, now: Time, mut verdict: Verdict) {
        self.now = self.now.max(now);
        let Subject::Source(address) = verdict.subject else { return };
        let source = crate::prefix::canonical(address);
        if self.blocked.contains(source) {
            return;
        }
        verdict.standing = self.standing(source, verdict.class);
        // Counts of packets are no proof: a forged SYN that is repeated has as many. That the source has a handshake with
        // this host, this host has seen.
        if verdict.evidence == Some(Evidence::Handshake) && !self.has_shaken_hands(source) {
            verdict.evidence = Some(Evidence::Spoofable);
        }
        if verdict.evidence == Some(Evidence::Handshake) {
            self.convict(source);
        }
        if let Some(accused) = self.source(source) {
            accused.named_at = now;
            verdict.features = accused.features(now);
        }
        self.report(verdict);
    }

    /// The block list changed. Packets of a hard-blocked target are only counted; when the block ends, its windows
    /// begin anew, but what was proven stays proven for a day, unless a person ends the block: [`Self::handle_acquittal`].
    pub fn handle_block(&mut self, target: IpNet, strength: Option<Strength>) {
        if strength == Some(Strength::Hard) {
            self.blocked.insert(target);
        } else {
            self.blocked.remove(&target);
        }
        if strength.is_none() {
            self.forget(target);
        }
    }

    /// The next verdict.
    pub fn poll_verdict(&mut self) -> Option<Verdict> {
        self.verdicts.pop_front()
    }

    /// The next window to log.
    pub fn poll_window(&mut self) -> Option<WindowReport> {
        self.windows.pop_front()
    }

    /// Reports every window that models look at, instead of one in ten seconds and source: training wants to see what
    /// they judge.
    pub fn report_every_look(&mut self) {
        self.report_all = true;
    }

    /// Our addresses changed.
    pub fn set_view(&mut self, view: View) {
        self.view = view;
    }

    /// The thresholds changed; what is remembered stays, the tables' limits hold from the next start.
    pub fn set_config(&mut self, config: SensorConfig) {
        self.rules = Arc::new(config.rules);
        self.judges.set_rules(config.models);
    }

    /// What was seen so far.
    pub fn stats(&self) -> SensorStats {
        SensorStats {
            sources: (self.strangers.len() + self.sources.len() + self.proven.len()) as u64,
            forgotten_sources: self.sources.forgotten() + self.proven.forgotten(),
            forgotten_conversations: self.conversations.forgotten(),
            forgotten_services: self.services.forgotten(),
            ..self.stats
        }
    }

    /// How many different clients completed a handshake within the second before `now`'s, estimated: what
    /// `Agent::handle_handshakes` wants to know.
    pub fn clients(&mut self, now: Time) -> u32 {
        self.clients.count_older(now.as_secs(), 1)
    }

    fn packet(&mut self, packet: &Packet<'_>, judged: Judged) {
        match packet.transport {
            Transport::Tcp(tcp) => self.tcp(packet, judged, &tcp),
            Transport::Udp(udp) => self.udp(packet, judged, &udp),
            Transport::Icmp(icmp) => self.icmp(packet, judged, icmp),
            Transport::Fragment { destination_port } => self.fragment(packet, judged, destination_port),
            Transport::Other(protocol) => self.other(packet, judged, protocol),
        }
    }

    /// Counts what the judged end sent in its window, which a stranger does not have yet.
    fn count(&mut self, seen: &Sighting, has_port: bool) {
        if !seen.from_remote {
            return;
        }
        let tick = seen.now.as_secs();
        let Some(source) = self.introduced(seen) else { return };
        source.window.frame(seen.now, seen.segments, seen.bytes);
        source.hosts.mark(seen.asked.host, tick);
        if has_port {
            source.ports.mark(seen.asked.port, tick);
        }
        if source.is_worth_a_look(seen.now) {
            self.look(seen);
        }
    }

    /// Makes a verdict of a finding about a source, at most once a second and class.
    fn accuse(&mut self, remote: IpAddr, finding: Option<Finding>) {
        let Some(finding) = finding else { return };
        let now = self.now;
        let Some(source) = self.source(remote) else { return };
        if source.due(now, finding.class, finding.evidence) {
            let verdict = self.verdict(remote, finding);
            self.report(verdict);
        }
    }

    fn verdict(&mut self, remote: IpAddr, finding: Finding) -> Verdict {
        let now = self.now;
        let features = self.source(remote).map(|source| source.features(now)).unwrap_or_default();
        let standing = self.standing(remote, finding.class);
        if finding.evidence == Some(Evidence::Handshake) {
            self.convict(remote);
        }
        finding.verdict(now, Subject::Source(remote), features, standing)
    }

    fn report(&mut self, verdict: Verdict) {
        if self.verdicts.len() < self.limits.verdicts {
            self.verdicts.push_back(verdict);
        } else {
            self.stats.verdicts_dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests;
