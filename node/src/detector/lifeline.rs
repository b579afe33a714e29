//! A job that must never stop: started again when it panics, ends or stalls.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::vital::words;

/// A job without a sign of life for so long has stalled. Its loop takes milliseconds.
const STALLED: Duration = Duration::from_secs(5);

/// How often the supervisor looks.
const LOOK: Duration = Duration::from_millis(200);

/// A stalled thread cannot be ended, only abandoned, and keeps its memory. After so many the process is better ended
/// and begun anew: the kernel goes on dropping meanwhile.
const ABANDONED: usize = 3;

/// The first restart comes at once, later ones within a minute after twice the time each, up to this.
const SLOWEST_RESTART: Duration = Duration::from_secs(5);

/// What runs under supervision. It returns when its lifeline says so, or with what went wrong.
pub type Job = Arc<dyn Fn(&Lifeline) -> Result<(), String> + Send + Sync>;

/// What a supervisor has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A second has passed; the job last gave a sign of life so long ago.
    Tick(Duration),
    /// The job went wrong and was started again.
    Restarted {
        /// What went wrong.
        why: String,
    },
    /// It cannot be started again; the process shall end.
    GivenUp {
        /// What went wrong last.
        why: String,
    },
}

/// A job's way to say that it lives, and to hear that it shall end.
#[derive(Clone, Debug)]
pub struct Lifeline {
    pulse: Arc<Pulse>,
    generation: u64,
}

#[derive(Debug)]
struct Pulse {
    begun: Instant,
    beat_millis: AtomicU64,
    generation: AtomicU64,
    stopping: AtomicBool,
}

impl Lifeline {
    /// Gives a sign of life. Whether to go on: an abandoned job that wakes up after all must not.
    pub fn beat(&self) -> bool {
        let wanted =
            self.pulse.generation.load(SeqCst) == self.generation && !self.pulse.stopping.load(SeqCst);
        if wanted {
            self.pulse.beat();
        }
        wanted
    }

    /// One that is wanted, and one that was given up.
    #[cfg(test)]
    pub(super) fn living_and_abandoned() -> (Self, Self) {
        let pulse = Arc::new(Pulse::new());
        pulse.generation.store(1, SeqCst);
        (Self { pulse: pulse.clone(), generation: 1 }, Self { pulse, generation: 0 })
    }
}

impl Pulse {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            beat_millis: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    fn beat(&self) {
        self.beat_millis.store(self.elapsed_millis(), SeqCst);
    }

    fn elapsed_millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn silent_for(&self) -> Duration {
        Duration::from_millis(self.elapsed_millis().saturating_sub(self.beat_millis.load(SeqCst)))
    }
}

/// Watches over one job.
#[derive(Debug)]
pub struct Supervisor {
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts the job and the thread that watches over it and calls `tell`.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        name: &'static str,
        job: Job,
        tell: impl FnMut(Event) + Send + 'static,
    ) -> std::io::Result<Self> {
        Self::start_patient(name, job, tell, STALLED)
    }

    fn start_patient(
        name: &'static str,
        job: Job,
        tell: impl FnMut(Event) + Send + 'static,
        patience: Duration,
    ) -> std::io::Result<Self> {
        let pulse = Arc::new(Pulse::new());
        let mut watch = Watch { name, job, tell, patience, pulse: pulse.clone(), abandoned: 0 };
        let first = watch.spawn()?;
        let thread = thread::Builder::new().name(format!("{name}-watch")).spawn(move || watch.run(first))?;
        Ok(Self { pulse, thread: Some(thread) })
    }

    /// Ends the job and waits for it, unless it has stalled.
    pub fn stop(mut self) {
        self.pulse.stopping.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            // The watch does not panic; if it did, there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

struct Watch<F> {
    name: &'static str,
    job: Job,
    tell: F,
    patience: Duration,
    pulse: Arc<Pulse>,
    abandoned: usize,
}

type Running = JoinHandle<Result<(), String>>;

impl<F: FnMut(Event)> Watch<F> {
    fn run(&mut self, mut running: Running) {
        let (mut ticked, mut restarts) = (Instant::now(), Restarts::default());
        while !self.pulse.stopping.load(SeqCst) {
            thread::sleep(LOOK.min(self.patience / 4));
            if let Some(why) = self.trouble(&mut running) {
                match self.restart(&why, &mut restarts) {
                    Some(again) => running = again,
                    None => return (self.tell)(Event::GivenUp { why }),
                }
                (self.tell)(Event::Restarted { why });
            }
            if ticked.elapsed() >= Duration::from_secs(1) {
                ticked = Instant::now();
                (self.tell)(Event::Tick(self.pulse.silent_for()));
            }
        }
        self.wait_for_the_end(&running);
    }

    /// What is wrong with the job, if anything is.
    fn trouble(&mut self, running: &mut Running) -> Option<String> {
        if running.is_finished() && !self.pulse.stopping.load(SeqCst) {
            return Some(self.autopsy(running));
        }
        let silent = self.pulse.silent_for();
        (silent > self.patience).then(|| {
            self.abandoned += 1;
            format!("it stalled: no progress for {:.1} s", silent.as_secs_f64())
        })
    }

    fn autopsy(&self, running: &mut Running) -> String {
        let placeholder = thread::spawn(|| Ok(()));
        match std::mem::replace(running, placeholder).join() {
            Ok(Ok(())) => "it ended".to_owned(),
            Ok(Err(why)) => why,
            Err(_) => "it panicked".to_owned(),
        }
    }

    fn restart(&mut self, why: &str, restarts: &mut Restarts) -> Option<Running> {
        tracing::error!(why, "the {} is started again", self.name);
        self.pulse.generation.fetch_add(1, SeqCst);
        if self.abandoned >= ABANDONED {
            return None;
        }
        thread::sleep(restarts.delay(Instant::now()));
        self.spawn().ok()
    }

    fn spawn(&self) -> std::io::Result<Running> {
        let lifeline = Lifeline { pulse: self.pulse.clone(), generation: self.pulse.generation.load(SeqCst) };
        let job = self.job.clone();
        self.pulse.beat();
        thread::Builder::new().name(self.name.to_owned()).spawn(move || {
            catch_unwind(AssertUnwindSafe(|| job(&lifeline)))
                .unwrap_or_else(|panic| Err(format!("it {}", words(&*panic))))
        })
    }

    fn wait_for_the_end(&self, running: &Running) {
        let begun = Instant::now();
        while !running.is_finished() && begun.elapsed() < self.patience {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// When it was started again lately.
#[derive(Default)]
struct Restarts {
    last: Option<Instant>,
    delay: Duration,
}

impl Restarts {
    fn delay(&mut self, now: Instant) -> Duration {
        let recent = self.last.is_some_and(|last| now.duration_since(last) < Duration::from_secs(60));
        self.delay = match (recent, self.delay) {
            (false, _) => Duration::ZERO,
            (true, Duration::ZERO) => Duration::from_millis(100),
            (true, delay) => (delay * 2).min(SLOWEST_RESTART),
        };
        self.last = Some(now);
        self.delay
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    #[test]
    fn a_job_that_panics_is_started_again_and_the_panic_is_named() {
        let (supervisor, events, runs) = start(PATIENT, |lifeline, run| {
            assert!(run > 0, "injected");
            live(lifeline)
        });
        assert_eq!(restart_of(&events), "it panicked: injected");
        supervisor.stop();
        assert_eq!(runs.load(SeqCst), 2);
    }

    #[test]
    fn a_job_that_stalls_is_abandoned_and_started_again() {
        let (supervisor, events, runs) = start(IMPATIENT, |lifeline, run| {
            if run == 0 {
                thread::sleep(Duration::from_millis(600));
                assert!(!lifeline.beat(), "an abandoned job must end");
                return Ok(());
            }
            live(lifeline)
        });
        assert!(restart_of(&events).starts_with("it stalled"));
        supervisor.stop();
        assert_eq!(runs.load(SeqCst), 2);
    }

    #[test]
    fn a_job_that_always_stalls_is_given_up() {
        let (_supervisor, events, _) = start(IMPATIENT, |_, _| {
            thread::sleep(Duration::from_secs(2));
            Ok(())
        });
        let given_up = |event: &Event| matches!(event, Event::GivenUp { .. });
        assert!(events.iter().take(ABANDONED).any(|event| given_up(&event)));
    }

    #[test]
    fn a_job_that_fails_again_and_again_is_started_ever_more_slowly() {
        let mut restarts = Restarts::default();
        let now = Instant::now();
        let delays: Vec<u128> = (0..9).map(|_| restarts.delay(now).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(restarts.delay(now + Duration::from_secs(61)), Duration::ZERO);
    }

    type Started = (Supervisor, Receiver<Event>, Arc<AtomicU64>);

    const PATIENT: Duration = Duration::from_secs(5);
    const IMPATIENT: Duration = Duration::from_millis(200);

    fn start(
        patience: Duration,
        job: impl Fn(&Lifeline, u64) -> Result<(), String> + Send + Sync + 'static,
    ) -> Started {
        let (events, receiver) = channel();
        let runs = Arc::<AtomicU64>::default();
        let counted = runs.clone();
        let job: Job = Arc::new(move |lifeline| job(lifeline, counted.fetch_add(1, SeqCst)));
        let tell = move |event| drop(events.send(event));
        (Supervisor::start_patient("job", job, tell, patience).unwrap(), receiver, runs)
    }

    fn live(lifeline: &Lifeline) -> Result<(), String> {
        while lifeline.beat() {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn restart_of(events: &Receiver<Event>) -> String {
        loop {
            if let Event::Restarted { why } = events.recv_timeout(Duration::from_secs(5)).unwrap() {
                return why;
            }
        }
    }
}
