//! Runs attacks and benign clients in network namespaces and records them, without SmartFW.
//!
//! `lab list` names the variants. `lab capture [--plain] [--unseen] DIR [WORD…]` records those whose class or the
//! beginning of whose name is one of the words (all without), one capture each, with `DIR/labels.tsv` and the tools' logs
//! beside them; `--plain` switches segmentation and receive offloads off, `--unseen` takes the tools that are kept out of
//! training in place of the others. Where an attack fails the others go on, and the exit code is 1. Needs root. `lab load SECONDS DIR [SEED]` records benign clients
//! that come and go for so long, in captures of three minutes. `lab windows DIR… OUT.csv` makes one table of the windows of such folders.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use smartfw_tests::{
    attack::{self, Attack},
    benign,
    capture::{Capture, HEADERS, Label},
    load::{Load, Served},
    net::Net,
    process::Stop,
    scene::Scene,
    site::Site,
    windows,
};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let (flags, words): (Vec<&str>, Vec<&str>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with("--"));
    let done = match (&words[..], &flags[..]) {
        (["list"], []) => {
            list();
            Ok(())
        }
        (["capture", dir, words @ ..], flags)
            if flags.iter().all(|f| ["--plain", "--unseen"].contains(f)) =>
        {
            let (plain, held_out) = (flags.contains(&"--plain"), flags.contains(&"--unseen"));
            capture(Path::new(dir), &Wanted { words, held_out }, plain)
        }
        (["load", seconds, dir], []) => load(seconds, Path::new(dir), "0"),
        (["load", seconds, dir, seed], []) => load(seconds, Path::new(dir), seed),
        (["windows", folders @ .., table], []) if !folders.is_empty() => tabulate(folders, Path::new(table)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = done {
        eprintln!("lab: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

const USAGE: &str = "usage: lab list | lab capture [--plain] [--unseen] DIR [WORD…] | lab load SECONDS DIR [SEED] | lab windows DIR… OUT.csv";

fn list() {
    for attack in attack::ALL {
        let unseen = if attack.held_out { "\tunseen" } else { "" };
        println!("{}\t{}\t{}\t{} s{unseen}", attack.name, attack.class, attack.tool(), attack.seconds);
    }
    for benign in benign::ALL {
        println!("{}\tbenign\t{} s", benign.name, benign.seconds);
    }
}

/// What to record.
struct Wanted<'a> {
    words: &'a [&'a str],
    held_out: bool,
}

impl Wanted<'_> {
    fn has(&self, name: &str, class: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.starts_with(word) || class == *word)
    }

    fn attack(&self, attack: &Attack) -> bool {
        attack.held_out == self.held_out && self.has(attack.name, attack.class.as_str())
    }
}

fn capture(dir: &Path, wanted: &Wanted<'_>, plain: bool) -> Result<()> {
    fs::create_dir_all(dir)?;
    let temp = tempfile::tempdir()?;
    let net = Net::new()?;
    let site = Site::open(&net, temp.path())?;
    net.set_offloads(!plain)?;
    let hosts = benign::ALL.iter().map(|benign| benign.host(&net)).collect::<Result<Vec<_>>>()?;
    let suffix = if plain { "-plain" } else { "" };
    let scene = Scene { net: &net, site: &site, hosts, temp: temp.path(), dir, suffix };
    let mut failed = Vec::new();
    for attack in attack::ALL.iter().filter(|attack| wanted.attack(attack)) {
        if attack.is_installed() {
            match scene.attack(attack) {
                Ok(told) => println!("{told}"),
                Err(error) => {
                    eprintln!("{}: failed: {error:#}", attack.name);
                    failed.push(attack.name);
                }
            }
        } else {
            println!("{}: left out, {} is not installed", attack.name, attack.tool());
        }
    }
    for benign in benign::ALL.iter().filter(|benign| wanted.has(benign.name, "benign")) {
        println!("{}", scene.alone(benign, false, benign.name)?);
        println!("{}", scene.alone(benign, true, &format!("{}-v6", benign.name))?);
    }
    if !wanted.held_out && wanted.has("balancer", "slow_dos") {
        println!("{}", scene.balancer()?);
    }
    ensure!(failed.is_empty(), "not as they should be: {}", failed.join(", "));
    Ok(())
}

/// How long one capture of a load is: in another the same clients do something else.
const PIECE: Duration = Duration::from_secs(180);

fn load(seconds: &str, dir: &Path, seed: &str) -> Result<()> {
    let seconds: u64 = seconds.parse().context("not a number of seconds")?;
    let seed: u64 = seed.parse().context("the seed is no number")?;
    fs::create_dir_all(dir)?;
    let temp = tempfile::tempdir()?;
    let net = Net::new()?;
    let site = Site::open(&net, temp.path())?;
    let load = Load::new(&net)?;
    for piece in 0..seconds.div_ceil(PIECE.as_secs()) {
        let variant = format!("load-{}", seed + piece);
        let length = PIECE.min(Duration::from_secs(seconds - piece * PIECE.as_secs()));
        let recorder = Capture::start(net.server(), &dir.join(format!("{variant}.pcap")), HEADERS)?;
        let begin = SystemTime::now();
        let Served { clients, visits, connections, harm } =
            load.run(&net, &site, temp.path(), seed + piece, &Stop::after(length))?;
        let losses = recorder.finish();
        let label = Label {
            variant,
            class: "benign".to_owned(),
            attackers: "-".to_owned(),
            span: (begin, SystemTime::now()),
            innocents: load.addresses(),
            tool: "-".to_owned(),
        };
        label.record(&dir.join("labels.tsv"))?;
        println!(
            "{}: {clients} clients, {visits} visits, {connections} connections; {losses}",
            label.variant
        );
        harm.iter().for_each(|harm| println!("  {harm}"));
    }
    Ok(())
}

fn tabulate(folders: &[&str], table: &Path) -> Result<()> {
    let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    fs::write(table, windows::table(&folders)?).with_context(|| format!("cannot write {}", table.display()))
}
