//! What clients and servers say to each other, as far as it matters: requests, logins, and how slowly.

use core::{net::IpAddr, time::Duration};

use super::{
    LoginKind, Sensor, Sighting, Sign,
    conversation::{Conversation, Dialect, Ends},
    payload::{self, Reply},
    rules,
};
use crate::{Time, packet::Tcp};

/// The port on which FTP orders are given.
const FTP_CONTROL: u16 = 21;
/// One connection counts at most so many failures: a person's agent offers half a dozen keys.
const FAILURES_PER_CONNECTION: u8 = 3;
/// A login takes back so many failures of the connections before it: the person had typed wrongly there.
const FAILURES_FORGIVEN: u8 = 3;
/// Encrypted services without a shape of their own: here a short and small connection counts as a failed login.
const OPAQUE_SERVICES: [u16; 1] = [3389];
/// A login of an opaque service takes at least this many bytes: less is a probe.
const OPAQUE_LOGIN: u32 = 200;

impl Sensor {
    /// The initiator sent payload.
    pub(super) fn request(
        &mut self,
        seen: &Sighting,
        ends: &Ends,
        tcp: &Tcp<'_>,
        conversation: &mut Conversation,
    ) {
        if payload::is_ssh_newkeys(tcp.payload) {
            conversation.dialect = Dialect::Ssh;
            (conversation.reply_bytes, conversation.replies) = (0, 0);
            (conversation.greeting, conversation.refusal) = (0, 0);
        } else if payload::is_http_request(tcp.payload) {
            conversation.dialect = Dialect::Http;
        } else if payload::is_tls_handshake(tcp.payload) && !conversation.state.replied() {
            conversation.dialect = Dialect::Tls;
        }
        match conversation.dialect {
            Dialect::Http => self.http_request(seen, tcp, conversation),
            Dialect::Tls => self.tls_request(seen, tcp, conversation),
            Dialect::Ssh | Dialect::Unknown => {}
        }
        if ends.destination_port == FTP_CONTROL && conversation.state.proven() {
            self.proven_source(seen.remote).ftp_server = Some(seen.local);
        }
    }

    /// The responder sent payload.
    pub(super) fn reply(
        &mut self,
        seen: &Sighting,
        port: u16,
        tcp: &Tcp<'_>,
        conversation: &mut Conversation,
    ) {
        conversation.state.set_replied(true);
        conversation.state.set_pending(false);
        conversation.reply_bytes = conversation.reply_bytes.saturating_add(tcp.payload_len);
        conversation.replies = conversation.replies.saturating_add(1);
        let id = conversation.starving_id();
        if let Some(source) = self.source_of(seen) {
            source.starving.clear(id);
        }
        match conversation.dialect {
            Dialect::Ssh => self.ssh_reply(seen, tcp, conversation),
            Dialect::Http => self.http_reply(seen, tcp, conversation),
            Dialect::Unknown if self.rules.brute_force.services.contains(&port) => {
                self.open_reply(seen, port, tcp, conversation);
            }
            Dialect::Tls | Dialect::Unknown => {}
        }
    }

    /// The initiator's window shut or opened: a slow reader keeps it shut.
    pub(super) fn window_moved(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        let id = conversation.starving_id();
        let rules = self.rules.clone();
        match (tcp.window == 0, conversation.shut_since == Time::ZERO) {
            (true, true) => conversation.shut_since = seen.now,
            (false, false) => {
                conversation.shut_since = Time::ZERO;
                if let Some(source) = self.source_of(seen) {
                    source.starving.clear(id);
                }
            }
            _ => {}
        }
        if conversation.shut_since != Time::ZERO && conversation.state.proven() {
            let shut = conversation.shut_since.as_secs();
            let source = self.proven_source(seen.remote);
            source.starving.mark_first(id, shut);
            let finding = rules::slow_dos(source, seen.now, &rules.slow_dos);
            self.accuse(seen.remote, finding);
        }
    }

    fn http_request(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        if payload::is_http_request(tcp.payload) {
            self.http_request_begun(seen, tcp, conversation);
        }
        conversation.request_bytes = conversation.request_bytes.saturating_add(tcp.payload_len);
        if !conversation.state.pending() {
            return;
        }
        if !conversation.state.in_body()
            && let Some(end) = payload::header_end(tcp.payload)
        {
            conversation.state.set_in_body(true);
            if !payload::awaits_body(tcp.payload, end) {
                self.requested(seen, conversation);
                return;
            }
        }
        if payload::has_password(tcp.payload) && !payload::is_http_request(tcp.payload) {
            self.password_sent(seen, conversation);
        }
        self.starve(seen, conversation);
    }

    fn http_request_begun(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        conversation.request_begun = seen.now;
        conversation.request_bytes = 0;
        conversation.state.set_pending(true);
        conversation.state.set_in_body(false);
        conversation.state.set_credentials(payload::has_basic_authorization(tcp.payload));
        if payload::has_password(tcp.payload) {
            self.password_sent(seen, conversation);
        }
        self.clients_seen(seen, tcp);
    }

    /// Marks who is behind the address, as far as a request says. While the address is busier than people are, it
    /// may be making them up.
    fn clients_seen(&mut self, seen: &Sighting, tcp: &Tcp<'_>) {
        let (keyed, limit) = (self.keyed, self.rules.http_flood.requests / 2);
        let Some(source) = self.source_of(seen) else { return };
        if source.window.total().requests >= limit {
            return;
        }
        for name in [&b"User-Agent"[..], b"X-Forwarded-For", b"X-Real-IP"] {
            if let Some(value) = payload::header(tcp.payload, name) {
                source.clients.mark(keyed.hash(&value), seen.now.as_secs() / 60);
            }
        }
    }

    fn tls_request(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        let begins = conversation.state.replied() && !conversation.state.pending();
        if begins && payload::is_tls_data(tcp.payload) {
            self.requested(seen, conversation);
            conversation.state.set_pending(true);
        }
    }

    /// A request is complete.
    fn requested(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        conversation.state.set_pending(false);
        let id = conversation.starving_id();
        let rules = self.rules.clone();
        let Some(source) = self.source_of(seen) else { return };
        source.starving.clear(id);
        let proven = conversation.state.proven();
        source.window.add(seen.now, |counts| {
            counts.requests += 1;
            counts.proven_requests += u32::from(proven);
        });
        if proven {
            let finding = rules::http_flood(source, &rules.http_flood);
            self.accuse(seen.remote, finding);
        }
    }

    /// A request is unfinished: its header, or its body at a trickle.
    fn starve(&mut self, seen: &Sighting, conversation: &Conversation) {
        if !conversation.state.proven() {
            return;
        }
        let (rules, begun) = (self.rules.clone(), conversation.request_begun);
        let age = seen.now.since(begun);
        let trickles = age >= rules.slow_dos.min_age
            && f64::from(conversation.request_bytes) < age.as_secs_f64() * f64::from(rules.slow_dos.max_rate);
        let id = conversation.starving_id();
        let source = self.proven_source(seen.remote);
        if !conversation.state.in_body() || trickles {
            source.starving.mark_first(id, begun.as_secs());
        } else if age >= rules.slow_dos.min_age {
            source.starving.clear(id);
        }
        let finding = rules::slow_dos(source, seen.now, &rules.slow_dos);
        self.accuse(seen.remote, finding);
    }

    fn http_reply(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        if !conversation.state.credentials() {
            return;
        }
        if let Some(401 | 403) = payload::http_status(tcp.payload) {
            self.login_refused(seen, conversation);
        }
    }

    /// What sshd says is encrypted, and its length tells (RFC 4252): first it accepts the service, with a word of twelve
    /// letters. A refusal lists the methods that may go on, always the same, and the method `none` or the first wrong
    /// password brings the first. An acceptance says nothing, and is shorter than any of them; a key that may be tried
    /// is longer. Whoever gets in with much to say is greeted with the host's keys.
    fn ssh_reply(&mut self, seen: &Sighting, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        let length = u16::try_from(tcp.payload_len).unwrap_or(u16::MAX);
        if conversation.state.logged_in() {
            return;
        }
        if conversation.replies <= 1 {
            conversation.greeting = length;
        } else if length < conversation.greeting
            || conversation.reply_bytes > self.rules.brute_force.max_bytes
        {
            conversation.state.set_logged_in(true);
            self.login_accepted(seen, conversation);
        } else if conversation.refusal == 0 || length < conversation.refusal {
            conversation.refusal = length;
        } else if length == conversation.refusal && conversation.failures < FAILURES_PER_CONNECTION {
            self.ssh_refused(seen, conversation);
        }
    }

    fn ssh_refused(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        if !self.sshd_speaks {
            self.login_refused(seen, conversation);
        }
    }

    /// Services that speak in the open.
    fn open_reply(&mut self, seen: &Sighting, port: u16, tcp: &Tcp<'_>, conversation: &mut Conversation) {
        match payload::login_reply(port, tcp.payload) {
            Some(Reply::Refused) => self.login_refused(seen, conversation),
            Some(Reply::Welcome) => {
                conversation.state.set_logged_in(true);
                self.login_accepted(seen, conversation);
            }
            None => {}
        }
    }

    /// The connection is over: a login that never succeeded counts at least once.
    pub(super) fn login_ended(
        &mut self,
        seen: &Sighting,
        port: u16,
        conversation: &mut Conversation,
        age: Duration,
    ) {
        let opaque = OPAQUE_SERVICES.contains(&port)
            && self.rules.brute_force.services.contains(&port)
            && conversation.state.asked()
            && conversation.failures == 0
            && conversation.reply_bytes >= OPAQUE_LOGIN;
        let small = conversation.reply_bytes <= self.rules.brute_force.max_bytes;
        if opaque && small && age <= self.rules.brute_force.max_duration {
            self.login_refused(seen, conversation);
        }
        self.ssh_ended(seen, conversation);
    }

    /// Who asks for the password method at once, as libssh2 does, is refused once and not twice. But so is whoever only
    /// asks which methods there are, or declines to use a key that fits: it counts half, and for this host alone.
    fn ssh_ended(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        let refused_once = conversation.refusal > 0 && conversation.failures == 0;
        let state = conversation.state;
        if refused_once && !state.logged_in() && state.begin_seen() && !self.sshd_speaks {
            conversation.refusal = 0;
            self.login_failed(seen.remote, 0.5, state.proven());
        }
    }

    fn login_refused(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        if conversation.state.begin_seen() {
            conversation.failures = conversation.failures.saturating_add(1);
            self.login_failed(seen.remote, 1.0, conversation.state.proven());
            let kind = match conversation.dialect {
                Dialect::Ssh => Some(LoginKind::Ssh),
                Dialect::Http => None,
                Dialect::Tls | Dialect::Unknown => Some(LoginKind::Other),
            };
            if let Some(kind) = kind.filter(|_| conversation.state.proven()) {
                self.weak(seen.remote, Sign::LoginFailed(kind));
            }
        }
    }

    /// Who got in had typed wrongly before: what this connection counted is taken back, and a little of what others
    /// did. Not all, as where sshd itself speaks: a packet only looks like a login, and whoever has one account may guess
    /// at the others.
    fn login_accepted(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        let refund = -f32::from(conversation.failures + FAILURES_FORGIVEN);
        conversation.failures = 0;
        if let Some(source) = self.source_of(seen) {
            source.add_failures(seen.now, refund, true);
        }
        if conversation.state.proven() {
            self.weak(seen.remote, Sign::LoginAccepted);
        }
    }

    pub(super) fn login_failed(&mut self, remote: IpAddr, weight: f32, proven: bool) {
        let (now, rules) = (self.now, self.rules.clone());
        let source = if proven { Some(self.proven_source(remote)) } else { self.source(remote) };
        let Some(source) = source else { return };
        source.add_failures(now, weight, proven);
        let finding = rules::brute_force(source, now, &rules.brute_force);
        self.accuse(remote, finding);
    }

    pub(super) fn login_succeeded(&mut self, remote: IpAddr) {
        let now = self.now;
        let source = self.proven_source(remote);
        source.add_failures(now, f32::NEG_INFINITY, true);
        source.worked_at = now;
        self.acquaintances.worked(&self.keyed, now, remote);
        self.weak(remote, Sign::LoginAccepted);
    }

    fn password_sent(&mut self, seen: &Sighting, conversation: &mut Conversation) {
        conversation.state.set_credentials(true);
        let (rules, proven) = (self.rules.clone(), conversation.state.proven());
        let Some(source) = self.source_of(seen) else { return };
        source.window.add(seen.now, |counts| {
            counts.passwords += 1;
            counts.proven_passwords += u32::from(proven);
        });
        let finding = rules::brute_force(source, seen.now, &rules.brute_force);
        self.accuse(seen.remote, finding);
    }
}
