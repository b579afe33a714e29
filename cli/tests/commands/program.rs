//! The program, run to its end.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, Output},
};

/// How it ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// It did what was asked, and complained of nothing.
    #[track_caller]
    pub(crate) fn worked(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{}", self.stdout);
        self.stdout
    }

    /// It ended with this code and exactly one line on standard error.
    #[track_caller]
    pub(crate) fn failed_with(&self, code: i32) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("smartfw-cli: "), "{self:?}");
    }
}

pub(crate) fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartfw-cli"));
    command.arg("--socket").arg(socket).args(arguments).env_remove("NO_COLOR");
    // No key of whoever runs the tests.
    let operators = socket.with_file_name("operator");
    command.env("SMARTFW_OPERATOR_DIR", operators).env_remove("SMARTFW_PASSPHRASE");
    command.env_remove("SMARTFW_ROOT_PASSPHRASE");
    command
}

pub(crate) fn smartfw(socket: &Path, arguments: &[&str]) -> Ran {
    command(socket, arguments).output().unwrap().into()
}

/// As somebody who may change nothing: these commands would take the host's own rules away. `None` where that cannot
/// be had.
pub(crate) fn without_rights(socket: &Path, arguments: &[&str]) -> Option<Ran> {
    let mut command = command(socket, arguments);
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.output().ok().map(Ran::from)
}
