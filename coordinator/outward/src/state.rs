//! How a way out is, for the person who asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use smartfw_core::{Health, HealthLevel};

use crate::trouble::Trouble;

/// How one way out is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its name in the configuration.
    pub name: String,
    /// What waits.
    pub waiting: usize,
    /// What went out since the start.
    pub sent: u64,
    /// What was dropped because the queue was full; the oldest first.
    pub dropped: u64,
    /// What the other side would not have, today or tomorrow.
    pub refused: u64,
    /// What stands in the way.
    pub trouble: Option<Trouble>,
}

impl State {
    /// What is wrong, and what to do.
    pub fn health(&self) -> Vec<Health> {
        let Self { name, waiting, sent: _, dropped, refused, trouble } = self;
        let entry = |level, what: String, remedy: &str| Health {
            level,
            what: format!("{name}: {what}"),
            remedy: remedy.to_owned(),
        };
        let mut list = Vec::new();
        if let Some(trouble) = trouble {
            list.push(entry(HealthLevel::Error, format!("{trouble}; {waiting} waiting"), trouble.remedy()));
        }
        if *refused > 0 {
            let what = format!("{refused} refused by the other side and given up");
            list.push(entry(HealthLevel::Warn, what, "look at the log, put it right, and send a test"));
        }
        if *dropped > 0 {
            let what = format!("{dropped} dropped because the queue was full");
            list.push(entry(
                HealthLevel::Warn,
                what,
                "see why the receiver is slow or away; `queue` may be larger",
            ));
        }
        list
    }
}

/// Where a worker writes and whoever asks reads.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<State>);

impl Record {
    pub(crate) fn new(name: &str) -> Self {
        Self(Mutex::new(State { name: name.to_owned(), ..State::default() }))
    }

    pub(crate) fn state(&self) -> State {
        self.lock().clone()
    }

    pub(crate) fn sent(&self, count: usize) {
        let mut state = self.lock();
        state.sent += count as u64;
        if let Some(before) = state.trouble.take() {
            tracing::info!(name = %state.name, %before, "what goes out goes out again");
        }
    }

    /// Only what changes is logged: an outage is one line.
    pub(crate) fn failed(&self, trouble: Trouble) {
        let mut state = self.lock();
        state.refused += u64::from(trouble.is_final());
        if state.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(name = %state.name, why = %trouble, "do" = trouble.remedy(), "what goes out is stuck");
        }
        state.trouble = Some(trouble);
    }

    /// It was tried often enough.
    pub(crate) fn given_up(&self) {
        self.lock().refused += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_says_what_is_wrong_and_what_to_do_until_it_is_over() {
        let record = Record::new("siem");
        assert!(record.state().health().is_empty());
        record.failed(Trouble::Unreachable("refused".to_owned()));
        let list = State { waiting: 7, ..record.state() }.health();
        assert_eq!(list[0].what, "siem: no connection: refused; 7 waiting");
        assert!(list[0].level == HealthLevel::Error && list[0].remedy.contains("service runs"));
        record.sent(7);
        assert!(record.state().health().is_empty() && record.state().sent == 7);
    }

    #[test]
    fn what_was_dropped_or_refused_stays_visible() {
        let record = Record::new("pager");
        record.failed(Trouble::Refused { status: 404, said: "no such hook".to_owned() });
        record.sent(1);
        let list = State { dropped: 3, ..record.state() }.health();
        assert_eq!(list[0].what, "pager: 1 refused by the other side and given up");
        assert_eq!(list[1].what, "pager: 3 dropped because the queue was full");
    }
}
