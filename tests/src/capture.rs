//! Recording what the server's interface sees, with the truth beside it.

use std::{
    fmt,
    fs::OpenOptions,
    io::Write,
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

/// How many bytes of each frame are kept: headers and the beginning of what is said.
const SNAP: &str = "256";

impl Capture {
    /// Records the server's interface into `file`. Returns when tcpdump listens.
    pub fn start(server: &Namespace, file: &Path) -> Result<Self> {
        let log = file.with_extension("tcpdump");
        let mut command = server.command("tcpdump");
        command.args(["-n", "-i", INTERFACE, "-s", SNAP, "-B", "65536", "-Z", "root", "-w"]).arg(file);
        let tcpdump = Running::start(command, &log)?;
        let listens = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on"));
        until("tcpdump listens", Duration::from_secs(5), listens)?;
        Ok(Self { tcpdump, log })
    }

    /// Ends the record; what tcpdump says about losses.
    pub fn finish(mut self) -> String {
        std::thread::sleep(Duration::from_millis(300));
        self.tcpdump.end(libc::SIGINT);
        let losses = last_line(&self.log);
        let _ = std::fs::remove_file(&self.log);
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

    /// Appends to a table of labels.
    pub fn append(&self, table: &Path) -> Result<()> {
        let fresh = !table.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(table);
        let file = file.as_mut().map_err(|e| anyhow::anyhow!("cannot write {}: {e}", table.display()))?;
        if fresh {
            writeln!(file, "{}", Self::HEADING)?;
        }
        writeln!(file, "{self}").context("cannot write a label")
    }
}
