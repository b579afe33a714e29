//! sshd's own word about logins, on its way to the sensor.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::JoinHandle,
    time::Duration,
};

use smartfw_config::LoginSource;
use smartfw_host::login::{LoginConfig, Logins};

use crate::{
    detector::Feed,
    health::{Health, Level, Matter},
    vital::Vital,
};

/// How long to wait for a login before looking whether to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Starts the thread that follows logins, if there is something to follow; it ends when `ending` is set.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    source: &LoginSource,
    feed: Arc<Feed>,
    health: Arc<Health>,
    ending: Arc<AtomicBool>,
    vital: &Vital,
) -> std::io::Result<Option<JoinHandle<()>>> {
    let config = match source {
        LoginSource::Auto => LoginConfig::Auto,
        LoginSource::Journal => LoginConfig::Journal,
        LoginSource::File(path) => LoginConfig::File(path.clone()),
        LoginSource::Off => return Ok(None),
    };
    let Some(mut logins) = Logins::open(&config, Path::new("/")) else { return Ok(None) };
    let follow = move || {
        while !ending.load(SeqCst) {
            logins.poll(PATIENCE).iter().for_each(|event| feed.login(event.login));
            show(&health, logins.problem());
        }
    };
    vital.spawn("logins", follow).map(Some)
}

fn show(health: &Health, problem: Option<&str>) {
    match problem {
        None => health.clear(Matter::Logins),
        Some(problem) => health.set(
            Matter::Logins,
            Level::Warn,
            format!("failed logins are judged by packets alone: {problem}"),
            "repair it, or choose another source by `detection.logins`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, thread, time::Instant};

    use super::*;

    #[test]
    fn what_sshd_says_reaches_the_sensor_and_a_missing_file_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.log");
        let feed = Arc::new(Feed::new(Arc::default()));
        let (health, ending) = (Arc::<Health>::default(), Arc::<AtomicBool>::default());
        let (vital, _failures) = Vital::new();
        let source = LoginSource::File(path.clone());
        let thread = start(&source, feed.clone(), health.clone(), ending.clone(), &vital).unwrap().unwrap();
        wait_for(|| !health.list().is_empty());
        fs::write(&path, "").unwrap();
        wait_for(|| health.list().is_empty());
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        writeln!(file, "Nov 22 15:04:05 h sshd[1]: Failed password for root from 192.0.2.9 port 1 ssh2")
            .unwrap();
        wait_for(|| feed.has_news());
        ending.store(true, SeqCst);
        thread.join().unwrap();
    }

    #[test]
    fn off_is_off() {
        let feed = Arc::new(Feed::new(Arc::default()));
        assert!(
            start(&LoginSource::Off, feed, Arc::default(), Arc::default(), &Vital::new().0)
                .unwrap()
                .is_none()
        );
    }

    fn wait_for(mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(10), "waited too long");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
