//! sshd's own word about logins, from the journal or a log file.

mod count;
mod file;
mod journal;
mod line;
mod lines;
mod message;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use count::Counter;
use file::Follower;
use journal::Journal;
use smartfw_core::Time;
pub use smartfw_core::sensor::{Login, LoginOutcome as Outcome};

/// How often a file is looked at for new lines.
const LOOK: Duration = Duration::from_millis(100);
/// Logins given in one call at most; beyond it they are counted and lost. The sensor needs a handful to act.
const MAX_EVENTS: usize = 10_000;
/// Where Debian's sshd is logged without a journal.
const AUTH_LOG: &str = "var/log/auth.log";

/// Where to read of logins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginConfig {
    /// The journal if journald runs, else `/var/log/auth.log` if it is there.
    Auto,
    /// The journal.
    Journal,
    /// A file in the form of `auth.log`.
    File(PathBuf),
}

/// A login, or a failed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When: by the journal's clock, or when the line was read.
    pub at: Time,
    /// Who, and how it ended.
    pub login: Login,
    /// The user's name, which the one who knocks has chosen: for people only, and with care.
    pub user: String,
}

/// What was read. All counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginStats {
    /// Lines of sshd.
    pub lines: u64,
    /// Logins given.
    pub logins: u64,
    /// Lines passed over because they were too long.
    pub too_long: u64,
    /// Logins lost because there were too many at once.
    pub lost: u64,
}

/// Reads of logins as they happen.
pub struct Logins {
    source: Source,
    reader: Reader,
    problem: Option<String>,
}

enum Source {
    Journal(Journal),
    File(Follower),
}

/// What becomes of messages.
#[derive(Default)]
struct Reader {
    counter: Counter,
    stats: LoginStats,
    events: Vec<Event>,
}

impl Logins {
    /// Begins to follow; what was said before is not read. `None` when [`LoginConfig::Auto`] finds nothing to follow.
    pub fn open(config: &LoginConfig, root: &Path) -> Option<Self> {
        let auth_log = root.join(AUTH_LOG);
        let source = match config {
            LoginConfig::Journal => Source::Journal(Journal::new()),
            LoginConfig::File(path) => Source::File(Follower::new(path)),
            LoginConfig::Auto if journal::exists(root) => Source::Journal(Journal::new()),
            LoginConfig::Auto if auth_log.exists() => Source::File(Follower::new(&auth_log)),
            LoginConfig::Auto => return None,
        };
        Some(Self { source, reader: Reader::default(), problem: None })
    }

    /// What happened, waiting at most `patience` for something to happen.
    pub fn poll(&mut self, patience: Duration) -> Vec<Event> {
        let begun = Instant::now();
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            let polled = match &mut self.source {
                Source::Journal(journal) => {
                    let reader = &mut self.reader;
                    let each = &mut |micros: u64, message: &str| {
                        reader.take(Time::from_nanos(micros.saturating_mul(1000)), message);
                    };
                    journal
                        .poll(left, each)
                        .map_err(|error| format!("the journal cannot be followed: {error}"))
                }
                Source::File(file) => {
                    let reader = &mut self.reader;
                    let now = clock();
                    let each = &mut |line: &str| {
                        line::message(line).into_iter().for_each(|text| reader.take(now, text))
                    };
                    let path = file.path().display().to_string();
                    file.poll(each).map_err(|error| format!("{path} cannot be followed: {error}"))
                }
            };
            self.reader.stats.too_long += polled.as_ref().copied().unwrap_or_default();
            self.problem = polled.err();
            let left = patience.saturating_sub(begun.elapsed());
            if !self.reader.events.is_empty() || left.is_zero() {
                return std::mem::take(&mut self.reader.events);
            }
            if self.problem.is_some() || matches!(self.source, Source::File(_)) {
                std::thread::sleep(left.min(LOOK));
            }
        }
    }

    /// Why nothing can be read at the moment, in words.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What was read so far.
    pub fn stats(&self) -> LoginStats {
        self.reader.stats
    }
}

impl Reader {
    fn take(&mut self, at: Time, text: &str) {
        self.stats.lines += 1;
        let Some(said) = message::parse(text) else { return };
        let login = Login { source: said.source, port: said.port, outcome: said.kind.outcome() };
        for _ in 0..self.counter.count(&said) {
            if self.events.len() == MAX_EVENTS {
                self.stats.lost += 1;
            } else {
                self.stats.logins += 1;
                self.events.push(Event { at, login, user: said.user.clone() });
            }
        }
    }
}

fn clock() -> Time {
    Time::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    #[test]
    fn what_is_appended_to_the_file_comes_as_logins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.log");
        fs::write(&path, "Nov 22 15:04:05 h sshd[1]: Failed password for old from 192.0.2.9 port 1 ssh2\n")
            .unwrap();
        let mut logins = Logins::open(&LoginConfig::File(path.clone()), Path::new("/")).unwrap();
        assert!(logins.poll(Duration::ZERO).is_empty());
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        for line in [
            "Nov 22 15:04:05 h sshd[1]: Invalid user x from 192.0.2.1 port 1",
            "Nov 22 15:04:05 h sshd[1]: Failed password for invalid user x from 192.0.2.1 port 1 ssh2",
            "Nov 22 15:04:06 h su[1]: Failed password for root from 192.0.2.3 port 1 ssh2",
            "2026-11-22T15:04:07Z h sshd-session[2]: Accepted publickey for root from 192.0.2.2 port 2 ssh2: RSA SHA256:x",
        ] {
            writeln!(file, "{line}").unwrap();
        }
        let events = logins.poll(Duration::from_secs(5));
        let seen: Vec<_> =
            events.iter().map(|e| (e.login.source.to_string(), e.login.outcome, e.user.as_str())).collect();
        let expected = [("192.0.2.1", Outcome::Failed, "x"), ("192.0.2.2", Outcome::Accepted, "root")];
        assert_eq!(seen, expected.map(|(a, o, u)| (a.to_owned(), o, u)));
        assert_eq!(logins.stats().lines, 3);
    }

    #[test]
    fn a_missing_file_is_a_problem_until_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.log");
        let mut logins = Logins::open(&LoginConfig::File(path.clone()), Path::new("/")).unwrap();
        logins.poll(Duration::ZERO);
        assert!(logins.problem().unwrap().contains("cannot be followed"));
        fs::write(&path, "").unwrap();
        logins.poll(Duration::ZERO);
        assert_eq!(logins.problem(), None);
    }

    #[test]
    fn auto_takes_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        assert!(Logins::open(&LoginConfig::Auto, root.path()).is_none());
        fs::create_dir_all(root.path().join("var/log")).unwrap();
        fs::write(root.path().join(AUTH_LOG), "").unwrap();
        let logins = Logins::open(&LoginConfig::Auto, root.path()).unwrap();
        assert!(matches!(logins.source, Source::File(_)));
    }

    #[test]
    fn logins_beyond_the_limit_are_counted_and_lost() {
        let mut reader = Reader::default();
        for port in 0..10_050 {
            reader.take(Time::ZERO, &format!("Failed password for root from 192.0.2.1 port {port} ssh2"));
        }
        assert_eq!((reader.events.len(), reader.stats.lost), (MAX_EVENTS, 50));
    }
}
