//! Programs that end with their owner or at their deadline, whichever is first.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// How often a wait looks again.
const POLL: Duration = Duration::from_millis(10);

/// How long a program may take to end after SIGTERM or SIGINT, before SIGKILL.
const GRACE: Duration = Duration::from_secs(3);

/// When work has to end: at a deadline, or earlier when somebody says so.
#[derive(Clone, Debug)]
pub struct Stop {
    said: Arc<AtomicBool>,
    deadline: Instant,
}

impl Stop {
    /// Ends after this long at the latest.
    pub fn after(limit: Duration) -> Self {
        Self { said: Arc::new(AtomicBool::new(false)), deadline: Instant::now() + limit }
    }

    /// Ends it now, for all clones.
    pub fn now(&self) {
        self.said.store(true, Ordering::Relaxed);
    }

    /// Whether it is time to end.
    pub fn reached(&self) -> bool {
        self.said.load(Ordering::Relaxed) || Instant::now() >= self.deadline
    }

    /// Sleeps, but not beyond the end. True when there is time left.
    pub fn sleep(&self, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        while !self.reached() && Instant::now() < end {
            thread::sleep(POLL.min(end.saturating_duration_since(Instant::now())));
        }
        !self.reached()
    }

    /// A clone that ends after `limit`, or with this one.
    pub fn within(&self, limit: Duration) -> Self {
        Self { said: self.said.clone(), deadline: self.deadline.min(Instant::now() + limit) }
    }
}

/// A running program in its own process group. Dropping it ends the whole group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    ended: bool,
}

impl Running {
    /// Starts a program; what it prints goes to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let name = format!("{command:?}");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        Ok(Self { child, name, ended: false })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: i32) {
        send(self.pid().cast_signed(), signal);
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end of the program. `None` when `stop` came first, and the program was ended.
    pub fn wait(mut self, stop: &Stop) -> Result<Option<ExitStatus>> {
        while !stop.reached() {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(Some(status));
            }
            thread::sleep(POLL);
        }
        self.end(libc::SIGTERM);
        Ok(None)
    }

    /// Ends it in order, with this signal, and the whole group by force if that does not help.
    pub fn end(&mut self, signal: i32) {
        if self.ended {
            return;
        }
        self.ended = true;
        let group = -self.pid().cast_signed();
        send(group, signal);
        let end = Instant::now() + GRACE;
        while self.alive() && Instant::now() < end {
            thread::sleep(POLL);
        }
        send(group, libc::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(libc::SIGTERM);
    }
}

/// Runs a program to its end within `stop`; an error when it fails or is not done in time.
pub fn succeed(command: Command, log: &Path, stop: &Stop) -> Result<()> {
    let running = Running::start(command, log)?;
    let name = running.name.clone();
    match running.wait(stop)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("{name} ended with {status}: {}", last_line(log)),
        None => bail!("{name} was not done in time: {}", last_line(log)),
    }
}

/// The last line of a log that is not empty, for messages.
pub fn last_line(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("(no output)").to_owned()
}

/// Waits until a condition holds; an error that names it after `limit`.
pub fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) -> Result<Duration> {
    let begin = Instant::now();
    while !holds() {
        if begin.elapsed() > limit {
            bail!("waited {} s in vain until {what}", limit.as_secs());
        }
        thread::sleep(POLL);
    }
    Ok(begin.elapsed())
}

/// Ends a process at once.
pub(crate) fn kill(pid: i32) {
    send(pid, libc::SIGKILL);
}

fn send(pid: i32, signal: i32) {
    // SAFETY: kill has no memory effects; the id is one of ours: a child (or its group) not waited for yet, or in a namespace of ours.
    unsafe {
        libc::kill(pid, signal);
    }
}
