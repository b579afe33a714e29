//! Who must never be locked out, and what a person did while the daemon was dead: looked at all the time.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
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
    inbox::{Inbox, Input},
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
    /// Some are being carried out: until they are stored they would be read again.
    busy: Arc<AtomicBool>,
}

impl Notes {
    /// The notes in the state folder.
    pub fn new(state_dir: &Path, inbox: Inbox) -> Self {
        Self { state_dir: state_dir.to_owned(), inbox, busy: Arc::default() }
    }

    /// Gives the driver what was done; the notes are forgotten once that is on disk.
    pub fn carry_out(&self) {
        if self.busy.load(SeqCst) {
            return;
        }
        match rescue::take_notes(&self.state_dir) {
            Ok(taken) if taken.notes.is_empty() => {}
            Ok(taken) => self.order_all(taken),
            Err(error) => tracing::debug!(%error, "what was done without the daemon cannot be read"),
        }
    }

    fn order_all(&self, taken: Taken) {
        tracing::info!(
            notes = taken.notes.len(),
            damaged = taken.damaged,
            "carrying out what was done meanwhile"
        );
        self.busy.store(true, SeqCst);
        let mut orders: Vec<Order> = taken.notes.iter().filter_map(order_of).collect();
        let Some(last) = orders.pop() else { return self.forget(taken) };
        orders.into_iter().for_each(|order| self.inbox.send(Input::Order(order, Box::new(|_| ()))));
        let notes = self.clone();
        // Refused or not: an unblock of what is not blocked any more is no failure.
        self.inbox.send(Input::Order(last, Box::new(move |_| notes.forget(taken))));
    }

    fn forget(&self, taken: Taken) {
        self.busy.store(false, SeqCst);
        if let Err(error) = taken.done() {
            tracing::warn!(%error, "notes of a rescue cannot be removed: they will be carried out again");
        }
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
        Action::Unblock => Order::Unblock { target: note.target?, false_positive: false },
        Action::Allow => Order::Allow { target: note.target?, duration: left, comment: note.comment.clone() },
    })
}

const fn switch(state: EnforcementState, resume: Option<Duration>) -> Order {
    Order::Enforcement { state, confirm: None, resume }
}

#[cfg(test)]
mod tests {
    use smartfw_core::Time;

    use super::*;

    fn note(action: Action, ago: u64, duration: Option<u64>) -> Note {
        let time = Time::from_secs(clock::now().as_secs() - ago);
        Note { time, action, target: Some("192.0.2.1/32".parse().unwrap()), duration, comment: String::new() }
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
