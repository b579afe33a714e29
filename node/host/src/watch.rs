//! Looks at the host again whenever something changed, and says when who is protected did.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read},
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use smartfw_core::{Time, protect::Protected};

use crate::{
    net::{self, sys},
    observe::{self, HostConfig, Observed, Place},
    ssh::{Scanner, Session, Sessions, logind, utmp},
};

/// How often sessions are looked for: whoever logs in is protected within a second.
const SESSIONS: Duration = Duration::from_millis(500);
/// How often the files are read again that name resolvers and servers; some twenty small ones.
const FILES: Duration = Duration::from_secs(5);
/// How often addresses and routes are looked at though the kernel told nothing.
const PLACE: Duration = Duration::from_secs(30);
/// The least time between two looks, however much the kernel tells.
const LEAST: Duration = Duration::from_millis(100);
/// How often the memory of sessions is written while nobody logs in or out: what a crash may shorten an hour by.
const SAVE: Duration = Duration::from_secs(60);

/// How the problem begins that the kernel does not say where this host is.
const NO_PLACE: &str = "addresses and routes cannot be read";

/// Watches who must never be locked out. Belongs to one thread, in the network namespace that it watches.
pub struct Watcher {
    config: HostConfig,
    scanner: Scanner,
    sessions: Sessions,
    changes: Option<net::Changes>,
    logins: Option<File>,
    place: Place,
    servers: Vec<Protected>,
    last: Observed,
    due: Due,
    problems: Vec<String>,
}

/// When what is looked at again.
struct Due {
    sessions: Instant,
    files: Instant,
    place: Instant,
    save: Instant,
    place_seen: Instant,
}

impl Watcher {
    /// Looks at the host for the first time: [`Self::observed`] is complete when this returns.
    ///
    /// # Errors
    /// When the kernel does not say which addresses and routes there are.
    pub fn new(config: HostConfig) -> io::Result<Self> {
        let changes = net::Changes::listen();
        let problems: Vec<String> = changes
            .as_ref()
            .err()
            .map(|error| format!("no news of addresses: {error}"))
            .into_iter()
            .collect();
        let now = Instant::now();
        let mut watcher = Self {
            scanner: Scanner::new(&config.root),
            sessions: config.sessions_file.as_deref().map(Sessions::load).unwrap_or_default(),
            changes: changes.ok(),
            logins: watch_logins(&config.root).ok(),
            place: Place::look()?,
            servers: observe::servers(&config.root),
            last: Observed::default(),
            due: Due { sessions: now, files: now + FILES, place: now + PLACE, save: now, place_seen: now },
            problems,
            config,
        };
        watcher.look_for_sessions(now);
        watcher.last = observe::assemble(&watcher.place, &watcher.servers, &watcher.sessions);
        Ok(watcher)
    }

    /// What was last seen.
    pub fn observed(&self) -> &Observed {
        &self.last
    }

    /// What cannot be watched or kept at the moment, in words; empty when all is well.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Waits until something about the host changes, at most `patience`; `None` when nothing did.
    ///
    /// # Errors
    /// When waiting itself fails; asking again is in order.
    pub fn next(&mut self, patience: Duration) -> io::Result<Option<&Observed>> {
        let deadline = Instant::now().checked_add(patience);
        loop {
            let now = Instant::now();
            if self.look(now) {
                let observed = observe::assemble(&self.place, &self.servers, &self.sessions);
                if observed != self.last {
                    self.last = observed;
                    return Ok(Some(&self.last));
                }
            }
            let left = deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
            if left.is_zero() {
                return Ok(None);
            }
            self.wait(left.min(self.due.next().saturating_duration_since(now)))?;
        }
    }

    /// Looks at whatever is due; whether anything may be different.
    fn look(&mut self, now: Instant) -> bool {
        if self.changes.as_mut().is_some_and(net::Changes::take) {
            self.due.place = self.due.place.min(self.due.place_seen + LEAST);
        }
        if self.logins.as_mut().is_some_and(drained) {
            self.due.sessions = now;
        }
        let mut different = false;
        if now >= self.due.place {
            (self.due.place, self.due.place_seen) = (now + PLACE, now);
            let place = Place::look();
            self.problems.retain(|problem| !problem.starts_with(NO_PLACE));
            match place {
                Ok(place) => {
                    self.place = place;
                    different = true;
                }
                Err(error) => self.problems.push(format!("{NO_PLACE}: {error}")),
            }
        }
        if now >= self.due.files {
            self.due.files = now + FILES;
            self.servers = observe::servers(&self.config.root);
            different = true;
        }
        if now >= self.due.sessions {
            different |= self.look_for_sessions(now);
        }
        different
    }

    fn look_for_sessions(&mut self, now: Instant) -> bool {
        self.due.sessions = now + SESSIONS;
        let current = self.current_sessions();
        let different = self.sessions.update(clock(), &current);
        if different || now >= self.due.save {
            self.due.save = now + SAVE;
            self.save();
        }
        different
    }

    fn current_sessions(&mut self) -> Vec<Session> {
        let mut sessions = self.scanner.scan();
        sessions.extend(logind::sessions(&self.config.root));
        sessions.extend(utmp::sessions(&self.config.root));
        sessions
    }

    fn save(&mut self) {
        let Some(path) = &self.config.sessions_file else { return };
        let saved = self.sessions.save(path);
        self.problems.retain(|problem| !problem.starts_with("sessions are not kept"));
        if let Err(error) = saved {
            self.problems.push(format!("sessions are not kept in {}: {error}", path.display()));
        }
    }

    fn wait(&self, patience: Duration) -> io::Result<()> {
        let news = self.changes.iter().map(AsFd::as_fd);
        let files: Vec<_> = news.chain(self.logins.iter().map(AsFd::as_fd)).collect();
        sys::wait_readable(&files, patience).map(drop)
    }
}

impl Due {
    fn next(&self) -> Instant {
        self.sessions.min(self.files).min(self.place)
    }
}

/// A descriptor that becomes readable when a login is recorded.
fn watch_logins(root: &Path) -> io::Result<File> {
    let inotify = sys::inotify()?;
    // logind's folder, and the records of logins where they are kept.
    let watched = ["run/systemd/sessions", utmp::FILE].map(|name| {
        let path = CString::new(root.join(name).as_os_str().as_bytes())?;
        sys::inotify_watch(&inotify, &path)
    });
    if watched.iter().any(Result::is_ok) { Ok(inotify) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Reads away what is there; whether there was anything.
fn drained(inotify: &mut File) -> bool {
    let mut buffer = [0; 4096];
    let mut any = false;
    while inotify.read(&mut buffer).is_ok_and(|read| read > 0) {
        any = true;
    }
    any
}

fn clock() -> Time {
    Time::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
