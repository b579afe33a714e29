//! Runs attacks and benign clients in network namespaces and records them, without SmartFW.
//!
//! `lab list` names the variants. `lab capture [--plain] [--unseen] DIR [WORD…]` records those whose class or the
//! beginning of whose name is one of the words (all without), one capture each, with `DIR/labels.tsv` and the tools' logs
//! beside them; `--plain` switches segmentation and receive offloads off, `--unseen` takes the tools that are kept out of
//! training in place of the others. Needs root. `lab load SECONDS DIR [SEED]` records benign clients
//! that come and go for so long, in captures of three minutes. `lab windows DIR… OUT.csv` makes one table of the windows of such folders.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use smartfw_tests::{
    attack::{self, Attack},
    benign::{self, Benign, Guest},
    capture::{Capture, HEADERS, HEADERS_AND_MORE, Label},
    load::{Load, Served},
    net::{Host, Net, Side},
    process::Stop,
    proxy,
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
    let lab = Lab { net: &net, site: &site, hosts, temp: temp.path(), dir, suffix };
    for attack in attack::ALL.iter().filter(|attack| wanted.attack(attack)) {
        if attack.is_installed() {
            lab.attack(attack)?;
        } else {
            println!("{}: left out, {} is not installed", attack.name, attack.tool());
        }
    }
    for benign in benign::ALL.iter().filter(|benign| wanted.has(benign.name, "benign")) {
        lab.alone(benign, false, benign.name)?;
        lab.alone(benign, true, &format!("{}-v6", benign.name))?;
    }
    if !wanted.held_out && wanted.has("balancer", "slow_dos") {
        lab.balancer()?;
    }
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

struct Lab<'a> {
    net: &'a Net,
    site: &'a Site,
    /// One for each benign client, in their order.
    hosts: Vec<Host>,
    temp: &'a Path,
    dir: &'a Path,
    /// What the names of captures end with.
    suffix: &'static str,
}

/// How long the benign clients are at work before an attack begins, and after its end.
const LEAD: Duration = Duration::from_secs(3);

/// How many benign clients are beside an attack.
const COMPANY: usize = 5;

impl Lab<'_> {
    fn guest<'a>(&'a self, host: &'a Host, v6: bool, stop: &Stop) -> Guest<'a> {
        Guest { host, site: self.site, dir: self.temp, v6, stop: stop.clone() }
    }

    fn alone(&self, benign: &Benign, v6: bool, variant: &str) -> Result<()> {
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

    /// An attack beside the benign clients.
    fn attack(&self, attack: &Attack) -> Result<()> {
        let attacker = self.net.host(Side::Attackers)?;
        let (beside, hosts): (Vec<&Benign>, Vec<&Host>) = self.company(attack).unzip();
        let stop = Stop::after(Duration::from_secs(attack.seconds + 30));
        let recorder = Capture::start(self.net.server(), &self.file(attack.name), HEADERS_AND_MORE)?;
        let guests: Vec<Guest<'_>> =
            hosts.iter().enumerate().map(|(i, host)| self.guest(host, i % 3 == 2, &stop)).collect();
        let (span, harm) = thread::scope(|scope| -> Result<_> {
            let threads: Vec<_> =
                beside.iter().zip(&guests).map(|(benign, guest)| scope.spawn(|| benign.run(guest))).collect();
            thread::sleep(LEAD);
            let begin = SystemTime::now();
            let attacked = attack.run(&attacker, self.temp, &stop);
            let span = (begin, SystemTime::now());
            thread::sleep(LEAD);
            stop.now();
            attacked?;
            Ok((
                span,
                threads.into_iter().filter_map(|t| t.join().map_or(None, Result::err)).collect::<Vec<_>>(),
            ))
        })?;
        let label = Label {
            variant: self.named(attack.name),
            class: attack.class.to_string(),
            attackers: attack.sources(&attacker),
            span,
            innocents: beside.iter().zip(&guests).map(|(b, g)| (b.name.to_owned(), g.address())).collect(),
            tool: attack.tool().to_owned(),
        };
        self.keep_log(attack)?;
        self.conclude(recorder, &label, harm)
    }

    /// Some of the benign clients, others beside each attack: all at once would leave the machine no time for the attack.
    fn company(&self, attack: &Attack) -> impl Iterator<Item = (&Benign, &Host)> {
        let turn = attack::ALL.iter().position(|other| other.name == attack.name).unwrap_or_default();
        benign::ALL.iter().zip(&self.hosts).cycle().skip(turn * COMPANY).take(COMPANY)
    }

    /// A slowloris behind a load balancer, and ten people behind the same: the balancer must not be hard-blocked.
    fn balancer(&self) -> Result<()> {
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

    fn conclude(
        &self,
        recorder: Capture,
        label: &Label,
        harm: impl IntoIterator<Item = anyhow::Error>,
    ) -> Result<()> {
        let losses = recorder.finish();
        label.record(&self.dir.join("labels.tsv"))?;
        println!("{}: {losses}", label.variant);
        for error in harm {
            println!("  {error:#}");
        }
        Ok(())
    }

    fn file(&self, variant: &str) -> PathBuf {
        self.dir.join(format!("{}.pcap", self.named(variant)))
    }

    fn named(&self, variant: &str) -> String {
        format!("{variant}{}", self.suffix)
    }
}
