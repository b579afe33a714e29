//! Sessions of people: a cookie that only its SHA-256 is kept of, in memory.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use time::{Duration, OffsetDateTime};

use super::{
    Secret,
    name::Name,
    secret::{self, NoChance},
};

/// A session that is not used ends.
pub(crate) const IDLE: Duration = Duration::minutes(30);
/// So does one that is used all the time.
pub(crate) const LIFE: Duration = Duration::hours(12);
/// Sessions of one user; the one that was used least recently ends for the next.
const OF_ONE: usize = 16;
/// Sessions of all.
const SESSIONS: usize = 1_024;

/// The sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<BTreeMap<[u8; 32], Session>>);

#[derive(Clone, Debug)]
struct Session {
    user: Name,
    since: OffsetDateTime,
    seen: OffsetDateTime,
}

impl Session {
    fn holds(&self, now: OffsetDateTime) -> bool {
        now - self.seen < IDLE && now - self.since < LIFE
    }
}

impl Sessions {
    /// A session of `user`: what the cookie says.
    pub(crate) fn begin(&self, now: OffsetDateTime, user: &Name) -> Result<Secret, NoChance> {
        let cookie = Secret::new("")?;
        let mut sessions = self.sessions();
        sessions.retain(|_, session| session.holds(now));
        let own = sessions.values().filter(|session| session.user == *user).count();
        if own >= OF_ONE {
            end_oldest(&mut sessions, |session| session.user == *user);
        } else if sessions.len() >= SESSIONS {
            end_oldest(&mut sessions, |_| true);
        }
        sessions.insert(cookie.hash(), Session { user: user.clone(), since: now, seen: now });
        Ok(cookie)
    }

    /// Whose session a cookie is, and its id; it counts as used.
    pub(crate) fn user(&self, now: OffsetDateTime, cookie: &str) -> Option<(Name, [u8; 32])> {
        let id = secret::hash(cookie);
        let mut sessions = self.sessions();
        let session = sessions.get_mut(&id)?;
        if !session.holds(now) {
            sessions.remove(&id);
            return None;
        }
        session.seen = now;
        Some((session.user.clone(), id))
    }

    /// Whether a session still holds, without using it.
    pub(crate) fn holds(&self, now: OffsetDateTime, id: &[u8; 32]) -> bool {
        self.sessions().get(id).is_some_and(|session| session.holds(now))
    }

    /// Ends one session.
    pub(crate) fn end(&self, id: &[u8; 32]) {
        self.sessions().remove(id);
    }

    /// Ends every session of a user but one.
    pub(crate) fn end_all_of(&self, user: &Name, but: Option<&[u8; 32]>) {
        self.sessions().retain(|id, session| session.user != *user || Some(id) == but);
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_oldest(sessions: &mut BTreeMap<[u8; 32], Session>, of: impl Fn(&Session) -> bool) {
    let oldest = sessions.iter().filter(|(_, session)| of(session)).min_by_key(|(_, session)| session.seen);
    if let Some(id) = oldest.map(|(id, _)| *id) {
        sessions.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn name(text: &str) -> Name {
        Name::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_and_after_its_life() {
        let sessions = Sessions::default();
        let cookie = sessions.begin(START, &name("ada")).unwrap();
        let mut now = START;
        while now - START < LIFE - IDLE {
            now += IDLE - Duration::SECOND;
            assert!(sessions.user(now, cookie.reveal()).is_some(), "{now}");
        }
        assert!(sessions.user(START + LIFE, cookie.reveal()).is_none(), "its life is over");
        let cookie = sessions.begin(START, &name("ada")).unwrap();
        assert!(sessions.user(START + IDLE, cookie.reveal()).is_none(), "nobody used it");
        assert!(sessions.user(START, cookie.reveal()).is_none(), "it does not come back");
    }

    #[test]
    fn one_user_has_few_sessions_and_all_have_a_bounded_number() {
        let sessions = Sessions::default();
        let first = sessions.begin(START, &name("ada")).unwrap();
        let second = sessions.begin(START + Duration::SECOND, &name("ada")).unwrap();
        for _ in 2..=OF_ONE {
            sessions.begin(START + Duration::MINUTE, &name("ada")).unwrap();
        }
        assert!(sessions.user(START, first.reveal()).is_none(), "the oldest of the user's ended");
        assert!(sessions.user(START, second.reveal()).is_some());
        for user in 0..SESSIONS {
            sessions.begin(START + Duration::MINUTE, &name(&format!("u{user}"))).unwrap();
        }
        assert_eq!(sessions.sessions().len(), SESSIONS);
    }

    #[test]
    fn all_sessions_of_a_user_end_but_the_one_that_asks() {
        let sessions = Sessions::default();
        let cookies = [0, 1].map(|_| sessions.begin(START, &name("ada")).unwrap());
        let other = sessions.begin(START, &name("bob")).unwrap();
        sessions.end_all_of(&name("ada"), Some(&cookies[1].hash()));
        let hold = [&cookies[0], &cookies[1], &other].map(|cookie| sessions.holds(START, &cookie.hash()));
        assert_eq!(hold, [false, true, true]);
    }
}
