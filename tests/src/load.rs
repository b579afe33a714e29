//! Hours of everyday: every benign client comes and goes as chance has it, in both families, and nobody attacks.

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    benign::{self, Benign, Guest},
    namespace::Namespace,
    net::{Host, Net},
    process::Stop,
    simulation::Chance,
    site::Site,
};

/// How long a client is away between two visits: less than a minute, and often long enough to be forgotten by a window.
const AWAY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(40));
/// How long a visit is at most, unless what the client does takes longer; some are done earlier.
const VISIT: Duration = Duration::from_secs(60);

/// Every benign client, each on a host of its own.
#[derive(Debug)]
pub struct Load {
    clients: Vec<(&'static Benign, Host)>,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct Served {
    /// How many clients took part.
    pub clients: usize,
    /// How many visits they made.
    pub visits: u32,
    /// How many TCP connections the server accepted meanwhile, those from nginx to the application among them.
    pub connections: u64,
    /// Who was not served, and how.
    pub harm: Vec<String>,
}

impl Load {
    /// Makes the hosts.
    pub fn new(net: &Net) -> Result<Self> {
        let clients = benign::ALL.iter().map(|benign| Ok((benign, benign.host(net)?)));
        Ok(Self { clients: clients.collect::<Result<_>>()? })
    }

    /// Everybody's addresses, by what they do.
    pub fn addresses(&self) -> Vec<(String, IpAddr)> {
        let both = |(benign, host): &(&Benign, Host)| {
            host.addresses().map(|address| (benign.name.to_owned(), address))
        };
        self.clients.iter().flat_map(both).collect()
    }

    /// Lets them come and go until `stop`. `seed` decides who comes when, for how long, and in which family; `dir` is
    /// where their programs may log.
    pub fn run(&self, net: &Net, site: &Site, dir: &Path, seed: u64, stop: &Stop) -> Result<Served> {
        let before = accepted(net.server())?;
        let (visits, harm) = (AtomicU32::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for (number, (benign, host)) in self.clients.iter().enumerate() {
                let mut chance = Chance::new(seed ^ (number as u64) << 32);
                let (visits, harm) = (&visits, &harm);
                scope.spawn(move || {
                    while stop.sleep(chance.between(AWAY.0, AWAY.1)) {
                        let least = Duration::from_secs(benign.seconds);
                        let visit = stop.within(chance.between(least, VISIT.max(least)));
                        let guest = Guest { host, site, dir, v6: chance.percent(50), stop: visit };
                        visits.fetch_add(1, Ordering::Relaxed);
                        if let Err(error) = benign.run(&guest) {
                            let text = format!("{} ({}): {error:#}", benign.name, guest.address());
                            harm.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                        }
                    }
                });
            }
        });
        Ok(Served {
            clients: self.clients.len(),
            visits: visits.into_inner(),
            connections: accepted(net.server())? - before,
            harm: harm.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    }
}

/// How many TCP connections this namespace accepted so far, by its kernel's own count.
fn accepted(server: &Namespace) -> Result<u64> {
    let text = server.inside(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))??;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = lines.next().zip(lines.next()).context("no TCP statistics")?;
    let mut both = names.split(' ').zip(values.split(' '));
    let (_, value) = both.find(|(name, _)| *name == "PassiveOpens").context("no count of connections")?;
    Ok(value.parse()?)
}
