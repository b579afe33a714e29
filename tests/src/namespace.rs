//! A network namespace that ends with its owner.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::fd::AsRawFd,
    path::PathBuf,
    process::{Command, Stdio, id},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, ensure};

use crate::process;

/// What every name begins with; the owner's process id follows.
const PREFIX: &str = "sfw-lab-";

/// A network namespace. Its name carries this process's id, so that runs side by side do not collide; dropping it
/// deletes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback up. Needs root.
    pub fn new(role: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let name = format!("{PREFIX}{}-{}-{role}", id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let done = Command::new("ip").args(["netns", "add", &name]).output().context("cannot run `ip`")?;
        ensure!(
            done.status.success(),
            "cannot make a network namespace (is this root?): {}",
            String::from_utf8_lossy(&done.stderr)
        );
        let made = Self { name };
        made.ip("link set lo up")?;
        Ok(made)
    }

    /// The name, as `ip netns list` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs lines of `ip` commands inside, all or an error.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut child = Command::new("ip")
            .args(["-n", &self.name, "-batch", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run `ip`")?;
        child.stdin.take().context("no stdin")?.write_all(lines.as_bytes())?;
        let done = child.wait_with_output()?;
        ensure!(
            done.status.success(),
            "`{lines}` failed in {}: {}",
            self.name,
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Writes a kernel setting, e.g. `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = PathBuf::from("/proc/sys").join(key);
        self.inside(|| fs::write(&path, value).with_context(|| format!("cannot write {}", path.display())))?
    }

    /// A command that will run inside, with this namespace's own files of `/etc` (see [`Self::etc`]).
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Puts a file over `/etc/<name>` for every command that runs inside; the machine's own file stays as it is.
    pub fn etc(&self, name: &str, content: &str) -> Result<()> {
        let dir = self.etc_dir();
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        fs::write(dir.join(name), content).with_context(|| format!("cannot write {name} for {}", self.name))
    }

    /// Runs a closure in a thread inside; threads that it starts are inside too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| -> Result<T> {
                self.enter().with_context(|| format!("cannot enter {}", self.name))?;
                Ok(work())
            });
            thread.join().map_err(|_| anyhow::anyhow!("the work in {} panicked", self.name))?
        })
    }

    /// Moves the calling thread inside, for good.
    pub fn enter(&self) -> io::Result<()> {
        let file = File::open(PathBuf::from("/run/netns").join(&self.name))?;
        // SAFETY: setns reads one descriptor, which `file` keeps open, and changes only the calling thread.
        match unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn etc_dir(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.name)
    }
}

/// Deletes what a killed laboratory left behind: namespaces of ours whose owner lives no more, and their programs.
fn sweep() {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()).map(str::to_owned);
        if owner.is_none_or(|pid| PathBuf::from("/proc").join(pid).exists()) {
            continue;
        }
        let left = Namespace { name };
        let listed = Command::new("ip").args(["netns", "pids", &left.name]).output();
        let pids = listed.map(|done| String::from_utf8_lossy(&done.stdout).into_owned()).unwrap_or_default();
        pids.lines().filter_map(|pid| pid.trim().parse().ok()).for_each(process::kill);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
        let _ = fs::remove_dir_all(self.etc_dir());
    }
}
