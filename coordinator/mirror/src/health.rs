//! How the mirror is, for the person who asks.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{outbox::Counts, trouble::Trouble};

/// How the mirror is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Items that wait, were dropped, or were refused.
    pub counts: Counts,
    /// Items that the database has taken since the start.
    pub sent: u64,
    /// Items that were found changed or gone in the database after it had taken them.
    pub rewritten: u64,
    /// What stands in the way, and since when (time since 1970).
    pub trouble: Option<(Trouble, Duration)>,
}

impl State {
    /// Whether nothing stands in the way, nothing was dropped, refused or rewritten.
    pub const fn is_ok(&self) -> bool {
        let Self { counts, sent: _, rewritten, trouble } = self;
        trouble.is_none() && counts.dropped == 0 && counts.aside == 0 && *rewritten == 0
    }

    /// One line as [`Display`](fmt::Display) gives it, and since when; `written` writes a time since 1970.
    pub fn told(&self, written: impl FnOnce(Duration) -> String) -> String {
        let since = self.trouble.as_ref().map(|(_, since)| format!(", since {}", written(*since)));
        format!("{self}{}", since.unwrap_or_default())
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> Option<&'static str> {
        let Self { counts, sent: _, rewritten, trouble } = self;
        match trouble {
            Some((trouble, _)) => Some(trouble.remedy()),
            None if *rewritten > 0 => {
                Some("look who else may write under the cluster's path in the database")
            }
            None if counts.aside > 0 => {
                Some("look at what was set aside: a limit of the database may be in the way")
            }
            None if counts.dropped > 0 => Some(
                "raise mirror.outbox_items and mirror.outbox_bytes if outages as long as the last one are usual",
            ),
            None => None,
        }
    }
}

/// One line: `ok`, or what is wrong.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { counts, sent: _, rewritten, trouble } = self;
        match trouble {
            Some((trouble, _)) if counts.waiting == 0 => write!(f, "{trouble}")?,
            Some((trouble, _)) => write!(f, "behind by {}: {trouble}", counts.waiting)?,
            None if self.is_ok() => f.write_str("ok")?,
            None => f.write_str("sending")?,
        }
        for (number, what) in [
            (counts.dropped, "dropped because the outbox was full"),
            (counts.aside, "refused by the database and set aside"),
            (*rewritten, "changed in the database by somebody else"),
        ] {
            if number > 0 {
                write!(f, "; {number} {what}")?;
            }
        }
        Ok(())
    }
}

/// Where the sender writes and whoever asks reads.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

impl Health {
    pub(crate) fn state(&self) -> State {
        self.lock().clone()
    }

    pub(crate) fn sent(&self, items: u64) {
        let mut state = self.lock();
        state.sent += items;
        if let Some((trouble, _)) = state.trouble.take() {
            tracing::info!(before = %trouble, "the mirror goes on");
        }
    }

    pub(crate) fn rewritten(&self) {
        self.lock().rewritten += 1;
    }

    /// The same trouble keeps its beginning.
    pub(crate) fn failed(&self, trouble: Trouble, now: Duration) {
        let mut state = self.lock();
        let since = match &state.trouble {
            Some((_, since)) => *since,
            None => now,
        };
        if state.trouble.as_ref().is_none_or(|(before, _)| *before != trouble) {
            tracing::warn!(why = %trouble, "do" = trouble.remedy(), "the mirror stands still");
        }
        state.trouble = Some((trouble, since));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_tells_how_far_behind_why_since_when_and_what_to_do() {
        let health = Health::default();
        assert_eq!((health.state().to_string().as_str(), health.state().remedy()), ("ok", None));
        health.failed(Trouble::Silent, Duration::from_secs(10));
        health.failed(Trouble::Busy { status: 503, after: None }, Duration::from_secs(20));
        let state = State { counts: Counts { waiting: 7, ..Counts::default() }, ..health.state() };
        assert_eq!(state.to_string(), "behind by 7: the database is busy: it answers 503");
        assert_eq!(
            state.trouble.as_ref().unwrap().1.as_secs(),
            10,
            "the outage began with the first failure"
        );
        assert_eq!(state.told(|since| format!("{since:?}")), format!("{state}, since 10s"));
        assert!(state.remedy().unwrap().contains("quota") && !state.is_ok());
        health.sent(7);
        assert!(health.state().is_ok() && health.state().sent == 7);
    }

    #[test]
    fn what_was_dropped_refused_or_rewritten_stays_visible() {
        let counts = Counts { dropped: 2, aside: 1, ..Counts::default() };
        let state = State { counts, rewritten: 3, ..State::default() };
        assert_eq!(
            state.to_string(),
            "sending; 2 dropped because the outbox was full; 1 refused by the database and set aside; \
             3 changed in the database by somebody else"
        );
        assert!(state.remedy().unwrap().contains("who else"));
    }
}
