//! Benign clients at work behind an experiment, again and again, each from its own address.

use std::{
    net::IpAddr,
    path::Path,
    sync::{
        Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use crate::{
    benign::{self, Benign, Guest},
    net::{Host, Net},
    process::Stop,
    site::Site,
};

/// Clients at work. Whoever was harmed tells; after a while they try again.
#[derive(Debug)]
pub struct Crew {
    /// Who they are and where they come from.
    pub members: Vec<(&'static Benign, IpAddr)>,
    harm: Mutex<Receiver<String>>,
}

/// A pause between two runs of the same client.
const PAUSE: Duration = Duration::from_secs(3);

impl Crew {
    /// Runs `experiment` while those clients that may be repeated are at work, each until `stop`.
    pub fn around<T: Send>(
        net: &Net,
        site: &Site,
        dir: &Path,
        limit: Duration,
        experiment: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let stop = Stop::after(limit);
        let members: Vec<&Benign> =
            benign::ALL.iter().filter(|benign| benign.beside && benign.name != "ssh-typos").collect();
        let hosts = members.iter().map(|benign| benign.host(net)).collect::<Result<Vec<Host>>>()?;
        let guests: Vec<Guest<'_>> = hosts
            .iter()
            .enumerate()
            .map(|(i, host)| Guest { host, site, dir, v6: i % 3 == 2, stop: stop.clone() })
            .collect();
        let (tell, harm) = channel();
        let crew = Self {
            members: members.iter().copied().zip(guests.iter().map(Guest::address)).collect(),
            harm: Mutex::new(harm),
        };
        thread::scope(|scope| {
            for (benign, guest) in members.iter().zip(&guests) {
                let tell = tell.clone();
                scope.spawn(move || work(benign, guest, &tell));
            }
            let result = experiment(&crew);
            stop.now();
            result
        })
    }

    /// Who was harmed since the last call, and how.
    pub fn harm(&self) -> Vec<String> {
        self.harm.lock().map(|harm| harm.try_iter().collect()).unwrap_or_default()
    }
}

fn work(benign: &Benign, guest: &Guest<'_>, tell: &Sender<String>) {
    loop {
        if let Err(error) = benign.run(guest) {
            let _ = tell.send(format!("{} ({}): {error:#}", benign.name, guest.address()));
        }
        if !guest.stop.sleep(PAUSE) {
            return;
        }
    }
}
