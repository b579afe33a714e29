//! Labelled captures through `replay`: what the rules find, what they miss, and that nobody innocent is blocked.
//!
//! The captures are other people's and not part of this repository: `SMARTFW_DATA` names a folder with `LABELS.tsv`
//! (path, label, attacker's address, …) and the files that it lists. `malformed/` beside it holds captures made to break
//! parsers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and says what it skips"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use smartfw_tests::daemon::program;

#[test]
fn labelled_attacks_are_found_and_nobody_innocent_is_blocked() {
    let Some(data) = data() else { return };
    let (rules, both) = (judged(&data, "none"), judged(&data, "builtin"));
    println!("label\tcaptures\tfound by rules\tby rules and models\tmissed by both");
    for (class, score) in &rules.table {
        let with = &both.table[class];
        println!("{class}\t{}\t{}\t{}\t{}", score.files, score.found, with.found, with.missed.join(" "));
    }
    for Judged { table, hurt } in [&rules, &both] {
        assert!(hurt.is_empty(), "blocked, and not the attacker: {hurt:#?}");
        let loud = &table["benign"].missed;
        assert!(loud.is_empty(), "alerts in benign captures: {loud:?}");
    }
    for class in ["port_scan", "net_flood", "slow_dos", "brute_force"] {
        let (score, with) = (&rules.table[class], &both.table[class]);
        assert!(score.found * 10 >= score.files * 8, "{class}: {} of {} found", score.found, score.files);
        assert!(with.found >= score.found, "{class}: models hide what rules find: {:?}", with.missed);
    }
}

/// What became of all captures.
struct Judged {
    table: BTreeMap<String, Score>,
    /// Captures in which somebody else than the attacker was blocked.
    hurt: Vec<String>,
}

fn judged(data: &Path, model: &str) -> Judged {
    let (mut table, mut hurt) = (BTreeMap::<String, Score>::new(), Vec::new());
    for label in labels(data) {
        let seen = replay(&data.join(&label.path), model);
        let wrong: Vec<_> =
            seen.blocked.iter().filter(|target| !label.may_be_blocked(target)).cloned().collect();
        if !wrong.is_empty() {
            hurt.push(format!("{} ({model}): {}", label.path, wrong.join(" ")));
        }
        let score = table.entry(label.class.to_owned()).or_default();
        score.files += 1;
        if label.is_found_in(&seen) {
            score.found += 1;
        } else {
            score.missed.push(label.path);
        }
    }
    Judged { table, hurt }
}

#[test]
fn captures_made_to_break_parsers_break_nothing() {
    let Some(data) = data() else { return };
    let folder = data.join("malformed");
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(files.len() >= 800, "{} holds {} captures only", folder.display(), files.len());
    let mut malformed = 0;
    for some in files.chunks(100) {
        let output = Command::new(program("smartfw-cli").unwrap())
            .args(["-o", "json", "replay"])
            .args(some)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code <= 1), "{:?}: {error}", output.status);
        assert!(!error.contains("panicked"), "{error}");
        let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap().to_owned();
        let total: Value = serde_json::from_str(&last).unwrap();
        malformed += total["malformed"].as_u64().unwrap();
    }
    println!("{} captures read, {malformed} frames named malformed", files.len());
    assert!(malformed > 0, "nothing was found to be malformed, which cannot be");
}

fn data() -> Option<PathBuf> {
    let data = env::var_os("SMARTFW_DATA").map(PathBuf::from);
    if data.is_none() {
        println!("skipped: SMARTFW_DATA names no folder with labelled captures");
    }
    data
}

#[derive(Default)]
struct Score {
    files: usize,
    found: usize,
    missed: Vec<String>,
}

struct Label {
    path: String,
    class: &'static str,
    attacker: String,
}

struct Seen {
    /// Class and source (or destination) of each alert.
    alerts: BTreeSet<(String, String)>,
    blocked: BTreeSet<String>,
}

impl Label {
    fn may_be_blocked(&self, target: &str) -> bool {
        target.split('/').next() == Some(&self.attacker)
    }

    /// A benign capture is "found" when nothing was.
    fn is_found_in(&self, seen: &Seen) -> bool {
        match self.class {
            "benign" => seen.alerts.is_empty(),
            "http_flood" => self.has(seen, &["http_flood", "net_flood"]),
            "botnet" => self.has(seen, &["botnet", "port_scan"]),
            class => self.has(seen, &[class]),
        }
    }

    fn has(&self, seen: &Seen, classes: &[&str]) -> bool {
        let named = self.attacker.parse::<std::net::IpAddr>().is_ok();
        seen.alerts
            .iter()
            .any(|(class, who)| classes.contains(&&**class) && (!named || *who == self.attacker))
    }
}

fn labels(data: &Path) -> Vec<Label> {
    let text = fs::read_to_string(data.join("LABELS.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| Label { path: row[0].into(), class: class(row[1]), attacker: attacker(&row) }).collect()
}

/// The column names the attacker of the series; a note corrects it for one capture: `ftp_bounce: attacker 192.0.2.1 …`.
fn attacker(row: &[&str]) -> String {
    let corrected = row[3].split_once("ftp_bounce: attacker ").filter(|_| row[0].contains("ftp_bounce"));
    corrected.and_then(|(_, note)| note.split(' ').next()).unwrap_or(row[2]).to_owned()
}

fn class(label: &str) -> &'static str {
    match label {
        "portscan" | "hostsweep" => "port_scan",
        l if l.starts_with("bruteforce") => "brute_force",
        "slowloris" => "slow_dos",
        "httpflood" => "http_flood",
        l if l.contains("flood") || l.contains("amplification") => "net_flood",
        "benign" | "encap-benign" => "benign",
        _ => "botnet",
    }
}

fn replay(path: &Path, model: &str) -> Seen {
    let output = Command::new(program("smartfw-cli").unwrap())
        .args(["-o", "json", "replay", "--model", model])
        .arg(path)
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    let mut seen = Seen { alerts: BTreeSet::new(), blocked: BTreeSet::new() };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        match object["kind"].as_str() {
            Some("alert") => {
                let who = if object["source"].is_null() { text("destination") } else { text("source") };
                seen.alerts.insert((text("class"), who));
            }
            Some("block") => {
                seen.blocked.insert(text("target"));
            }
            _ => {}
        }
    }
    seen
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension != "md") {
            files.push(path);
        }
    }
    files.sort();
}
