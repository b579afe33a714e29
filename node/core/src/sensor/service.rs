//! The view from the service: what all sources together do to it. Spoofed and distributed floods show only here.

use core::{net::IpAddr, time::Duration};

use super::{
    sketch::Stamps,
    table::{Generations, Keyed},
    window::Window,
};
use crate::{
    Time,
    config::NetFloodRule,
    verdict::{Protocol, Service},
};

/// The destination windows.
#[derive(Debug)]
pub(super) struct Services {
    table: Generations<Service, ServiceWindow>,
}

#[derive(Debug)]
struct ServiceWindow {
    window: Window,
    sources: Stamps<1024, 10>,
    /// When the sources were last counted.
    counted: Time,
}

/// What one packet did to a service.
#[derive(Clone, Copy, Debug)]
pub(super) enum Touch {
    /// It asked for a connection.
    Syn,
    /// It went on with one.
    Followed,
    /// A datagram that nobody asked for.
    Datagram,
    /// Our answer to one.
    Answered,
}

/// A distributed flood.
#[derive(Debug)]
pub(super) struct Flood {
    pub(super) service: Service,
    pub(super) sources: u32,
    pub(super) packets: u32,
    pub(super) limit: u32,
    pub(super) packets_per_second: f32,
}

impl Services {
    pub(super) fn new(capacity: usize) -> Self {
        Self { table: Generations::new(capacity) }
    }

    pub(super) fn forgotten(&self) -> u64 {
        self.table.forgotten()
    }

    /// Counts a touch of the port, and of the address as a whole; the flood that it completes.
    pub(super) fn touch(
        &mut self,
        now: Time,
        keyed: &Keyed,
        rule: &NetFloodRule,
        service: Service,
        source: IpAddr,
        touch: Touch,
    ) -> Option<Flood> {
        let source = keyed.address(source);
        let port = self.count(now, keyed, rule, service, source, touch);
        let whole = self.count(now, keyed, rule, Service { port: 0, ..service }, source, touch);
        port.or(whole)
    }

    fn count(
        &mut self,
        now: Time,
        keyed: &Keyed,
        rule: &NetFloodRule,
        service: Service,
        source: u64,
        touch: Touch,
    ) -> Option<Flood> {
        let port = u64::from(service.port) << 8 | service.protocol as u64;
        let hash = keyed.words([keyed.address(service.address), port, 0]);
        if self.table.get_mut(hash, &service).is_none() {
            // Answers and successes alone open no window: a scan of closed ports must not push out real services.
            if matches!(touch, Touch::Followed | Touch::Answered) {
                return None;
            }
            self.table.insert(
                hash,
                service,
                ServiceWindow { window: Window::new(now), sources: Stamps::new(), counted: Time::ZERO },
            );
        }
        self.table.get_mut(hash, &service)?.count(now, rule, service, source, touch)
    }
}

impl ServiceWindow {
    fn count(
        &mut self,
        now: Time,
        rule: &NetFloodRule,
        service: Service,
        source: u64,
        touch: Touch,
    ) -> Option<Flood> {
        self.window.add(now, |counts| match touch {
            Touch::Syn => counts.syn += 1,
            Touch::Followed => counts.followed += 1,
            Touch::Datagram => counts.udp += 1,
            Touch::Answered => counts.worked += 1,
        });
        if matches!(touch, Touch::Followed | Touch::Answered) {
            return None;
        }
        self.sources.mark(source, now.as_secs());
        let total = self.window.total();
        let (unasked, limit, fulfilled) = match service.protocol {
            Protocol::Tcp => (total.syn.saturating_sub(total.followed), rule.service_syn, total.followed),
            _ => (total.udp.saturating_sub(total.worked), rule.service_udp, total.worked),
        };
        // Most of what came was for nothing, and the sums are cheap to compare before the sources are counted.
        let flooded = unasked >= limit && fulfilled < unasked / 4;
        if !flooded || now.since(self.counted) < PAUSE {
            return None;
        }
        self.counted = now;
        let sources = self.sources.count(now.as_secs());
        // Few sources with many packets each are judged one by one; above `MANY` the estimate is too coarse to divide by.
        if sources < rule.sources || (sources < MANY && unasked / sources > PACKETS_PER_SOURCE) {
            return None;
        }
        let packets_per_second = unasked as f32 / super::window::BUCKETS as f32;
        Some(Flood { service, sources, packets: unasked, limit, packets_per_second })
    }
}

/// Sources are counted, and a flood that goes on is told, no more often.
const PAUSE: Duration = Duration::from_millis(500);
/// Forged sources send one or two packets each; collectors of logs hear the same few sources again and again.
const PACKETS_PER_SOURCE: u32 = 5;
/// Where the estimate of 1,024 slots begins to saturate.
const MANY: u32 = 4000;
