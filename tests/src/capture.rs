//! Recording what the server's interface sees, with the truth beside it.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};

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
const SNAP: &str = "256";

impl Capture {
    /// Records the server's interface into `file`. Returns when tcpdump listens.
    pub fn start(server: &Namespace, file: &Path) -> Result<Self> {
        let log = file.with_extension("tcpdump");
        let mut command = server.command("tcpdump");
        command.args(["-n", "-i", INTERFACE, "-s", SNAP, "-B", "65536", "-Z", "root", "-w"]).arg(file);
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
    /// Who must not be blocked, and what they did.
    pub innocents: Vec<String>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds =
            |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let (begin, end) = (seconds(self.span.0), seconds(self.span.1));
        let innocents = if self.innocents.is_empty() { "-".to_owned() } else { self.innocents.join(",") };
        write!(f, "{}\t{}\t{}\t{begin:.6}\t{end:.6}\t{innocents}", self.variant, self.class, self.attackers)
    }
}

impl Label {
    /// The first line of a table of labels.
    pub const HEADING: &str = "variant\tclass\tattackers\tbegin\tend\tinnocents";

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
