//! The two programs that change rules, for one family of one back end.

use crate::{
    EnforceError, command,
    iptables::{
        listing::{self, Listing},
        rules::Table,
    },
    sets::Family,
};

/// How long the programs wait for the lock that other firewall tools hold, in seconds: less than their time-out.
const LOCK_SECONDS: &str = "5";
/// The exit code for "a resource is busy": another attempt may succeed.
const BUSY: &str = "exit code 4";

/// Which of the kernel's two rule engines is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The one that the host's `iptables` uses.
    #[default]
    Default,
    /// `iptables-nft`: rules in nf_tables.
    Nft,
    /// `iptables-legacy`: rules in ip_tables.
    Legacy,
}

/// The programs of one family and back end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) family: Family,
    backend: Backend,
}

impl Tool {
    pub(crate) fn new(family: Family, backend: Backend) -> Self {
        Self { family, backend }
    }

    /// Whether its programs are installed.
    pub(crate) fn installed(self) -> bool {
        command::find(&self.program("-restore")).is_some() && command::find(&self.program("-save")).is_some()
    }

    /// What a table holds now.
    pub(crate) fn list(self, table: Table) -> Result<Listing, EnforceError> {
        let output = command::run(&self.program("-save"), &["-t", table.as_str()], b"")?;
        Ok(listing::parse(&String::from_utf8_lossy(&output)))
    }

    /// Carries out `lines` on a table in one step; on failure nothing has changed.
    pub(crate) fn restore(self, table: Table, lines: &[String]) -> Result<(), EnforceError> {
        let input = text(table, lines);
        let program = self.program("-restore");
        command::run(&program, &["-n", "-w", LOCK_SECONDS], input.as_bytes()).map(drop)
    }

    /// The tables that exist in this family's old engine. Looking at others with the legacy tools would make them.
    pub(crate) fn legacy_tables(self) -> Vec<Table> {
        let file = match self.family {
            Family::V4 => "/proc/thread-self/net/ip_tables_names",
            Family::V6 => "/proc/thread-self/net/ip6_tables_names",
        };
        // Without the file there is no old engine.
        let names = std::fs::read_to_string(file).unwrap_or_default();
        Table::ALL.into_iter().filter(|table| names.lines().any(|name| name == table.as_str())).collect()
    }

    fn program(self, suffix: &str) -> String {
        let family = match self.family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        let backend = match self.backend {
            Backend::Default => "",
            Backend::Nft => "-nft",
            Backend::Legacy => "-legacy",
        };
        format!("{family}{backend}{suffix}")
    }
}

/// What the restore program is given for one table.
pub(crate) fn text(table: Table, lines: &[String]) -> String {
    lines.iter().fold(format!("*{table}\n"), |text, line| text + line + "\n") + "COMMIT\n"
}

/// Which engine the host's `iptables` uses.
pub(crate) fn default_backend() -> Result<Backend, EnforceError> {
    let version = command::run("iptables", &["--version"], b"")?;
    let nft = String::from_utf8_lossy(&version).contains("nf_tables");
    Ok(if nft { Backend::Nft } else { Backend::Legacy })
}

/// Whether a table failed because it cannot be had, not because somebody else holds it.
pub(crate) fn unusable(error: &EnforceError) -> bool {
    matches!(error, EnforceError::Command { status, .. } if status != BUSY)
}
