//! The honest: clients of several services, by day more than by night, whose windows are like the laboratory's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smartfw_core::{Features, verdict::Protocol};
use smartfw_learn::online::{LocalService, Reference, Seen, WIDTH};

/// Ten minutes, in seconds: one step of the simulation.
pub(crate) const STEP: u64 = 600;
/// Steps of a day.
pub(crate) const STEPS: u64 = 24 * 3600 / STEP;
const CLIENTS: u32 = 60;
const SERVICES: [u16; 4] = [22, 80, 443, 21];

/// SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }
}

/// The rows of the laboratory that honest clients and attackers draw from.
#[derive(Clone)]
pub(crate) struct Town {
    benign: Vec<[f32; WIDTH]>,
    pub(crate) attacks: Vec<[f32; WIDTH]>,
}

impl Town {
    pub(crate) fn new(reference: &Reference) -> Self {
        let table = reference.table();
        let rows = (0..table.len()).map(|at| table.row(at));
        let (benign, attacks): (Vec<_>, Vec<_>) = rows.partition(|row| row.class == "benign");
        let values = |rows: Vec<smartfw_learn::table::Row<'_>>| {
            rows.iter().map(|row| row.values.try_into().unwrap()).collect()
        };
        Self { benign: values(benign), attacks: values(attacks) }
    }

    /// A window of an honest client: one of the laboratory's, a little faster or slower.
    pub(crate) fn window(&self, chance: &mut Chance) -> [f32; WIDTH] {
        let mut row = self.benign[chance.below(self.benign.len())];
        let pace = 0.9 + 0.2 * chance.share();
        // Packets, bytes and requests per second grow with the pace, and the times between packets shrink.
        [0, 1, 15].into_iter().for_each(|rate| row[rate] *= pace);
        [4, 5].into_iter().for_each(|time| row[time] /= pace);
        row
    }

    /// Who is awake at this step, and what they do.
    pub(crate) fn step(&self, step: u64, chance: &mut Chance) -> Vec<Seen> {
        let hour = (step % STEPS) as f32 * 24.0 / STEPS as f32;
        let awake = 0.3 + 0.5 * (1.0 - (hour / 24.0 * std::f32::consts::TAU).cos()) / 2.0;
        let mut seen = Vec::new();
        for client in 0..CLIENTS {
            if chance.share() < awake {
                let service = (Protocol::Tcp, SERVICES[client as usize % SERVICES.len()]);
                seen.push(window_of(client_address(client), service, self.window(chance)));
            }
        }
        seen
    }
}

/// Honest clients live all over; every tenth has IPv6.
fn client_address(client: u32) -> IpAddr {
    if client % 10 == 9 {
        Ipv6Addr::new(0x2001, 0xdb8, client as u16, 0, 0, 0, 0, 1).into()
    } else {
        Ipv4Addr::from(0x0b00_0001 + client * 0x0003_0700).into()
    }
}

pub(crate) fn window_of(source: IpAddr, service: LocalService, values: [f32; WIDTH]) -> Seen {
    Seen { source, features: Features::from_array(values), suspect: false, known: true, service }
}
