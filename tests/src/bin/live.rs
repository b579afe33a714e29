//! Runs attack variants against a server that the real daemon guards, beside benign clients, and prints what came of
//! each: detected, class, seconds to drop, packets let through, clients hurt.
//!
//! `live` runs the variants that must be right, and fails when one is not; `live --all` runs every variant but nmap's
//! slowest scans, which take minutes, `live NAME…` those; what is not in the required list is reported only. `live --unseen` requires as much of every tool that
//! no training set holds. `--plain` switches segmentation and receive offloads off, and must change no verdict.
//! `live --load SECONDS` attacks nobody: benign clients come and go, and none may be hurt or blocked, or accused by more
//! than an alert that only reports.
//! Needs root and the built programs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{env, net::IpAddr, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use smartfw_tests::{
    attack::{self, Attack},
    crew::Crew,
    daemon::Guard,
    kernel,
    load::{Load, Served},
    net::Net,
    process::Stop,
    site::Site,
    trial::{Ground, Outcome},
};

/// So many variants have addresses in one network, and none of them a neighbour's guilt of long ago.
const ROUND: usize = 40;

/// What must be detected, named and dropped, with nobody hurt.
const REQUIRED: &[&str] = &[
    "nmap-syn",
    "nmap-connect",
    "nmap-fin",
    "nmap-udp",
    "nmap-syn-v6",
    "nmap-sweep",
    "hydra-ssh",
    "hydra-ftp",
    "slowhttp-headers",
    "hping-syn",
    "hping-udp",
    "hping-icmp",
    "ab-flood",
    "random-syn",
    "masscan",
    "masscan-sweep",
    "medusa-ssh",
    "patator-ftp",
    "siege",
    "mausezahn-udp",
];

/// Any constant: two loads of the same length are the same.
const SEED: u64 = 1;

/// What to run.
#[derive(Debug, Default)]
struct Wanted {
    all: bool,
    unseen: bool,
    plain: bool,
    load: Option<Duration>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let done = Wanted::parse(env::args().skip(1)).and_then(|wanted| match wanted.load {
        Some(duration) => load(duration, wanted.plain),
        None => attack(&wanted),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Wanted {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--all" => wanted.all = true,
                "--unseen" => wanted.unseen = true,
                "--plain" => wanted.plain = true,
                "--load" => {
                    let seconds = args.next().context("--load wants a number of seconds")?;
                    wanted.load = Some(Duration::from_secs(seconds.parse().context("--load wants seconds")?));
                }
                flag if flag.starts_with("--") => bail!("no such flag: {flag}"),
                _ => wanted.names.push(arg),
            }
        }
        Ok(wanted)
    }

    fn attacks(&self) -> Vec<&'static Attack> {
        let wanted = |attack: &&Attack| match self {
            Self { all: true, .. } => !attack.name.starts_with("nmap-slow"),
            Self { unseen: true, .. } => attack.held_out,
            Self { names, .. } if names.is_empty() => REQUIRED.contains(&attack.name),
            Self { names, .. } => names.iter().any(|name| name == attack.name),
        };
        attack::ALL.iter().filter(wanted).collect()
    }

    fn requires(&self, attack: &Attack) -> bool {
        REQUIRED.contains(&attack.name) || self.unseen && attack.held_out
    }
}

fn attack(wanted: &Wanted) -> Result<()> {
    let (installed, lacking): (Vec<&Attack>, Vec<&Attack>) =
        wanted.attacks().into_iter().partition(|attack| attack.is_installed());
    ensure!(!installed.is_empty(), "no such variant; `lab list` names them");
    for attack in lacking {
        ensure!(!REQUIRED.contains(&attack.name), "{} is not installed", attack.tool());
        println!("{}: left out, {} is not installed", attack.name, attack.tool());
    }
    println!("{}", Outcome::HEADING);
    let rounds = installed.chunks(ROUND).map(|attacks| round(wanted, attacks));
    let failed = rounds.collect::<Result<Vec<_>>>()?.concat();
    ensure!(failed.is_empty(), "not as required: {}", failed.join(", "));
    Ok(())
}

/// Some variants against one server, one after the other. Tells which were not as required.
fn round(wanted: &Wanted, attacks: &[&'static Attack]) -> Result<Vec<&'static str>> {
    let temp = tempfile::tempdir()?;
    let net = Net::new()?;
    let site = Site::open(&net, temp.path())?;
    net.set_offloads(!wanted.plain)?;
    let guard = Guard::start(net.server(), &temp.path().join("node"))?;
    let limit = Duration::from_secs(attacks.iter().map(|attack| attack.seconds + 10).sum::<u64>() + 60);
    Crew::around(&net, &site, temp.path(), limit, |crew| {
        // The benign clients' first requests come before the first attack, as they do in life.
        std::thread::sleep(Duration::from_secs(5));
        let ground = Ground { net: &net, site: &site, guard: &guard, crew, dir: temp.path() };
        let mut failed = Vec::new();
        for attack in attacks {
            let outcome = ground.run(attack)?;
            println!("{outcome}");
            outcome.hurt.iter().for_each(|harm| println!("    {harm}"));
            if wanted.requires(attack) && !outcome.good(attack) {
                failed.push(attack.name);
            }
        }
        Ok(failed)
    })
}

/// Benign clients alone. An alert that only reports is told, and no failure.
fn load(duration: Duration, plain: bool) -> Result<()> {
    let temp = tempfile::tempdir()?;
    let net = Net::new()?;
    let site = Site::open(&net, temp.path())?;
    net.set_offloads(!plain)?;
    let guard = Guard::start(net.server(), &temp.path().join("node"))?;
    let load = Load::new(&net)?;
    let mut served = load.run(&net, &site, temp.path(), SEED, &Stop::after(duration))?;
    let addresses = load.addresses();
    let named = |address: &IpAddr| addresses.iter().find(|(_, a)| a == address).map(|(name, _)| name);
    let alerts = guard.json(&["alerts"])?;
    let alerts = alerts.as_array().context("alerts are no list")?;
    for alert in alerts {
        let source = alert["source"].as_str().and_then(|text| text.parse().ok());
        let text = format!("alert about {:?}: {alert}", source.as_ref().and_then(named));
        if source.is_some_and(|source| named(&source).is_some()) && alert["action"] != "report" {
            served.harm.push(text);
        } else {
            println!("{text}");
        }
    }
    for entry in kernel::blocked(net.server())? {
        let covered = addresses.iter().filter(|(_, address)| entry.covers(*address));
        served.harm.extend(covered.map(|(name, address)| format!("{name} ({address}) is blocked")));
    }
    let Served { clients, visits, connections, harm } = served;
    println!(
        "{} s: {clients} clients, {visits} visits, {connections} connections, {} alerts, {} harmed",
        duration.as_secs(),
        alerts.len(),
        harm.len()
    );
    harm.iter().for_each(|harm| println!("    {harm}"));
    ensure!(harm.is_empty(), "benign clients came to harm");
    Ok(())
}
