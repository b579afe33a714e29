//! One recording after the other: an attack beside benign clients, or a benign client alone, with the truth beside it.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, anyhow};

use crate::{
    attack::{self, Attack},
    benign::{self, Benign, Guest},
    capture::{Capture, HEADERS_AND_MORE, Label},
    net::{Host, Net, Side},
    process::Stop,
    proxy,
    site::Site,
};

/// Where recordings are made, and where they go.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The network.
    pub net: &'a Net,
    /// The services.
    pub site: &'a Site,
    /// One for each benign client, in their order.
    pub hosts: Vec<Host>,
    /// Where programs may log.
    pub temp: &'a Path,
    /// Where the captures, their labels and the tools' logs go.
    pub dir: &'a Path,
    /// What the names of captures end with.
    pub suffix: &'static str,
}

/// How long the benign clients are at work before an attack begins, and after its end.
const LEAD: Duration = Duration::from_secs(3);

/// How many benign clients are beside an attack.
const COMPANY: usize = 5;

impl Scene<'_> {
    fn guest<'a>(&'a self, host: &'a Host, v6: bool, stop: &Stop) -> Guest<'a> {
        Guest { host, site: self.site, dir: self.temp, v6, stop: stop.clone() }
    }

    /// A benign client alone, recorded as `variant`.
    pub fn alone(&self, benign: &Benign, v6: bool, variant: &str) -> Result<String> {
        let host = benign::ALL.iter().zip(&self.hosts).find(|(b, _)| b.name == benign.name);
        let (_, host) = host.context("no such client")?;
        let stop = Stop::after(Duration::from_secs(benign.seconds));
        let guest = self.guest(host, v6, &stop);
        let recorder = Capture::start(self.net.server(), &self.file(variant), HEADERS_AND_MORE)?;
        let begin = SystemTime::now();
        let served = benign.run(&guest);
        let label = Label {
            variant: self.named(variant),
            class: "benign".to_owned(),
            attackers: "-".to_owned(),
            span: (begin, SystemTime::now()),
            innocents: vec![(benign.name.to_owned(), guest.address())],
            tool: "-".to_owned(),
        };
        self.conclude(recorder, &label, served.err())
    }

    /// An attack beside some of the benign clients.
    pub fn attack(&self, attack: &Attack) -> Result<String> {
        let attacker = self.net.host(Side::Attackers)?;
        let (beside, hosts): (Vec<&Benign>, Vec<&Host>) = self.company(attack).unzip();
        let stop = Stop::after(Duration::from_secs(attack.seconds + 30));
        let recorder = Capture::start(self.net.server(), &self.file(attack.name), HEADERS_AND_MORE)?;
        let guests: Vec<Guest<'_>> =
            hosts.iter().enumerate().map(|(i, host)| self.guest(host, i % 3 == 2, &stop)).collect();
        let (span, attacked, harm) = thread::scope(|scope| {
            let threads: Vec<_> =
                beside.iter().zip(&guests).map(|(benign, guest)| scope.spawn(|| benign.run(guest))).collect();
            thread::sleep(LEAD);
            let begin = SystemTime::now();
            let attacked = attack.run(&attacker, self.temp, &stop);
            let span = (begin, SystemTime::now());
            thread::sleep(LEAD);
            stop.now();
            let harm: Vec<_> = threads.into_iter().filter_map(|thread| harm(thread.join())).collect();
            (span, attacked, harm)
        });
        let label = Label {
            variant: self.named(attack.name),
            class: attack.class.to_string(),
            attackers: attack.sources(&attacker),
            span,
            innocents: beside.iter().zip(&guests).map(|(b, g)| (b.name.to_owned(), g.address())).collect(),
            tool: attack.tool().to_owned(),
        };
        self.keep_log(attack)?;
        let told = self.conclude(recorder, &label, harm)?;
        // What was recorded until an attack failed is kept, with its label.
        attacked.with_context(|| told.clone())?;
        Ok(told)
    }

    /// Some of the benign clients, others beside each attack: all at once would leave the machine no time for the attack.
    fn company(&self, attack: &Attack) -> impl Iterator<Item = (&Benign, &Host)> {
        let turn = attack::ALL.iter().position(|other| other.name == attack.name).unwrap_or_default();
        benign::ALL.iter().zip(&self.hosts).cycle().skip(turn * COMPANY).take(COMPANY)
    }

    /// A slowloris behind a load balancer, and ten people behind the same: the balancer must not be hard-blocked.
    pub fn balancer(&self) -> Result<String> {
        let balancer = self.net.host(Side::Clients)?;
        proxy::serve(&balancer)?;
        let recorder = Capture::start(self.net.server(), &self.file("balancer"), HEADERS_AND_MORE)?;
        let begin = SystemTime::now();
        let served = proxy::crowd(self.net, &balancer, &Stop::after(Duration::from_secs(30)));
        let label = Label {
            variant: self.named("balancer"),
            class: "slow_dos".to_owned(),
            attackers: "-".to_owned(),
            span: (begin, SystemTime::now()),
            innocents: vec![("balancer".to_owned(), balancer.v4.into())],
            tool: "-".to_owned(),
        };
        self.conclude(recorder, &label, served.err())
    }

    /// What a tool said shows whether it did what it is labelled with.
    fn keep_log(&self, attack: &Attack) -> Result<()> {
        let log = attack.log(self.temp);
        if log.exists() {
            fs::copy(log, self.file(attack.name).with_extension("log"))?;
        }
        Ok(())
    }

    /// What tcpdump says about losses, and who was harmed on the way.
    fn conclude(
        &self,
        recorder: Capture,
        label: &Label,
        harm: impl IntoIterator<Item = anyhow::Error>,
    ) -> Result<String> {
        let losses = recorder.finish();
        label.record(&self.dir.join("labels.tsv"))?;
        let harm: String = harm.into_iter().map(|error| format!("\n  {error:#}")).collect();
        Ok(format!("{}: {losses}{harm}", label.variant))
    }

    fn file(&self, variant: &str) -> PathBuf {
        self.dir.join(format!("{}.pcap", self.named(variant)))
    }

    fn named(&self, variant: &str) -> String {
        format!("{variant}{}", self.suffix)
    }
}

/// What became of a client that was not served, or that could not even say so.
fn harm(served: thread::Result<Result<()>>) -> Option<anyhow::Error> {
    match served {
        Ok(served) => served.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Some(anyhow!("a client failed: {}", text.unwrap_or_default()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_failed_was_not_served() {
        assert!(harm(thread::spawn(|| Ok(())).join()).is_none());
        let refused = harm(thread::spawn(|| Err(anyhow!("refused"))).join());
        assert_eq!(refused.map(|error| error.to_string()).as_deref(), Some("refused"));
        let failed = harm(thread::spawn(|| -> Result<()> { panic!("no page") }).join());
        assert_eq!(failed.map(|error| error.to_string()).as_deref(), Some("a client failed: no page"));
    }
}
