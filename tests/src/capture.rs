//! Recording what the server's interface sees, with the truth beside it.

use std::{
    fmt, fs,
    net::IpAddr,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail};

use crate::{
    namespace::Namespace,
    net::INTERFACE,
    process::{Running, last_line, until},
};

/// A running recorder.
#[derive(Debug)]
pub struct Capture {
    tcpdump: Running,
    log: PathBuf,
}

/// tcpdump reads the kernel's ring in blocks, and a block that is not full is handed over after a second.
const BLOCK: Duration = Duration::from_millis(1300);

/// How many bytes of each frame are kept: headers and the beginning of what is said.
pub const HEADERS_AND_MORE: u32 = 256;
/// The headers alone, with options and tunnels: enough for hours.
pub const HEADERS: u32 = 128;

impl Capture {
    /// Records `snap` bytes of each frame at the server's interface into `file`. Returns when tcpdump listens.
    pub fn start(server: &Namespace, file: &Path, snap: u32) -> Result<Self> {
        let log = file.with_extension("tcpdump");
        let mut command = server.command("tcpdump");
        command.args(["-n", "-i", INTERFACE, "-s", &snap.to_string(), "-B", "65536", "-Z", "root", "-w"]);
        command.arg(file);
        let tcpdump = Running::start(command, &log)?;
        let listens = || fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on"));
        until("tcpdump listens", Duration::from_secs(5), listens)?;
        Ok(Self { tcpdump, log })
    }

    /// Ends the record; what tcpdump says about losses.
    pub fn finish(mut self) -> String {
        std::thread::sleep(BLOCK);
        self.tcpdump.end(libc::SIGINT);
        let losses = last_line(&self.log);
        let _ = fs::remove_file(&self.log);
        losses
    }
}

/// The truth about one capture.
#[derive(Clone, Debug)]
pub struct Label {
    /// The variant, and the capture's file name without `.pcap`.
    pub variant: String,
    /// The class of the attack, or `benign`.
    pub class: String,
    /// Who attacked: addresses separated by commas, `random`, or `-`.
    pub attackers: String,
    /// When the attack began and ended.
    pub span: (SystemTime, SystemTime),
    /// Who must not be blocked: what each did, and from where.
    pub innocents: Vec<(String, IpAddr)>,
    /// What the attack was carried out with, or `-`.
    pub tool: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds =
            |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (begin, end) = (seconds(self.span.0), seconds(self.span.1));
        let innocents: Vec<String> =
            self.innocents.iter().map(|(name, address)| format!("{name}={address}")).collect();
        let innocents = if innocents.is_empty() { "-".to_owned() } else { innocents.join(",") };
        let Self { variant, class, attackers, tool, .. } = self;
        write!(f, "{variant}\t{class}\t{attackers}\t{begin:.6}\t{end:.6}\t{innocents}\t{tool}")
    }
}

impl FromStr for Label {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let columns: Vec<&str> = line.split('\t').collect();
        let [variant, class, attackers, begin, end, innocents, tool] = columns[..] else {
            bail!("it has {} columns in place of 7", columns.len());
        };
        let time = |text: &str| -> Result<SystemTime> {
            Ok(SystemTime::UNIX_EPOCH + Duration::try_from_secs_f64(text.parse()?)?)
        };
        let innocent = |text: &str| -> Result<(String, IpAddr)> {
            let (name, address) = text.split_once('=').context("an innocent has no address")?;
            Ok((name.to_owned(), address.parse()?))
        };
        let innocents = innocents.split(',').filter(|text| *text != "-").map(innocent);
        Ok(Self {
            variant: variant.to_owned(),
            class: class.to_owned(),
            attackers: attackers.to_owned(),
            span: (time(begin)?, time(end)?),
            innocents: innocents.collect::<Result<_>>()?,
            tool: tool.to_owned(),
        })
    }
}

impl Label {
    /// The first line of a table of labels.
    pub const HEADING: &str = "variant\tclass\tattackers\tbegin\tend\tinnocents\ttool";

    /// Reads a table of labels.
    pub fn all(table: &Path) -> Result<Vec<Self>> {
        let text = fs::read_to_string(table).with_context(|| format!("cannot read {}", table.display()))?;
        let lines = text.lines().skip(1).map(|line| {
            line.parse().with_context(|| format!("{} has a line that is no label: {line}", table.display()))
        });
        lines.collect()
    }

    /// The attackers that have addresses.
    pub fn attacking(&self) -> Vec<IpAddr> {
        self.attackers.split(',').filter_map(|address| address.parse().ok()).collect()
    }

    /// Writes into a table of labels, in place of an older label of the same variant.
    pub fn record(&self, table: &Path) -> Result<()> {
        let old = fs::read_to_string(table).unwrap_or_default();
        let others = old.lines().skip(1).filter(|line| line.split('\t').next() != Some(&self.variant));
        let mut text = format!("{}\n", Self::HEADING);
        others.for_each(|line| text.extend([line, "\n"]));
        fs::write(table, format!("{text}{self}\n"))
            .with_context(|| format!("cannot write {}", table.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            variant: "nmap-syn".into(),
            class: "port_scan".into(),
            attackers: "203.0.113.9".into(),
            span: (SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + Duration::from_millis(1500)),
            innocents: vec![("dns".into(), [192, 0, 2, 7].into()), ("git".into(), [192, 0, 2, 8].into())],
            tool: "nmap".into(),
        }
    }

    #[test]
    fn a_label_is_read_as_it_was_written() {
        let line = label().to_string();
        assert_eq!(line.parse::<Label>().unwrap().to_string(), line);
        let nobody = Label { innocents: vec![], attackers: "random".into(), ..label() };
        let read: Label = nobody.to_string().parse().unwrap();
        assert!(read.innocents.is_empty() && read.attacking().is_empty());
    }

    #[test]
    fn a_line_that_lacks_a_column_is_no_label() {
        let line = label().to_string();
        assert!(line.rsplit_once('\t').unwrap().0.parse::<Label>().is_err());
    }

    #[test]
    fn a_second_record_of_a_variant_takes_the_place_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("labels.tsv");
        label().record(&table).unwrap();
        Label { variant: "other".into(), ..label() }.record(&table).unwrap();
        Label { tool: "masscan".into(), ..label() }.record(&table).unwrap();
        let read = Label::all(&table).unwrap();
        assert_eq!(read.iter().map(|l| l.tool.as_str()).collect::<Vec<_>>(), ["nmap", "masscan"]);
    }
}
