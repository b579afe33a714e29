//! The thread that writes the logs, and the bounded queue in front of it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use smartfw_core::sensor::WindowReport;
use smartfw_proto::json;

use super::{Limits, RotatingFile};
use crate::{
    counters::Counters,
    health::{Health, Level, Matter},
    vital::Vital,
};

/// Lines that may wait for the disk. A second's worth of a busy node is a few hundred.
const QUEUE: usize = 8192;

/// Lines of traffic among them, at most: attackers make as many as they have addresses, and what was decided about them
/// needs room, too.
const TRAFFIC: u64 = QUEUE as u64 / 2;

/// Bytes that are written at once.
const BATCH: usize = 256 << 10;

/// A line for a log, without its line feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// For `traffic.log`.
    Traffic(Box<WindowReport>),
    /// For `alerts.log`: an alert, or an action.
    Alert(String),
    /// For `events.jsonl`: an alert as it is made.
    Event(String),
}

/// Where the logs are.
#[derive(Clone, Debug)]
pub struct LogPaths {
    /// `<log>/traffic.log`.
    pub traffic: PathBuf,
    /// `<log>/alerts.log`.
    pub alerts: PathBuf,
    /// `<state>/events.jsonl`.
    pub events: PathBuf,
}

impl LogPaths {
    /// The fixed names in the configured folders.
    pub fn new(log_dir: &Path, state_dir: &Path) -> Self {
        Self {
            traffic: log_dir.join("traffic.log"),
            alerts: log_dir.join("alerts.log"),
            events: state_dir.join("events.jsonl"),
        }
    }
}

enum Input {
    Line(Line),
    Limits(Limits),
}

/// The way to the logs. Cheap to clone; when the last one is dropped the writer ends.
#[derive(Clone)]
pub struct Logs {
    queue: SyncSender<Input>,
    counters: Arc<Counters>,
}

impl Logs {
    /// Starts the writer.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        paths: &LogPaths,
        limits: Limits,
        counters: Arc<Counters>,
        health: Arc<Health>,
        vital: &Vital,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, inputs) = sync_channel(QUEUE);
        let writer = Writer {
            traffic: RotatingFile::new(paths.traffic.clone(), limits),
            alerts: RotatingFile::new(paths.alerts.clone(), limits),
            events: RotatingFile::new(paths.events.clone(), limits),
            health,
            counters: counters.clone(),
        };
        let thread = vital.spawn("logs", move || writer.run(&inputs))?;
        Ok((Self { queue, counters }, thread))
    }

    /// Writes a line soon; one that does not fit into the queue is counted.
    pub fn write(&self, line: Line) {
        let traffic = matches!(line, Line::Traffic(_));
        if traffic && self.counters.traffic_waiting.get() >= TRAFFIC {
            return self.counters.lines_dropped.add(1);
        }
        // Before it is sent: who takes it counts back.
        self.counters.traffic_waiting.add(traffic.into());
        if self.queue.try_send(Input::Line(line)).is_err() {
            self.counters.traffic_waiting.sub(traffic.into());
            self.counters.lines_dropped.add(1);
        }
    }

    /// From now on other limits hold.
    pub fn set_limits(&self, limits: Limits) {
        if self.queue.try_send(Input::Limits(limits)).is_err() {
            self.counters.lines_dropped.add(1);
        }
    }
}

struct Writer {
    traffic: RotatingFile,
    alerts: RotatingFile,
    events: RotatingFile,
    health: Arc<Health>,
    counters: Arc<Counters>,
}

impl Writer {
    fn run(mut self, inputs: &Receiver<Input>) {
        while let Ok(first) = inputs.recv() {
            let mut batch = Batch::default();
            let mut next = Some(first);
            while let Some(input) = next {
                match input {
                    Input::Line(line) => {
                        self.counters.traffic_waiting.sub(matches!(line, Line::Traffic(_)).into());
                        batch.add(&line);
                    }
                    Input::Limits(limits) => self.set_limits(limits),
                }
                next = if batch.size() < BATCH { inputs.try_recv().ok() } else { None };
            }
            self.write(&batch);
        }
    }

    fn set_limits(&mut self, limits: Limits) {
        for log in [&mut self.traffic, &mut self.alerts, &mut self.events] {
            log.set_limits(limits);
        }
    }

    fn write(&mut self, batch: &Batch) {
        let files = [
            (&mut self.traffic, &batch.traffic),
            (&mut self.alerts, &batch.alerts),
            (&mut self.events, &batch.events),
        ];
        let written = files.into_iter().filter(|(_, lines)| !lines.is_empty());
        let results: Vec<_> = written.map(|(log, lines)| log.append(lines)).collect();
        match results.into_iter().find_map(Result::err) {
            None => self.health.clear(Matter::Logs),
            Some(error) => self.health.set(
                Matter::Logs,
                Level::Warn,
                format!("the logs cannot be written: {error}"),
                "make room or repair the permissions of the log and state folders; the node goes on meanwhile",
            ),
        }
    }
}

/// Lines on their way to each file.
#[derive(Default)]
struct Batch {
    traffic: Vec<u8>,
    alerts: Vec<u8>,
    events: Vec<u8>,
}

impl Batch {
    fn add(&mut self, line: &Line) {
        let traffic;
        let (buffer, text) = match line {
            Line::Traffic(report) => {
                traffic = json::window(report).to_string();
                (&mut self.traffic, &traffic)
            }
            Line::Alert(text) => (&mut self.alerts, text),
            Line::Event(text) => (&mut self.events, text),
        };
        buffer.extend_from_slice(text.as_bytes());
        buffer.push(b'\n');
    }

    fn size(&self) -> usize {
        self.traffic.len() + self.alerts.len() + self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::IpAddr};

    use smartfw_core::{Features, Time};

    use super::*;

    fn traffic() -> Line {
        let (at, source) = (Time::from_secs(1), IpAddr::from([192, 0, 2, 1]));
        Line::Traffic(Box::new(WindowReport::new(at, source, Features::default())))
    }

    #[test]
    fn however_many_sources_there_are_alerts_find_room() {
        let (queue, _inputs) = sync_channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let logs = Logs { queue, counters: counters.clone() };
        (0..QUEUE).for_each(|_| logs.write(traffic()));
        assert_eq!((counters.lines_dropped.get(), counters.traffic_waiting.get()), (TRAFFIC, TRAFFIC));
        (0..TRAFFIC).for_each(|_| logs.write(Line::Alert(String::new())));
        assert_eq!(counters.lines_dropped.get(), TRAFFIC);
    }

    const LIMITS: Limits = Limits { max_size: 1 << 20, keep: 1 };

    #[test]
    fn each_line_reaches_its_file_before_the_writer_ends() {
        let folder = tempfile::tempdir().unwrap();
        let paths = LogPaths::new(folder.path(), folder.path());
        let (logs, thread) =
            Logs::start(&paths, LIMITS, Arc::default(), Arc::default(), &Vital::new().0).unwrap();
        logs.write(traffic());
        logs.write(Line::Alert("a".to_owned()));
        logs.write(Line::Event("e".to_owned()));
        logs.write(Line::Alert("b".to_owned()));
        drop(logs);
        thread.join().unwrap();
        let lines = fs::read_to_string(paths.traffic).unwrap();
        assert!(
            lines.starts_with('{') && lines.ends_with("}\n") && lines.contains("\"192.0.2.1\""),
            "{lines}"
        );
        assert_eq!(fs::read_to_string(paths.alerts).unwrap(), "a\nb\n");
        assert_eq!(fs::read_to_string(paths.events).unwrap(), "e\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_shows_in_the_health_list() {
        let health = Arc::new(Health::default());
        let paths = LogPaths::new(Path::new("/nonexistent"), Path::new("/nonexistent"));
        let (logs, thread) =
            Logs::start(&paths, LIMITS, Arc::default(), health.clone(), &Vital::new().0).unwrap();
        logs.write(Line::Alert("a".to_owned()));
        drop(logs);
        thread.join().unwrap();
        assert!(health.list()[0].what.contains("the logs cannot be written"));
    }

    #[test]
    fn lines_beyond_the_queue_are_counted_and_nobody_waits() {
        let (queue, _inputs) = sync_channel(2);
        let counters = Arc::new(Counters::default());
        let logs = Logs { queue, counters: counters.clone() };
        (0..5).for_each(|_| logs.write(Line::Alert(String::new())));
        assert_eq!(counters.lines_dropped.get(), 3);
    }
}
