//! The learner, driven through days.

mod guards;
mod stages;
mod state;

use std::net::{IpAddr, Ipv4Addr};

use smartfw_core::{Evidence, Features, Time, verdict::Protocol};

use super::{testing, *};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const HTTP: LocalService = (Protocol::Tcp, 80);
/// The honest clients of [`Rig::days`].
const CLIENTS: u32 = 30;

/// A learner, its clock, and what it wanted done.
struct Rig {
    learner: Learner,
    now: Time,
    done: Vec<Effect>,
}

impl Rig {
    fn new() -> Self {
        let shipped = Shipped { model: testing::model(100.0), exam: testing::exam(testing::scores()) };
        let learner = Learner::new(LearningConfig::default(), shipped, 7);
        Self { learner, now: Time::from_secs(1_000_000_000), done: Vec::new() }
    }

    /// A rig whose first week is over, and whose first candidate is to be trained.
    fn settled() -> Self {
        let mut rig = Self::new();
        rig.days(DAYS as u32);
        rig
    }

    /// Lets days pass in which honest clients do what they always do.
    fn days(&mut self, days: u32) {
        self.days_with(days, |_, _| ());
    }

    /// The same, with somebody else about: `more` is called every ten minutes.
    fn days_with(&mut self, days: u32, mut more: impl FnMut(&mut Self, u64)) {
        for tick in 0..=u64::from(days) * 144 {
            self.honest(tick);
            more(self, tick);
            self.pass(MINUTE * 10);
        }
    }

    /// What honest clients do in one of ten minutes.
    fn honest(&mut self, tick: u64) {
        for client in 0..CLIENTS {
            let pace = 5.0 + ((u64::from(client) * 7 + tick * 13) % 31) as f32;
            self.window(address(client), pace);
        }
    }

    /// Lets time pass in which the program does not run.
    fn stop(&mut self, time: Duration) {
        self.learner = state::restore(&self.learner.save()).unwrap();
        self.now = self.now.after(time);
    }

    fn window(&mut self, source: IpAddr, packets_per_second: f32) {
        self.learner.handle_window(self.now, &seen(source, packets_per_second));
    }

    /// Lets time pass, as a driver would.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.learner.poll_timeout() <= end {
            self.now = self.learner.poll_timeout().max(self.now);
            self.learner.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.learner.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.learner.poll_effect() {
            self.done.push(effect);
        }
    }

    /// The lot that is to be trained on.
    fn lot(&self) -> Lot {
        let lot = self.done.iter().rev().find_map(|effect| match effect {
            Effect::Train(lot) => Some(Lot::clone(lot)),
            _ => None,
        });
        lot.expect("a training was asked for")
    }

    fn last(&self) -> &Effect {
        self.done.last().expect("something was done")
    }

    fn in_quarantine(&self) -> usize {
        self.learner.quarantine.sources()
    }

    fn learned(&self) -> usize {
        self.learner.samples.len()
    }
}

/// An honest client's address: each in a /24 of its own, and two neighbours in different /16, since no baseline follows
/// what one network does.
fn address(client: u32) -> IpAddr {
    let network = if client.is_multiple_of(2) { 0xc612_0001 } else { 0x0b00_0001 };
    Ipv4Addr::from(network + (client << 8)).into()
}

fn seen(source: IpAddr, packets_per_second: f32) -> Seen {
    let features = Features { packets_per_second, mean_packet_length: 400.0, ..Features::default() };
    Seen { source, features, suspect: false, known: true, service: HTTP }
}
