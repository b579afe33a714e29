//! Other detectors' words: their files are looked at five times a second, and what they say goes to the sensor, which puts
//! beside it what is known here of the source, and from there the way of every verdict.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use smartfw_config::{ExternalSettings, NodeConfig};
use smartfw_inward::{
    external::{Form, Heard, Listener},
    tail::{Met, Position, Tail},
};

use crate::{
    clock,
    detector::Feed,
    files,
    health::{Health, Level, Matter},
    vital::Vital,
};

/// How often a file is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Pieces that are read of one file before the next has its turn.
const PIECES: usize = 4;

/// How often it is noted how far each file was read: after a crash so much is read again, and told as what goes on.
const NOTE: Duration = Duration::from_secs(5);

/// For so long after it happened a person is told of what could not be read.
const LATELY: Duration = Duration::from_secs(3600);

/// What was read of one file, for those who ask.
#[derive(Clone, Debug)]
pub struct FileHeard {
    /// The file.
    pub path: PathBuf,
    /// What its lines were.
    pub heard: Heard,
    /// What was met on the way.
    pub met: Met,
}

/// What was read of every file. Cheap to clone.
pub type Ledger = Arc<Mutex<Vec<FileHeard>>>;

/// What the thread needs.
pub struct Setup {
    /// Which files.
    pub settings: ExternalSettings,
    /// Where it is noted how far they were read.
    pub note: PathBuf,
    /// Where verdicts go.
    pub feed: Arc<Feed>,
    /// Where it is told how the files are.
    pub health: Arc<Health>,
    /// Set when the node ends.
    pub ending: Arc<AtomicBool>,
}

/// Refuses what would hear itself.
///
/// # Errors
/// Which file is this node's own.
pub fn check(config: &NodeConfig) -> Result<(), String> {
    let own = config.state_dir.join("events.jsonl");
    let is_own = |path: &&PathBuf| {
        **path == own
            || fs::canonicalize(path).is_ok_and(|path| fs::canonicalize(&own).is_ok_and(|own| own == path))
    };
    match config.external.events.iter().chain(&config.external.suricata).find(is_own) {
        None => Ok(()),
        Some(path) => Err(format!(
            "external.events: {} is this node's own file: it would hear itself; name another program's",
            path.display()
        )),
    }
}

/// Starts the thread that listens, where there is something to listen to.
///
/// # Errors
/// When it cannot be started.
pub fn start(setup: Setup, vital: &Vital) -> io::Result<(Ledger, Option<JoinHandle<()>>)> {
    let ledger = Ledger::default();
    if setup.settings.suricata.is_empty() && setup.settings.events.is_empty() {
        return Ok((ledger, None));
    }
    let ears = Ears::new(setup, ledger.clone());
    let thread = vital.spawn("external", move || ears.run())?;
    Ok((ledger, Some(thread)))
}

struct Ears {
    files: Vec<Ear>,
    note: PathBuf,
    noted: BTreeMap<PathBuf, Position>,
    noted_at: Instant,
    feed: Arc<Feed>,
    health: Arc<Health>,
    ending: Arc<AtomicBool>,
    ledger: Ledger,
}

/// One file.
struct Ear {
    tail: Tail,
    listener: Listener,
    /// Why it cannot be read now.
    trouble: Option<String>,
    /// How many lines were bad, and when the last was.
    bad: (u64, Option<Instant>),
}

impl Ears {
    fn new(setup: Setup, ledger: Ledger) -> Self {
        let Setup { settings, note, feed, health, ending } = setup;
        let noted = read(&note);
        let ear = |form, path: &PathBuf| Ear {
            tail: Tail::new(path.clone(), noted.get(path).copied()),
            listener: Listener::new(form, settings.per_minute),
            trouble: None,
            bad: (0, None),
        };
        let suricata = settings.suricata.iter().map(|path| ear(Form::Suricata, path));
        let files = suricata.chain(settings.events.iter().map(|path| ear(Form::Events, path))).collect();
        Self { files, note, noted, noted_at: Instant::now(), feed, health, ending, ledger }
    }

    fn run(mut self) {
        while !self.ending.load(SeqCst) {
            for ear in &mut self.files {
                ear.look(&self.feed);
            }
            self.show();
            if self.noted_at.elapsed() >= NOTE {
                self.note();
            }
            thread::sleep(LOOK);
        }
        self.note();
    }

    fn show(&self) {
        let told = |ear: &Ear| FileHeard {
            path: ear.tail.path().to_owned(),
            heard: ear.listener.heard(),
            met: ear.tail.met(),
        };
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = self.files.iter().map(told).collect();
        match self.files.iter().find_map(Ear::wrong) {
            None => self.health.clear(Matter::External),
            Some((what, remedy)) => self.health.set(Matter::External, Level::Warn, what, remedy),
        }
    }

    fn note(&mut self) {
        self.noted_at = Instant::now();
        let now: BTreeMap<PathBuf, Position> = self
            .files
            .iter()
            .filter_map(|ear| Some((ear.tail.path().to_owned(), ear.tail.position()?)))
            .collect();
        if now == self.noted {
            return;
        }
        let text = serde_json::to_vec(&now).unwrap_or_default();
        match files::replace(&self.note, &text) {
            Ok(()) => self.noted = now,
            // At worst some lines are read again after a crash.
            Err(error) => tracing::warn!(%error, "how far other detectors' files were read is not noted"),
        }
    }
}

impl Ear {
    fn look(&mut self, feed: &Feed) {
        for _ in 0..PIECES {
            let (listener, now) = (&mut self.listener, clock::now());
            let read = self.tail.poll(|line| {
                listener.hear(now, line).into_iter().for_each(|verdict| feed.external(verdict));
            });
            match read {
                Ok(true) => {}
                Ok(false) => {
                    self.trouble = None;
                    break;
                }
                Err(error) => {
                    self.trouble = Some(error.to_string());
                    break;
                }
            }
        }
        let bad = self.bad_lines();
        if bad > self.bad.0 {
            self.bad = (bad, Some(Instant::now()));
        }
    }

    const fn bad_lines(&self) -> u64 {
        let (heard, met) = (self.listener.heard(), self.tail.met());
        heard.unreadable + heard.over + met.too_long
    }

    fn wrong(&self) -> Option<(String, &'static str)> {
        let path = self.tail.path().display();
        if let Some(why) = &self.trouble {
            let what = format!("what another detector writes into {path} is not heard: {why}");
            return Some((
                what,
                "see that it runs and that the node may read its file, or take it out of [external]",
            ));
        }
        self.bad.1.filter(|last| last.elapsed() < LATELY)?;
        let (heard, met) = (self.listener.heard(), self.tail.met());
        let what = format!(
            "of {path} {} lines could not be read, {} were too long, and {} alerts were more than a minute may have",
            heard.unreadable, met.too_long, heard.over
        );
        Some((
            what,
            "see whether the file is in its form; raise external.per_minute where there is reason to",
        ))
    }
}

fn read(note: &Path) -> BTreeMap<PathBuf, Position> {
    // Where it is not there or damaged, files are read from their ends.
    fs::read(note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write as _};

    use super::*;

    struct Case {
        folder: tempfile::TempDir,
        feed: Arc<Feed>,
        health: Arc<Health>,
    }

    impl Case {
        fn new() -> Self {
            let feed = Arc::new(Feed::new(Arc::default()));
            Self { folder: tempfile::tempdir().unwrap(), feed, health: Arc::default() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn append(&self, text: &str) {
            let file = OpenOptions::new().append(true).create(true).open(self.path("events"));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        /// Listens until the condition holds.
        fn listen(&self, mut until: impl FnMut(&[FileHeard]) -> bool) {
            let ending = Arc::<AtomicBool>::default();
            let settings =
                ExternalSettings { events: vec![self.path("events")], ..ExternalSettings::default() };
            let setup = Setup {
                settings,
                note: self.path("external.json"),
                feed: self.feed.clone(),
                health: self.health.clone(),
                ending: ending.clone(),
            };
            let (ledger, thread) = start(setup, &Vital::new().0).unwrap();
            let begun = Instant::now();
            while !until(&ledger.lock().unwrap()) {
                assert!(begun.elapsed() < Duration::from_secs(20), "waited too long");
                thread::sleep(Duration::from_millis(10));
            }
            ending.store(true, SeqCst);
            thread.unwrap().join().unwrap();
        }
    }

    fn line(source: &str) -> String {
        let time = clock::rfc3339(clock::now());
        format!(
            "{{\"kind\":\"alert\",\"time\":\"{time}\",\"source\":\"{source}\",\"class\":\"port_scan\",\"confidence\":1,\"evidence\":\"handshake\"}}\n"
        )
    }

    #[test]
    fn what_another_detector_says_reaches_the_sensor_once_over_a_restart() {
        let case = Case::new();
        case.append(&line("192.0.2.1"));
        case.listen(|files| !files.is_empty());
        assert!(!case.feed.has_news(), "what was there before is history");
        case.append(&line("192.0.2.2"));
        case.append(&line("192.0.2.3"));
        case.listen(|files| files.first().is_some_and(|file| file.heard.verdicts == 2));
        assert!(case.feed.has_news());
        case.append(&line("192.0.2.4"));
        case.listen(|files| files.first().is_some_and(|file| file.heard.verdicts == 1));
        assert!(case.health.list().is_empty(), "{:?}", case.health.list());
    }

    #[test]
    fn a_missing_file_and_bad_lines_are_shown() {
        let case = Case::new();
        let shows = |words: &str| case.health.list().iter().any(|entry| entry.what.contains(words));
        case.listen(|_| {
            if shows("is not heard") && !case.path("events").exists() {
                case.append("nonsense\n");
            }
            shows("1 lines could not be read")
        });
    }

    #[test]
    fn the_nodes_own_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = NodeConfig { state_dir: folder.path().to_owned(), ..NodeConfig::default() };
        config.external.events = vec![folder.path().join("other")];
        assert_eq!(check(&config), Ok(()));
        fs::write(folder.path().join("events.jsonl"), "").unwrap();
        std::os::unix::fs::symlink(folder.path().join("events.jsonl"), folder.path().join("link")).unwrap();
        for name in ["events.jsonl", "link"] {
            config.external.events = vec![folder.path().join(name)];
            assert!(check(&config).unwrap_err().contains("would hear itself"));
        }
    }
}
