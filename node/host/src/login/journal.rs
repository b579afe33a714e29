//! Follows the systemd journal by `journalctl`.

use std::{
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::lines::Lines;
use crate::net::sys;

/// How long to wait before starting `journalctl` again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(60);
/// Bytes read in one call.
const MAX_READ: usize = 1 << 20;

/// The journal, followed by a child process that is started again when it ends.
pub(super) struct Journal {
    running: Option<Running>,
    wait: Duration,
    start: Instant,
}

struct Running {
    child: Child,
    output: ChildStdout,
    lines: Lines,
}

/// The fields of an entry that matter. Those with an underscore are the journal's own word: nobody can forge them.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: String,
    #[serde(rename = "_UID")]
    user: String,
    #[serde(rename = "_COMM")]
    program: String,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    micros: String,
}

/// Whether journald runs on this host.
pub(super) fn exists(root: &Path) -> bool {
    root.join("run/systemd/journal/socket").exists()
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { running: None, wait: FIRST_WAIT, start: Instant::now() }
    }

    /// Waits at most `patience` and gives `each` the new entries of sshd: microseconds since the epoch, and message.
    /// Returns how many entries were too long.
    ///
    /// # Errors
    /// When `journalctl` cannot be run or has ended; it is started again by a later call.
    pub(super) fn poll(&mut self, patience: Duration, each: &mut dyn FnMut(u64, &str)) -> io::Result<u64> {
        if self.running.is_none() {
            let left = self.start.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                std::thread::sleep(left.min(patience));
                return Ok(0);
            }
            self.start = Instant::now() + self.wait;
            self.wait = (self.wait * 2).min(LAST_WAIT);
            self.running = Some(Running::start()?);
        }
        let Some(running) = &mut self.running else { return Ok(0) };
        let result = running.read(patience, each);
        match &result {
            Ok(_) if self.start <= Instant::now() => self.wait = FIRST_WAIT,
            Ok(_) => {}
            Err(_) => self.running = None,
        }
        result
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let mut child = Command::new("journalctl")
            .args(["--follow", "--lines=0", "--output=json", "--quiet"])
            .args(["--output-fields=MESSAGE,_UID,_COMM"])
            .args(["--identifier=sshd", "--identifier=sshd-session"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, output, lines: Lines::default() })
    }

    fn read(&mut self, patience: Duration, each: &mut dyn FnMut(u64, &str)) -> io::Result<u64> {
        let mut patience = patience;
        let mut too_long = 0;
        let mut total = 0;
        let mut buffer = [0; 16 * 1024];
        while total < MAX_READ && sys::wait_readable(&[self.output.as_fd()], patience)?[0] {
            let read = self.output.read(&mut buffer)?;
            if read == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "journalctl has ended"));
            }
            total += read;
            patience = Duration::ZERO;
            too_long += self.lines.push(&buffer[..read], &mut |line| {
                if let Some((micros, message)) = entry(line) {
                    each(micros, &message);
                }
            });
        }
        Ok(too_long)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An entry that sshd, running as root, wrote itself: anybody may call himself `sshd`.
fn entry(line: &str) -> Option<(u64, String)> {
    let entry: Entry = serde_json::from_str(line).ok()?;
    let is_sshd = matches!(entry.program.as_str(), "sshd" | "sshd-session" | "sshd-auth");
    if entry.user != "0" || !is_sshd {
        return None;
    }
    Some((entry.micros.parse().ok()?, entry.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"__REALTIME_TIMESTAMP":"1700000000000001","_UID":"0","_COMM":"sshd","MESSAGE":"hello","__CURSOR":"x"}"#;

    #[test]
    fn only_roots_sshd_is_believed() {
        assert_eq!(entry(LINE), Some((1_700_000_000_000_001, "hello".into())));
        assert_eq!(entry(&LINE.replace(r#""0""#, r#""1000""#)), None);
        assert_eq!(entry(&LINE.replace(r#""sshd""#, r#""logger""#)), None);
        assert_eq!(entry(&LINE.replace(r#""hello""#, "[104,105,255]")), None);
        assert_eq!(entry("{"), None);
    }

    #[test]
    fn a_journal_that_cannot_be_followed_is_tried_again_with_patience() {
        let mut journal = Journal::new();
        let (mut failures, begun) = (0, Instant::now());
        while begun.elapsed() < Duration::from_millis(700) {
            failures += u32::from(journal.poll(Duration::from_millis(50), &mut |_, _| ()).is_err());
        }
        assert!(failures <= 1, "{failures} starts in less than the first wait");
    }
}
