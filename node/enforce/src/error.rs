//! What can go wrong between SmartFW and the kernel, and what a person can do about it.

use std::{io, path::PathBuf};

/// Why an operation on the kernel, or on a program that talks to it, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnforceError {
    /// A program is not installed.
    #[error("{program} is not installed: install it with `apt-get install {package}`")]
    MissingProgram {
        /// The program's name.
        program: String,
        /// The Debian package that holds it.
        package: &'static str,
    },
    /// The right to change the firewall is missing.
    #[error(
        "{what} needs the capability CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN"
    )]
    Capability {
        /// What was tried.
        what: String,
    },
    /// The kernel lacks what is needed.
    #[error("the kernel has no {what}: {advice}")]
    Unsupported {
        /// What is missing.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// A program did not end in time and was killed; what it changed is unknown until the next look at the kernel.
    #[error(
        "{command} did not end within {seconds} s and was killed: is another program holding the firewall's lock?"
    )]
    Timeout {
        /// The command line.
        command: String,
        /// How long it was given.
        seconds: u64,
    },
    /// A program failed; restore commands change nothing then.
    #[error("{command} failed with {status}: {stderr}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// The start of what it said.
        stderr: String,
    },
    /// A program wrote more than anybody could need.
    #[error("{command} wrote more than {limit} bytes: look at its rules by hand")]
    TooMuchOutput {
        /// The command line.
        command: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The kernel refused a request; earlier requests of the same batch hold.
    #[error("{what}: {why}")]
    Kernel {
        /// What was asked.
        what: String,
        /// The kernel's reason.
        why: String,
    },
    /// The kernel's answer could not be understood.
    #[error("{what}: the kernel's answer is malformed; please report this with the kernel's version")]
    Malformed {
        /// What was asked.
        what: String,
    },
    /// A file or directory could not be used.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The operating system refused something that is not a file.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The enforcer asked for exists by name only.
    #[error(
        "the enforcer {name} is not part of this version: use `iptables`, or `dry-run` to change nothing"
    )]
    NotBuilt {
        /// Its name.
        name: &'static str,
    },
    /// None of the places where packets could be dropped can be had.
    #[error("no table of iptables can be used ({why}): load the kernel's iptables or nf_tables modules")]
    NoTable {
        /// What the tool said about the last one.
        why: String,
    },
    /// The snapshot to restore from is missing or damaged as a whole.
    #[error("no snapshot in {path}: nothing was saved yet, or it is damaged; start smartfw-node instead", path = path.display())]
    NoSnapshot {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file of ours has reached its limit.
    #[error("{path} has reached {limit} bytes: start smartfw-node, which reads and clears it", path = path.display())]
    FileFull {
        /// Which one.
        path: PathBuf,
        /// Its limit, in bytes.
        limit: u64,
    },
}

impl EnforceError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::File { path, source }
    }

    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(nix::Error) -> Self {
        let what = what.into();
        |errno| match errno {
            nix::Error::EPERM | nix::Error::EACCES => Self::Capability { what },
            errno => Self::System { what, source: errno.into() },
        }
    }
}
