//! The program, run to its end; never with root's rights: without a daemon it would change the host's own rules.

use std::{
    env,
    fs::{self, File, Permissions},
    io,
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{PermissionsExt as _, lchown},
            process::CommandExt as _,
        },
    },
    path::Path,
    process::{Command, Output},
    sync::LazyLock,
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_smartfw-cli");
const NOBODY: u32 = 65_534;

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

pub(crate) fn smartfw(socket: &Path, arguments: &[&str]) -> Ran {
    command(socket, arguments).output().unwrap().into()
}

pub(crate) fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = program(socket.parent().unwrap());
    command.arg("--socket").arg(socket).args(arguments);
    command
}

/// With its state and its keys in the test's folder, not in those of whoever runs the tests.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command =
        if nix::unistd::geteuid().is_root() { as_nobody(folder) } else { Command::new(PROGRAM) };
    command.env("SMARTFW_STATE_DIR", folder.join("state"));
    command.env("SMARTFW_OPERATOR_DIR", folder.join("operator"));
    for inherited in ["NO_COLOR", "SMARTFW_PASSPHRASE", "SMARTFW_ROOT_PASSPHRASE", "SOURCE_DATE_EPOCH"] {
        command.env_remove(inherited);
    }
    command
}

fn as_nobody(folder: &Path) -> Command {
    /// A copy without a name, because nobody may not reach a program below a folder of root's alone.
    static COPY: LazyLock<File> = LazyLock::new(|| {
        let mut copy = tempfile::tempfile().unwrap();
        io::copy(&mut File::open(PROGRAM).unwrap(), &mut copy).unwrap();
        copy.set_permissions(Permissions::from_mode(0o755)).unwrap();
        // What is open for writing cannot be run.
        File::open(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap()
    });
    if folder.parent() == Some(&env::temp_dir()) {
        give_to_nobody(folder);
    }
    let mut command = Command::new(format!("/proc/self/fd/{}", COPY.as_raw_fd()));
    command.arg0("smartfw-cli").uid(NOBODY).gid(NOBODY);
    command
}

fn give_to_nobody(path: &Path) {
    lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    let inner = fs::read_dir(path).into_iter().flatten();
    inner.for_each(|entry| give_to_nobody(&entry.unwrap().path()));
}

/// The peak of a process's memory, KiB.
pub(crate) fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
