//! Runs attack variants against a server that the real daemon guards, beside benign clients, and prints what came of
//! each: detected, class, seconds to drop, packets let through, clients hurt.
//!
//! `live` runs the variants that must be right, and fails when one is not; `live --all` runs every variant, `live
//! NAME…` those; what is not in the required list is reported only. Needs root and the built programs.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{env, process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use smartfw_tests::{
    attack::{self, Attack},
    crew::Crew,
    daemon::Guard,
    net::Net,
    site::Site,
    trial::{Ground, Outcome},
};

/// What must be detected, named and dropped, with nobody hurt.
const REQUIRED: &[&str] = &[
    "nmap-syn",
    "nmap-connect",
    "nmap-fin",
    "nmap-udp",
    "nmap-syn-v6",
    "hydra-ssh",
    "hydra-ftp",
    "slowhttp-headers",
    "hping-syn",
    "hping-udp",
    "hping-icmp",
    "ab-flood",
    "random-syn",
];

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let all = args.iter().any(|arg| arg == "--all");
    let wanted = |attack: &&Attack| match (all, args.is_empty()) {
        (true, _) => !attack.name.starts_with("nmap-slow"),
        (false, true) => REQUIRED.contains(&attack.name),
        (false, false) => args.iter().any(|name| name == attack.name),
    };
    let attacks: Vec<&'static Attack> = attack::ALL.iter().filter(wanted).collect();
    match run(&attacks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("live: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(attacks: &[&'static Attack]) -> Result<()> {
    ensure!(!attacks.is_empty(), "no such variant; `lab list` names them");
    let temp = tempfile::tempdir()?;
    let net = Net::new()?;
    let site = Site::open(&net, temp.path())?;
    let guard = Guard::start(net.server(), &temp.path().join("node"))?;
    let limit = Duration::from_secs(attacks.iter().map(|attack| attack.seconds + 10).sum::<u64>() + 60);
    let failed = Crew::around(&net, &site, temp.path(), limit, |crew| {
        // The benign clients' first requests come before the first attack, as they do in life.
        std::thread::sleep(Duration::from_secs(5));
        let ground = Ground { net: &net, site: &site, guard: &guard, crew, dir: temp.path() };
        println!("{}", Outcome::HEADING);
        let mut failed = Vec::new();
        for attack in attacks {
            let outcome = ground.run(attack)?;
            println!("{outcome}");
            outcome.hurt.iter().for_each(|harm| println!("    {harm}"));
            if REQUIRED.contains(&attack.name) && !outcome.good(attack) {
                failed.push(attack.name);
            }
        }
        Ok(failed)
    })?;
    ensure!(failed.is_empty(), "not as required: {}", failed.join(", "));
    Ok(())
}
