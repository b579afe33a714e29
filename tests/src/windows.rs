//! Captures and the truth about them as one table of windows: what models are trained on and judged by.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use smartfw_capture::FileSource;
use smartfw_core::{
    Time,
    config::SensorConfig,
    features::{NAMES, SCHEMA},
    model::{BENIGN, LEAST_PACKETS},
    sensor::{Sensor, View, WindowReport},
};

use crate::{
    capture::Label,
    net::{SERVER_V4, SERVER_V6},
    peers,
};

/// Any constant: two readings of a capture give the same table.
const SEED: u64 = 0x1ab0;
/// How many windows of one source in one capture the table has at most; a long run says little that is new.
const MOST: usize = 60;
/// How many of somebody innocent who was only beside an attack: the same clients are beside every attack.
const MOST_BESIDE: usize = 10;
/// How long after an attack's end its last packets may come.
const AFTER: Duration = Duration::from_secs(3);

/// The table of every capture that `labels.tsv` names in these folders, folder by folder, in the labels' order.
pub fn table(folders: &[PathBuf]) -> Result<String> {
    let mut names = BTreeSet::new();
    let mut text = format!("# schema {SCHEMA}\n{},class,capture,tool,family\n", NAMES.join(","));
    for folder in folders {
        let name = folder.file_name().context("the folder has no name")?.to_string_lossy();
        // Whoever leaves out a capture means one run and not two.
        ensure!(names.insert(name.clone()), "two folders are called {name}");
        for label in Label::all(&folder.join("labels.tsv"))? {
            let capture = format!("{name}/{}", label.variant);
            let reports = reports(&folder.join(format!("{}.pcap", label.variant)))?;
            Roles::of(&label).append(&reports, &capture, &mut text);
        }
    }
    Ok(text)
}

/// Every window of a capture as a sensor on the server sees it that blocks nobody.
fn reports(path: &Path) -> Result<Vec<WindowReport>> {
    let mut local = vec![IpAddr::from(SERVER_V4).into(), IpAddr::from(SERVER_V6).into()];
    for net in [peers::ALL_V4, peers::ALL_V6] {
        local.push(net.parse().context("not a network")?);
    }
    let mut sensor = Sensor::new(SensorConfig::default(), View::Host(local), SEED);
    sensor.report_every_look();
    let (mut source, mut reports) = (FileSource::open(path)?, Vec::new());
    while let Some(captured) = source.next_frame().with_context(|| format!("{}", path.display()))? {
        if sensor.poll_timeout() <= captured.at {
            sensor.handle_timeout(captured.at);
        }
        // What cannot be parsed has no part in a window.
        let _ = sensor.observe(captured.at, &captured.frame);
        while sensor.poll_verdict().is_some() || sensor.poll_weak(captured.at).is_some() {}
        reports.extend(std::iter::from_fn(|| sensor.poll_window()));
    }
    Ok(reports)
}

/// Who was what in one capture.
struct Roles<'a> {
    /// Class, tool and most windows, by address.
    known: BTreeMap<IpAddr, (&'a str, &'a str, usize)>,
    /// From when to when a window of an attacker is one of the attack.
    attack: (Time, Time),
}

impl<'a> Roles<'a> {
    /// Where nobody in particular attacked, but somebody did, the innocents stand between: what they send is both.
    fn of(label: &'a Label) -> Self {
        let attack = label.class != BENIGN;
        let mut known = BTreeMap::new();
        if !attack || label.attackers != "-" {
            let most = if attack { MOST_BESIDE } else { MOST };
            for (client, address) in &label.innocents {
                known.insert(*address, (BENIGN, client.as_str(), most));
            }
        }
        for address in label.attacking() {
            known.insert(address, (label.class.as_str(), label.tool.as_str(), MOST));
        }
        Self { known, attack: (time(label.span.0), time(label.span.1).after(AFTER)) }
    }

    fn append(&self, reports: &[WindowReport], capture: &str, text: &mut String) {
        let mut of_source = BTreeMap::<IpAddr, Vec<&WindowReport>>::new();
        for report in reports.iter().filter(|report| self.counts(report)) {
            of_source.entry(report.source).or_default().push(report);
        }
        for (address, reports) in of_source {
            let (class, tool, most) = self.known[&address];
            let family = if address.is_ipv6() { "ipv6" } else { "ipv4" };
            for report in spread(&reports, most) {
                for value in report.features.to_array() {
                    let _ = write!(text, "{value},");
                }
                let _ = writeln!(text, "{class},{capture},{tool},{family}");
            }
        }
    }

    fn counts(&self, report: &WindowReport) -> bool {
        let Some((class, ..)) = self.known.get(&report.source) else { return false };
        let packets = report.features.packets_per_second * 10.0;
        let (begin, end) = self.attack;
        packets >= LEAST_PACKETS && (*class == BENIGN || (begin..=end).contains(&report.at))
    }
}

fn time(stamp: SystemTime) -> Time {
    Time::ZERO.after(stamp.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// At most `most` of them, evenly.
fn spread<'a>(reports: &'a [&'a WindowReport], most: usize) -> impl Iterator<Item = &'a WindowReport> {
    let taken = reports.len().min(most);
    (0..taken).map(move |i| reports[i * reports.len() / taken])
}

#[cfg(test)]
mod tests;
