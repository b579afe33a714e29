//! From the database to whoever listens: one list of another cluster.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Method, Response,
    header::{ACCEPT, CONTENT_TYPE, HeaderValue},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::{
    backoff::Backoff,
    change::{CHILDREN, Change},
    copy::Copy,
    database::{Database, Request},
    health::{Health, State},
    heard::Heard,
    item::{Cluster, List},
    sse::{Event, Parser},
    trouble::Trouble,
};

/// The newest rows that are asked for, unless fewer fit into an event.
pub const WINDOW: usize = 1000;

// Of what was shown twice the window is remembered; a window must fit what is read of one event.
const _: () = assert!(2 * WINDOW <= CHILDREN);

const STREAM: &str = "text/event-stream";

/// A stream that lived so long was good: one that ends earlier, again and again, must not be opened once a second.
const STEADY: Duration = Duration::from_secs(60);

/// What one step of the receiver did.
#[derive(Debug, PartialEq)]
pub enum Got {
    /// The stream is open: the whole window follows, of which only what is new is told.
    Connected,
    /// This was said; it may be nothing.
    Heard(Vec<Heard>),
    /// The stream is closed, and nothing should be tried for so long.
    Wait(Duration),
}

/// Listens to one list of another cluster: its newest rows and whatever is added. After a cut everything in the window
/// comes again, and what is already known is left out; only a new receiver tells all of it anew.
#[derive(Debug)]
pub struct Receiver {
    database: Arc<Database>,
    cluster: Cluster,
    list: List,
    health: Arc<Health>,
    backoff: Backoff,
    /// Rows that are asked for: halved when they are too large, and doubled again after a stream that was not.
    window: usize,
    fitted: bool,
    copy: Copy,
    stream: Option<Stream>,
    /// What ended the stream, when something was heard before it did.
    ended: Option<Trouble>,
}

#[derive(Debug)]
struct Stream {
    since: Duration,
    answer: Response,
    parser: Parser,
}

/// Tells how a receiver is, from any thread.
#[derive(Clone, Debug)]
pub struct Listening(Arc<Health>);

impl Listening {
    /// How it is now. Of the counts only `rewritten` means anything.
    pub fn state(&self) -> State {
        self.0.state()
    }
}

impl Receiver {
    /// A receiver of this list of this cluster.
    pub fn new(database: Arc<Database>, cluster: Cluster, list: List) -> Self {
        Self {
            database,
            cluster,
            list,
            health: Arc::default(),
            backoff: Backoff::default(),
            window: WINDOW,
            fitted: false,
            copy: Copy::new(list, 2 * WINDOW),
            stream: None,
            ended: None,
        }
    }

    /// Tells how it is.
    pub fn watch(&self) -> Listening {
        Listening(Arc::clone(&self.health))
    }

    /// Listens until nobody takes what is heard. May be dropped at any time. `clock` tells the time since 1970, `chance`
    /// draws. While nobody takes anything, nothing more is read.
    pub async fn run(
        mut self,
        clock: impl Fn() -> Duration,
        chance: impl FnMut() -> u64,
        heard: mpsc::Sender<Heard>,
    ) {
        // On a quiet list nothing is handed over that could fail.
        tokio::select! {
            () = heard.closed() => {}
            () = self.hand_over(clock, chance, &heard) => {}
        }
    }

    async fn hand_over(
        &mut self,
        clock: impl Fn() -> Duration,
        mut chance: impl FnMut() -> u64,
        heard: &mpsc::Sender<Heard>,
    ) {
        loop {
            match self.step(clock(), chance()).await {
                Got::Connected => {}
                Got::Wait(wait) => sleep(wait).await,
                Got::Heard(all) => {
                    for one in all {
                        if heard.send(one).await.is_err() {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// Connects, or waits for what comes next.
    pub async fn step(&mut self, now: Duration, chance: u64) -> Got {
        if let Some(trouble) = self.ended.take() {
            return self.failed(trouble, now, chance);
        }
        if self.stream.is_none() {
            let connected = self.connect(now).await;
            return connected.map_or_else(|trouble| self.failed(trouble, now, chance), |()| Got::Connected);
        }
        let (told, ended) = self.listen(now).await;
        self.ended = ended;
        match self.ended.take_if(|_| told.is_empty()) {
            Some(trouble) => self.failed(trouble, now, chance),
            None => Got::Heard(told),
        }
    }

    fn failed(&mut self, trouble: Trouble, now: Duration, chance: u64) -> Got {
        self.stream = None;
        let wait = self.backoff.failed(chance, trouble.asked_wait());
        self.health.failed(trouble, now);
        Got::Wait(wait)
    }

    async fn connect(&mut self, now: Duration) -> Result<(), Trouble> {
        if std::mem::take(&mut self.fitted) {
            self.window = (2 * self.window).min(WINDOW);
        }
        let mut path = self.cluster.path();
        path.push(self.list.key());
        let mut request = Request::new(Method::GET, path);
        request.query.push(("orderBy", "\"$key\"".to_owned()));
        request.query.push(("limitToLast", self.window.to_string()));
        request.headers.insert(ACCEPT, HeaderValue::from_static(STREAM));
        let answer = self.database.send(&request, now).await?;
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with(STREAM)) {
            return Err(Trouble::Nonsense("no stream where one was asked for".to_owned()));
        }
        self.stream = Some(Stream { since: now, answer, parser: Parser::default() });
        Ok(())
    }

    /// What came, and what ended the stream.
    async fn listen(&mut self, now: Duration) -> (Vec<Heard>, Option<Trouble>) {
        let (mut events, mut told) = (Vec::new(), Vec::new());
        let mut ended = self.read(&mut events).await.err();
        for event in events {
            match self.handle(event).await {
                Ok(heard) => {
                    self.lived(now);
                    told.extend(heard);
                }
                Err(trouble) => {
                    ended = Some(trouble);
                    break;
                }
            }
        }
        if matches!(ended, Some(Trouble::TooLong { .. })) {
            // What is in the window is too large: fewer of the newest are better than none.
            self.window = (self.window / 2).max(1);
            self.fitted = false;
        }
        (told, ended)
    }

    fn lived(&mut self, now: Duration) {
        if self.stream.as_ref().is_some_and(|stream| now.saturating_sub(stream.since) >= STEADY) {
            self.backoff.succeeded();
        }
    }

    async fn read(&mut self, events: &mut Vec<Event>) -> Result<(), Trouble> {
        let ended = || Trouble::Unreachable("the stream ended".to_owned());
        let Stream { since: _, answer, parser } = self.stream.as_mut().ok_or_else(ended)?;
        let came = timeout(self.database.patience.silence, answer.chunk()).await;
        let bytes = came.map_err(|_| Trouble::Silent)??.ok_or_else(ended)?;
        parser.feed(&bytes, events)
    }

    async fn handle(&mut self, Event { name, data }: Event) -> Result<Vec<Heard>, Trouble> {
        let told = match name.as_str() {
            "put" => self.copy.put(&Change::read(&data)?)?,
            "patch" => self.copy.patch(&Change::read(&data)?)?,
            "cancel" => return Err(Trouble::Cancelled),
            "auth_revoked" => {
                self.database.forget_token().await;
                return Err(Trouble::Unauthorised("auth_revoked".to_owned()));
            }
            // Keep-alive, and whatever Firebase may add.
            _ => return Ok(Vec::new()),
        };
        self.fitted = true;
        self.health.sent(0);
        for _ in told.iter().filter(|told| matches!(told, Heard::Rewritten { .. } | Heard::Removed { .. })) {
            self.health.rewritten();
        }
        Ok(told)
    }
}
