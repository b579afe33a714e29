//! The detector's loop: frames in, verdicts out.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use smartfw_capture::{CaptureError, Captured, Live, Next, Source as _};
use smartfw_core::{
    Time,
    config::SensorConfig,
    sensor::{Sensor, View},
};

use super::{Board, Feed, Lifeline, feed::News};
use crate::{
    chance::seed,
    clock::{self, Pace},
    counters::Counters,
    fleet,
    inbox::{Inbox, Input},
    learning::Ear,
    logs::{Line, Logs},
    models::Models,
};

/// The longest wait for a frame: the sensor's news and deadlines come at least so often.
const PATIENCE: Duration = Duration::from_millis(50);

/// Frames between two looks at news, deadlines and the lifeline. A few hundred microseconds under full load.
const STRIDE: u32 = 256;

/// How often a fleet's member is told who its regular guests are.
const WELCOME: Duration = Duration::from_secs(10);

/// How often the statistics are shown.
const SHOW: Duration = Duration::from_millis(500);

/// Everything that the detector needs to live again and again.
pub struct Watching {
    /// Opens the interfaces.
    pub open: Box<dyn Fn() -> Result<Live, CaptureError> + Send + Sync>,
    /// An opened one for the first life: whoever starts the node is told at once what is wrong.
    pub first: Mutex<Option<Live>>,
    /// The configuration, as last applied.
    pub config: Arc<Mutex<SensorConfig>>,
    /// What the sensor is told.
    pub feed: Arc<Feed>,
    /// What it shows.
    pub board: Arc<Board>,
    /// Which models judge.
    pub models: Arc<Models>,
    /// Where verdicts go.
    pub inbox: Inbox,
    /// Where windows go.
    pub logs: Logs,
    /// Who learns from them.
    pub ear: Arc<Ear>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// The interfaces watched now, for those who ask.
    pub interfaces: Arc<Mutex<Vec<String>>>,
}

impl Watching {
    /// One life.
    ///
    /// # Errors
    /// What ended it.
    pub fn live(&self, lifeline: &Lifeline) -> Result<(), String> {
        let first = locked(&self.first).take();
        let source = first.map_or_else(|| (self.open)(), Ok).map_err(|error| error.to_string())?;
        let view = View::Host(own_addresses().map_err(|error| error.to_string())?);
        let mut sensor =
            Sensor::new(locked(&self.config).clone(), view, seed().map_err(|error| error.to_string())?);
        sensor.set_models(self.models.judges());
        tell_what_is_open(&mut sensor);
        self.board.begin();
        self.inbox.send(Input::SensorRestarted);
        let mut life = Life {
            shared: self,
            source,
            sensor,
            lost: 0,
            pace: Pace::default(),
            shown: Instant::now(),
            welcomed: Instant::now(),
            second: 0,
        };
        while lifeline.beat() {
            life.stride(lifeline)?;
            #[cfg(debug_assertions)]
            injected();
        }
        Ok(())
    }
}

/// Tests of a development build make the detector panic or stall by a file whose name they give; once each.
#[cfg(debug_assertions)]
fn injected() {
    let Some(path) = std::env::var_os("SMARTFW_TEST_FAULT") else { return };
    let fault = std::fs::read_to_string(&path).unwrap_or_default();
    if fault.is_empty() || std::fs::remove_file(&path).is_err() {
        return;
    }
    assert_ne!(fault.trim(), "panic", "injected by a test");
    std::thread::sleep(Duration::from_secs(8));
}

/// Without it the middle of a connection is held against nobody, but nobody in it is known either.
fn tell_what_is_open(sensor: &mut Sensor) {
    match smartfw_enforce::open_connections() {
        Ok(open) => open.iter().for_each(|open| sensor.handle_open(clock::now(), open)),
        Err(error) => tracing::info!(%error, "connections that were open before are not known"),
    }
}

/// This host's addresses, until the guard tells of changes.
fn own_addresses() -> io::Result<Vec<smartfw_core::IpNet>> {
    let addresses = smartfw_host::net::addresses()?;
    Ok(addresses.iter().map(|address| smartfw_core::prefix::host(address.net.addr())).collect())
}

struct Life<'a> {
    shared: &'a Watching,
    source: Live,
    sensor: Sensor,
    lost: u64,
    pace: Pace,
    shown: Instant,
    /// When it was last told who is a regular guest.
    welcomed: Instant,
    /// The second that was last told of.
    second: u64,
}

impl Life<'_> {
    /// As many frames as come, up to a limit, then everything else.
    fn stride(&mut self, lifeline: &Lifeline) -> Result<(), String> {
        for _ in 0..STRIDE {
            match self.source.next(PATIENCE).map_err(|error| error.to_string())? {
                Next::Frame(Captured { at, frame, .. }) => {
                    // A frame that cannot be read is counted in the statistics, by its reason.
                    let _ = self.sensor.observe(at, &frame);
                }
                Next::Idle => break,
                Next::End => return Err("the capture ended".to_owned()),
            }
            self.hand_over_verdicts();
        }
        let now = clock::now();
        if let Some(by) = self.pace.set_back(now) {
            // All that the sensor counts would be of the future.
            return Err(format!("the clock was set back by {by:.0?}"));
        }
        self.between(now, lifeline);
        Ok(())
    }

    fn hand_over_verdicts(&mut self) {
        while let Some(verdict) = self.sensor.poll_verdict() {
            self.shared.ear.verdict(&verdict);
            self.shared.inbox.verdict(verdict);
        }
    }

    /// What only the fleet together can judge; nobody asks for it outside of one.
    fn hand_over_weak(&mut self, now: Time) {
        if !self.shared.counters.fleet.takes_part.is_on() {
            return;
        }
        let mut signs = Vec::new();
        while let Some(sign) = self.sensor.poll_weak(now) {
            signs.push(sign);
        }
        if !signs.is_empty() {
            self.shared.inbox.send(Input::Fleet(fleet::Input::Weak(signs)));
        }
        if self.welcomed.elapsed() >= WELCOME {
            self.welcomed = Instant::now();
            let regulars = self.sensor.regulars(now, smartfw_core::agent::REGULARS);
            self.shared.inbox.send(Input::Fleet(fleet::Input::Regulars(regulars)));
        }
    }

    fn between(&mut self, now: Time, lifeline: &Lifeline) {
        if let Some(news) = self.shared.feed.take(lifeline) {
            self.hear(now, news);
        }
        self.sensor.handle_timeout(now);
        self.hand_over_verdicts();
        self.hand_over_weak(now);
        while let Some(report) = self.sensor.poll_window() {
            self.shared.board.window(&report);
            self.shared.ear.window(&report);
            self.shared.logs.write(Line::Traffic(Box::new(report)));
        }
        if now.as_secs() != self.second {
            self.second = now.as_secs();
            self.shared.inbox.send(Input::Handshakes(self.sensor.clients(now)));
        }
        if self.shown.elapsed() >= SHOW {
            self.show();
        }
    }

    fn hear(&mut self, now: Time, news: News) {
        let News { blocks, acquitted, logins, external, view, config, models } = news;
        if let Some(config) = config {
            self.sensor.set_config(config);
        }
        if let Some(models) = models {
            self.sensor.set_models(models);
        }
        if let Some(view) = view {
            self.sensor.set_view(view);
        }
        blocks.into_iter().for_each(|(target, strength)| self.sensor.handle_block(target, strength));
        acquitted.into_iter().for_each(|target| self.sensor.handle_acquittal(target));
        logins.into_iter().for_each(|login| self.sensor.handle_login(now, login));
        external.into_iter().for_each(|verdict| self.sensor.handle_external(now, verdict));
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        self.shared.board.show(&self.sensor.stats());
        self.shared.board.compare(self.sensor.comparison());
        let lost = self.source.stats().lost;
        self.shared.counters.lost.add(lost.saturating_sub(self.lost));
        self.lost = lost;
        let names = self.source.interfaces().iter().map(|interface| interface.name().to_owned()).collect();
        *locked(&self.shared.interfaces) = names;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
