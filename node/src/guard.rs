//! Who must never be locked out, and what a person did while the daemon was dead: looked at all the time.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use smartfw_core::{
    IpNet,
    order::{EnforcementState, Order},
    prefix,
    sensor::View,
};
use smartfw_enforce::rescue::{self, Action, Note, Taken};
use smartfw_host::{Observed, Watcher};

use crate::{
    clock,
    detector::Feed,
    health::{Health, Level, Matter},
    inbox::{Inbox, Input, Refused},
    vital::Vital,
};

/// How long the watcher may wait for news before the notes are looked at.
const PATIENCE: Duration = Duration::from_millis(500);

/// Watches over the host.
pub struct Guard {
    /// What the host says of itself; it has looked once.
    pub watcher: Watcher,
    /// Who is told whom to protect.
    pub inbox: Inbox,
    /// Who is told our addresses.
    pub feed: Arc<Feed>,
    /// Where trouble shows.
    pub health: Arc<Health>,
    /// What a person did meanwhile.
    pub notes: Notes,
}

impl Guard {
    /// Starts the thread; it ends when `ending` is set.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(mut self, ending: Arc<AtomicBool>, vital: &Vital) -> std::io::Result<JoinHandle<()>> {
        vital.spawn("guard", move || {
            while !ending.load(SeqCst) {
                self.look();
                self.notes.carry_out();
            }
        })
    }

    fn look(&mut self) {
        match self.watcher.next(PATIENCE) {
            Ok(Some(observed)) => {
                self.feed.view(view_of(observed));
                self.inbox.send(Input::Protected(observed.protected.clone()));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "waiting for news of the host");
                thread::sleep(PATIENCE);
            }
        }
        let mut problems = self.watcher.problems().to_vec();
        match self.watcher.observed().left_out {
            0 => {}
            count => problems.push(format!("{count} addresses that should be protected are too many")),
        }
        show(&self.health, &problems);
    }
}

/// This host's own addresses are its side of every conversation.
pub fn view_of(observed: &Observed) -> View {
    View::Host(observed.own.iter().map(|net: &IpNet| prefix::host(net.addr())).collect())
}

fn show(health: &Health, problems: &[String]) {
    if problems.is_empty() {
        return health.clear(Matter::Host);
    }
    health.set(
        Matter::Host,
        Level::Warn,
        format!("not everything about this host can be watched: {}", problems.join("; ")),
        "who was protected before stays protected; smartfw-cli doctor says what is missing",
    );
}

/// What a person did while the daemon was dead.
#[derive(Clone)]
pub struct Notes {
    state_dir: PathBuf,
    inbox: Inbox,
    health: Arc<Health>,
    /// Some are being carried out: until they are stored they would be read again.
    busy: Arc<AtomicBool>,
    /// Those that were carried out and could not be forgotten, as the first of all.
    kept: Arc<Mutex<Vec<Note>>>,
}

impl Notes {
    /// The notes in the state folder.
    pub fn new(state_dir: &Path, inbox: Inbox, health: Arc<Health>) -> Self {
        let (busy, kept) = Default::default();
        Self { state_dir: state_dir.to_owned(), inbox, health, busy, kept }
    }

    /// Gives the driver what was done; the notes are forgotten once that is on disk.
    pub fn carry_out(&self) {
        if self.busy.load(SeqCst) {
            return;
        }
        match rescue::take_notes(&self.state_dir) {
            Ok(taken) if taken.notes.is_empty() => {}
            Ok(taken) => {
                let kept = self.kept();
                let done = taken.notes.iter().zip(&*kept).take_while(|(note, kept)| note == kept).count();
                drop(kept);
                self.order_all(taken, done);
            }
            Err(error) => self.trouble(&format!("cannot be read: {error}")),
        }
    }

    /// Carries out all notes but the first `done`, which have been.
    fn order_all(&self, taken: Taken, done: usize) {
        let notes = taken.notes.get(done..).unwrap_or_default();
        if !notes.is_empty() {
            let (notes, damaged) = (notes.len(), taken.damaged);
            tracing::info!(notes, damaged, "carrying out what was done meanwhile");
        }
        self.busy.store(true, SeqCst);
        let orders: Vec<Order> = notes.iter().filter_map(order_of).collect();
        if orders.is_empty() {
            return self.forget(taken);
        }
        let waiting = Arc::new(Mutex::new((orders.len(), Some(taken))));
        for order in orders {
            let (notes, waiting) = (self.clone(), waiting.clone());
            let reply = move |result| match result {
                // They are kept, and carried out anew at the next start.
                Err(Refused::Unstored) => {}
                // Refused or not: an unblock of what is not blocked any more is no failure.
                _ => notes.answered(&waiting),
            };
            self.inbox.send(Input::Order(order, Box::new(reply)));
        }
    }

    /// One order is answered: with the last one, not only the last one given, all are stored.
    fn answered(&self, waiting: &Mutex<(usize, Option<Taken>)>) {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0 -= 1;
        if waiting.0 == 0 {
            waiting.1.take().into_iter().for_each(|taken| self.forget(taken));
        }
    }

    fn forget(&self, mut taken: Taken) {
        let mut notes = mem::take(&mut taken.notes);
        let (leaving, stuck) = (taken.leaving, taken.stuck.take());
        match taken.done().and_then(|()| stuck.map_or(Ok(()), Err)) {
            Ok(()) => {
                notes.drain(..leaving);
                self.health.clear(Matter::Notes);
            }
            Err(error) => self.trouble(&format!("cannot be forgotten: {error}")),
        }
        *self.kept() = notes;
        self.busy.store(false, SeqCst);
    }

    fn trouble(&self, why: &str) {
        self.health.set(
            Matter::Notes,
            Level::Warn,
            format!("what was done while the daemon was dead {why}; it is carried out anew at every start"),
            "make the state folder writable",
        );
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Note>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The order that a note stands for; `None` when it is over or makes no sense.
fn order_of(note: &Note) -> Option<Order> {
    let elapsed = clock::now().since(note.time);
    let left = match note.duration.map(Duration::from_secs) {
        Some(whole) => Some(whole.checked_sub(elapsed).filter(|left| !left.is_zero())?),
        None => None,
    };
    Some(match note.action {
        Action::Disable => switch(EnforcementState::Off, None),
        Action::Enable => switch(EnforcementState::On, None),
        Action::Panic => switch(EnforcementState::Panic, left),
        Action::Unblock => Order::Unblock { target: note.target?, false_positive: note.false_positive },
        Action::Allow => Order::Allow { target: note.target?, duration: left, comment: note.comment.clone() },
    })
}

const fn switch(state: EnforcementState, resume: Option<Duration>) -> Order {
    Order::Enforcement { state, confirm: None, resume }
}

#[cfg(test)]
mod tests {
    use smartfw_core::{Time, order::Refusal};

    use super::*;
    use crate::inbox::inbox;

    fn note(action: Action, ago: u64, duration: Option<u64>) -> Note {
        let time = Time::from_secs(clock::now().as_secs() - ago);
        let (target, comment) = (Some("192.0.2.1/32".parse().unwrap()), String::new());
        Note { time, action, target, duration, comment, false_positive: false }
    }

    #[test]
    fn what_cannot_be_forgotten_is_carried_out_once() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, inputs) = inbox(Arc::default());
        let health = Arc::new(Health::default());
        let notes = Notes::new(folder.path(), inbox, health.clone());
        let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
        let line = |action| serde_json::to_string(&note(action, 0, None)).unwrap() + "\n";
        // What is new cannot be moved while something old is there.
        write("rescue.taken.jsonl", "");
        write("rescue.jsonl", &line(Action::Unblock));
        let mut orders = 0;
        for _ in 0..3 {
            notes.carry_out();
            if let Some(Input::Order(Order::Unblock { .. }, reply)) = inputs.wait(Time::ZERO) {
                orders += 1;
                reply(Err(Refusal::NotFound.into()));
            }
        }
        assert_eq!(orders, 1);
        assert!(rescue::take_notes(folder.path()).unwrap().notes.is_empty());
    }

    #[test]
    fn notes_are_kept_until_every_one_of_them_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, inputs) = inbox(Arc::default());
        let notes = Notes::new(folder.path(), inbox, Arc::default());
        let line = |action| serde_json::to_string(&note(action, 0, None)).unwrap() + "\n";
        let lines = line(Action::Allow) + &line(Action::Unblock);
        std::fs::write(folder.path().join("rescue.jsonl"), lines).unwrap();
        notes.carry_out();
        let reply = || match inputs.wait(Time::ZERO) {
            Some(Input::Order(_, reply)) => reply,
            _ => panic!("no order"),
        };
        let (allow, unblock) = (reply(), reply());
        let kept = || rescue::take_notes(folder.path()).unwrap().notes.len();
        // The last one is refused at once, and the first not yet stored.
        unblock(Err(Refusal::NotFound.into()));
        assert_eq!(kept(), 2);
        allow(Ok(smartfw_core::order::Done::Confirmed));
        assert_eq!(kept(), 0);
    }

    #[test]
    fn notes_that_could_not_be_stored_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (inbox, inputs) = inbox(Arc::default());
        let notes = Notes::new(folder.path(), inbox, Arc::default());
        let line = serde_json::to_string(&note(Action::Allow, 0, None)).unwrap() + "\n";
        std::fs::write(folder.path().join("rescue.jsonl"), line).unwrap();
        notes.carry_out();
        let Some(Input::Order(_, reply)) = inputs.wait(Time::ZERO) else { panic!("no order") };
        reply(Err(Refused::Unstored));
        assert_eq!(rescue::take_notes(folder.path()).unwrap().notes.len(), 1);
    }

    #[test]
    fn what_was_a_false_positive_is_ordered_as_one() {
        for wrong in [true, false] {
            let note = Note { false_positive: wrong, ..note(Action::Unblock, 0, None) };
            assert_eq!(
                order_of(&note),
                note.target.map(|target| Order::Unblock { target, false_positive: wrong })
            );
        }
    }

    #[test]
    fn what_is_over_by_now_is_not_carried_out() {
        assert_eq!(order_of(&note(Action::Panic, 100, Some(60))), None);
        assert_eq!(order_of(&note(Action::Allow, 100, Some(60))), None);
    }

    #[test]
    fn what_goes_on_ends_when_it_would_have_ended() {
        let Some(Order::Enforcement { state, resume, .. }) = order_of(&note(Action::Panic, 100, Some(160)))
        else {
            panic!("no order");
        };
        assert_eq!(state, EnforcementState::Panic);
        assert!((58..=60).contains(&resume.unwrap().as_secs()));
    }
}
