//! The memory of sessions: who logged in is protected for the session and an hour beyond.

use std::{collections::BTreeMap, fs, io, net::IpAddr, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use smartfw_core::Time;

use super::Session;

/// How long an address stays protected after its last session was seen: whoever reconnects must get in.
pub const GRACE: Duration = Duration::from_secs(3600);
/// Addresses remembered. The kernel's protected set is matched by every packet, and no host has so many administrators;
/// beyond it, those whose session ended longest ago are forgotten.
pub const MAX_SESSIONS: usize = 4096;
/// Bytes of a stored memory that are read: 4096 addresses take a tenth of it.
const MAX_STORED: u64 = 4 << 20;
/// Characters of a user's name that are kept.
const MAX_USER: usize = 64;

/// Who was logged in lately. Reads no clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    sessions: BTreeMap<IpAddr, Seen>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    user: String,
    last_seen: Time,
}

impl Sessions {
    /// Takes note of the sessions there are `now`; whether the protected addresses are other ones than before.
    pub fn update(&mut self, now: Time, current: &[Session]) -> bool {
        let before: Vec<IpAddr> = self.sessions.keys().copied().collect();
        for session in current.iter().take(MAX_SESSIONS) {
            let user = session.user.chars().take(MAX_USER).collect();
            self.sessions.insert(session.address, Seen { user, last_seen: now });
        }
        // A clock that was set back must not prolong anything for ever.
        self.sessions.values_mut().for_each(|seen| seen.last_seen = seen.last_seen.min(now));
        self.sessions.retain(|_, seen| now.since(seen.last_seen) < GRACE);
        self.forget_oldest();
        !before.iter().eq(self.sessions.keys())
    }

    /// Who is protected: address and user.
    pub fn protected(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.sessions.iter().map(|(address, seen)| (*address, seen.user.as_str()))
    }

    /// Reads the memory that [`Self::save`] wrote. What is missing or damaged is an empty memory: the sessions that live
    /// are found again within a second.
    pub fn load(path: &Path) -> Self {
        let short =
            fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MAX_STORED);
        let text = if short { fs::read(path).unwrap_or_default() } else { Vec::new() };
        let mut sessions: Self = serde_json::from_slice(&text).unwrap_or_default();
        sessions.forget_oldest();
        sessions
    }

    /// Writes the memory, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; what was there before is then still there.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("new");
        fs::write(&temporary, serde_json::to_vec(self)?)?;
        fs::rename(temporary, path)
    }

    fn forget_oldest(&mut self) {
        while self.sessions.len() > MAX_SESSIONS {
            let oldest =
                self.sessions.iter().min_by_key(|(_, seen)| seen.last_seen).map(|(address, _)| *address);
            oldest.and_then(|address| self.sessions.remove(&address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(address: &str) -> Session {
        Session { address: address.parse().unwrap(), user: "root".into() }
    }

    fn at(minutes: u64) -> Time {
        Time::from_secs(1_700_000_000 + 60 * minutes)
    }

    fn protected(sessions: &Sessions) -> Vec<String> {
        sessions.protected().map(|(address, _)| address.to_string()).collect()
    }

    #[test]
    fn a_session_is_protected_while_it_lives_and_for_an_hour() {
        let mut sessions = Sessions::default();
        assert!(sessions.update(at(0), &[session("192.0.2.7")]));
        assert!(!sessions.update(at(300), &[session("192.0.2.7")]));
        assert!(!sessions.update(at(359), &[]));
        assert_eq!(protected(&sessions), ["192.0.2.7"]);
        assert!(sessions.update(at(360), &[]));
        assert!(protected(&sessions).is_empty());
    }

    #[test]
    fn a_clock_set_back_prolongs_nothing() {
        let mut sessions = Sessions::default();
        sessions.update(at(100_000), &[session("192.0.2.7")]);
        sessions.update(at(0), &[]);
        assert_eq!(protected(&sessions), ["192.0.2.7"]);
        sessions.update(at(60), &[]);
        assert!(protected(&sessions).is_empty());
    }

    #[test]
    fn beyond_the_limit_the_oldest_are_forgotten() {
        let mut sessions = Sessions::default();
        sessions.update(at(0), &[session("192.0.2.7")]);
        let many: Vec<Session> = (0..MAX_SESSIONS as u32)
            .map(|n| Session {
                address: IpAddr::from((0x0a00_0000 + n).to_be_bytes()),
                user: "x".repeat(1000),
            })
            .collect();
        sessions.update(at(1), &many);
        assert_eq!(sessions.protected().count(), MAX_SESSIONS);
        assert!(!protected(&sessions).contains(&"192.0.2.7".to_owned()));
        assert!(sessions.protected().all(|(_, user)| user.len() == MAX_USER));
    }

    #[test]
    fn the_memory_survives_a_restart_and_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.json");
        assert_eq!(Sessions::load(&path), Sessions::default());
        let mut sessions = Sessions::default();
        sessions.update(at(0), &[session("192.0.2.7"), session("2001:db8::7")]);
        sessions.save(&path).unwrap();
        assert_eq!(Sessions::load(&path), sessions);
        fs::write(&path, "{\"sessions\":{\"not an address\":").unwrap();
        assert_eq!(Sessions::load(&path), Sessions::default());
    }
}
