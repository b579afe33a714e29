//! Frames of this host's interfaces, by packet sockets of our own.
//!
//! Never promiscuous: frames for other hosts are passed over, frames that leave are kept. Interfaces may go down, vanish
//! and come back; [`Live::interfaces`] says how they are.

mod batch;
mod interface;
mod select;
mod socket;
mod sys;
#[cfg(test)]
mod tests;

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use batch::Batch;
pub use interface::{Interface, State};
pub use select::LeftOut;
use select::{Host, Selection};
use smartfw_core::packet::Direction;
use smartfw_host::net;

use crate::{CaptureError, Captured, Next, Source, SourceStats};

/// How often the interfaces are looked at while one of them is missing, and while none is. The kernel's news come first;
/// this is for what it does not tell.
const RESCAN_DOWN: Duration = Duration::from_secs(1);
const RESCAN_UP: Duration = Duration::from_secs(10);
/// The least time between two looks, however much the kernel tells: starting a hundred containers makes a thousand news.
const RESCAN_LEAST: Duration = Duration::from_millis(100);

/// When frames come singly and one after the other, the least time between two system calls for them: what comes meanwhile
/// is taken together. Waking for each of 64,000 frames a second cost 3 µs a frame; a decision may take 2 ms.
const GATHER: Duration = Duration::from_micros(200);

/// Which interfaces to capture on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveConfig {
    /// Their names. None: those of the default routes and all with a global address; where there are none, all that are
    /// up but loopback.
    pub interfaces: Vec<String>,
    /// Interfaces whose forwarded flows are not judged.
    pub trusted: Vec<String>,
}

/// Captures on this host's interfaces.
pub struct Live {
    config: LiveConfig,
    interfaces: Vec<Interface>,
    left_out: Vec<LeftOut>,
    changes: Option<net::Changes>,
    batch: Batch,
    /// The interface whose frames are in the batch, the next of them, and their number.
    current: usize,
    slot: usize,
    filled: usize,
    news: bool,
    last_scan: Instant,
    last_news: Instant,
    last_wake: Instant,
    stats: SourceStats,
}

impl Live {
    /// Begins to capture.
    ///
    /// # Errors
    /// When an interface named does not exist, none exists at all, or the capability CAP_NET_RAW is missing.
    pub fn open(config: LiveConfig) -> Result<Self, CaptureError> {
        // Before the first look: what changes in between is then news.
        let changes = net::Changes::listen().ok();
        let host = look().map_err(CaptureError::Interfaces)?;
        let Selection { chosen, left_out } = select::select(&config.interfaces, &host)?;
        let mut interfaces = Vec::new();
        for name in chosen {
            let mut interface = Interface::new(name, &config.trusted);
            interface.update(&host)?;
            interfaces.push(interface);
        }
        Ok(Self {
            config,
            interfaces,
            left_out,
            changes,
            batch: Batch::new(),
            current: 0,
            slot: 0,
            filled: 0,
            news: false,
            last_scan: Instant::now(),
            last_news: Instant::now(),
            last_wake: Instant::now(),
            stats: SourceStats::default(),
        })
    }

    /// The interfaces that are captured on, or were; an interface keeps its place for ever.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// Interfaces that are not captured on because another one sees their packets, or because there are too many.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Makes `slot` the next frame that counts; `false` when none came within `patience`.
    fn advance(&mut self, patience: Duration) -> Result<Option<Direction>, CaptureError> {
        loop {
            while self.slot < self.filled {
                let slot = self.slot;
                self.slot += 1;
                if let Some(direction) = self.judge(slot) {
                    return Ok(Some(direction));
                }
            }
            if !self.refill(patience)? {
                return Ok(None);
            }
        }
    }

    /// Which way the frame in `slot` went, if it counts.
    fn judge(&mut self, slot: usize) -> Option<Direction> {
        let interface = &self.interfaces[self.current];
        let kind = interface.kind();
        let direction = self.batch.direction(slot, kind)?;
        if !self.batch.is_usable(slot, kind) {
            self.stats.unusable += 1;
            return None;
        }
        // What leaves by a macvlan passes its lower interface as well.
        let copy = direction == Direction::Out
            && interface.counts_elsewhere.iter().any(|mac| self.batch.source(slot) == *mac);
        (!copy).then_some(direction)
    }

    /// Fills the batch from the next interface that has frames, waiting at most `patience`.
    fn refill(&mut self, patience: Duration) -> Result<bool, CaptureError> {
        let mut now = Instant::now();
        let deadline = now.checked_add(patience);
        loop {
            self.rescan_if_due(now);
            if self.receive() {
                return Ok(true);
            }
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return Ok(false);
            }
            self.wait(left.min(self.next_scan().saturating_duration_since(now)))?;
            now = Instant::now();
            if now.saturating_duration_since(self.last_wake) < GATHER {
                std::thread::sleep(GATHER);
                now = Instant::now();
            }
            self.last_wake = now;
        }
    }

    /// Asks each interface in turn, beginning behind the last one that had something.
    fn receive(&mut self) -> bool {
        let count = self.interfaces.len();
        for offset in 1..=count {
            let index = (self.current + offset) % count;
            let filled = self.interfaces[index].receive(&mut self.batch);
            if filled > 0 {
                (self.current, self.slot, self.filled) = (index, 0, filled);
                return true;
            }
        }
        (self.slot, self.filled) = (0, 0);
        false
    }

    fn wait(&mut self, patience: Duration) -> Result<(), CaptureError> {
        let sockets = self.interfaces.iter().filter_map(Interface::descriptor);
        let news = self.changes.iter().map(AsFd::as_fd);
        let files: Vec<_> = sockets.chain(news).collect();
        let last = sys::wait(&files, patience).map_err(CaptureError::Wait)?;
        if let (true, Some(changes)) = (last, &mut self.changes) {
            self.news |= changes.take();
        }
        Ok(())
    }

    fn rescan_if_due(&mut self, now: Instant) {
        // Under load nobody waits, and news are seen here only.
        if now >= self.last_news + RESCAN_LEAST {
            self.last_news = now;
            self.news |= self.changes.as_mut().is_some_and(net::Changes::take);
        }
        if now < self.next_scan() {
            return;
        }
        self.last_scan = now;
        self.news = false;
        if let Ok(host) = look() {
            self.rescan(&host);
        }
    }

    fn next_scan(&self) -> Instant {
        let down = self.interfaces.iter().any(Interface::is_down);
        let period = if self.news {
            RESCAN_LEAST
        } else if down {
            RESCAN_DOWN
        } else {
            RESCAN_UP
        };
        self.last_scan + period
    }

    /// Brings the sockets in line with the interfaces that there are.
    fn rescan(&mut self, host: &Host) {
        let Selection { chosen, left_out } = select::reselect(&self.config.interfaces, host);
        self.left_out = left_out;
        for name in &chosen {
            let known = self.interfaces.iter().any(|interface| interface.name() == name);
            if !known && self.interfaces.len() < MAX_REMEMBERED {
                self.interfaces.push(Interface::new(name.clone(), &self.config.trusted));
            }
        }
        for interface in &mut self.interfaces {
            let wanted = chosen.iter().any(|name| name == interface.name())
                || self.config.interfaces.iter().any(|name| name == interface.name());
            let left_out = self.left_out.iter().any(|left| left.name == interface.name());
            if wanted && !left_out {
                // What fails here is the interface's state; the next look tries again.
                let _ = interface.update(host);
            } else {
                interface.close();
            }
        }
    }
}

/// Interfaces remembered: those captured on and those that are gone. Containers come and go under new names.
const MAX_REMEMBERED: usize = 4 * select::MAX_INTERFACES;

impl Source for Live {
    fn next(&mut self, patience: Duration) -> Result<Next<'_>, CaptureError> {
        let Some(direction) = self.advance(patience)? else { return Ok(Next::Idle) };
        let interface = &self.interfaces[self.current];
        let (at, frame) = self.batch.frame(self.slot - 1, interface.kind(), direction, interface.trusted);
        self.stats.frames += 1;
        self.stats.bytes += u64::from(frame.wire_len);
        Ok(Next::Frame(Captured { at, frame, interface: self.current as u32 }))
    }

    fn stats(&mut self) -> SourceStats {
        self.interfaces.iter_mut().for_each(Interface::count_drops);
        SourceStats { lost: self.interfaces.iter().map(Interface::lost).sum(), ..self.stats }
    }
}

fn look() -> io::Result<Host> {
    Ok(Host { links: net::links()?, addresses: net::addresses()?, routes: net::default_routes()? })
}
