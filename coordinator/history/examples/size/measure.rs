//! How long something took, how much memory there is, how busy the machine.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    time::{ClockId, clock_gettime},
};

use crate::events::mix;

/// Bytes that the floor reads: about what a block of rows takes.
const BLOCK: u64 = 8 << 10;

/// When something began, by the clock and by what this process had computed.
pub(crate) struct Begun {
    clock: Instant,
    computed: Duration,
}

/// What many of the same took.
#[derive(Default)]
pub(crate) struct Times {
    passed: Vec<Duration>,
    computed: Vec<Duration>,
}

impl Begun {
    pub(crate) fn now() -> Result<Self> {
        Ok(Self { clock: Instant::now(), computed: computed()? })
    }
}

impl Times {
    pub(crate) fn add(&mut self, begun: &Begun) -> Result<()> {
        self.passed.push(begun.clock.elapsed());
        self.computed.push(computed()? - begun.computed);
        Ok(())
    }

    /// Milliseconds, p50 and p99: by the clock, then of the processor.
    pub(crate) fn line(&mut self) -> String {
        let [passed, computed] = [&mut self.passed, &mut self.computed].map(|times| {
            times.sort_unstable();
            [50, 99].map(|part| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3)
        });
        format!("{:8.2} {:8.2}   {:8.2} {:8.2}", passed[0], passed[1], computed[0], computed[1])
    }

    /// The processor's time at p99; to be asked for after the line.
    pub(crate) fn computed_at_most(&self) -> Duration {
        self.computed[(self.computed.len() - 1) * 99 / 100]
    }
}

/// What this process, all threads of it, had of the processor.
fn computed() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?.into())
}

/// Has the system forget what it has of the segments in memory.
pub(crate) fn forget(folder: &Path) -> Result<()> {
    for path in segments(folder)? {
        posix_fadvise(File::open(path)?, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}

/// The floor under every answer: one piece of one segment.
pub(crate) fn read_one(folder: &Path, number: u64) -> Result<()> {
    let segments = segments(folder)?;
    let path = &segments[mix(number) as usize % segments.len()];
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    ensure!(bytes > BLOCK, "{} is shorter than a block", path.display());
    let mut block = [0; BLOCK as usize];
    file.read_exact_at(&mut block, mix(!number) % (bytes - BLOCK))?;
    Ok(())
}

fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        paths.extend(path.extension().is_some_and(|ending| ending == "segment").then_some(path));
    }
    Ok(paths)
}

/// Megabytes of memory that this process held at most.
pub(crate) fn most_resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()).context("no VmHWM in status")?;
    Ok(kilobytes.parse::<u64>()? >> 10)
}

/// Processes that want to run, on average of one minute, five and fifteen.
pub(crate) fn load() -> Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
