//! How often a login may be tried: by address, and by user. An attempt is counted before the password is looked at, so
//! that many at once cannot slip through together, and given back when it was right.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;

/// Attempts in one span.
const ATTEMPTS: u32 = 10;
const SPAN: Duration = Duration::from_secs(5 * 60);
/// Addresses, and users, that are counted; beyond it the one counted longest is forgotten.
const COUNTED: usize = 4_096;
/// Users together with an address that they once came from.
const KNOWN: usize = 1_024;

/// Counts attempts.
#[derive(Debug, Default)]
pub(crate) struct Limiter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    addresses: BTreeMap<IpAddr, Count>,
    users: BTreeMap<String, Count>,
    /// Who guesses a user's password from everywhere shall not lock the user out.
    known: BTreeSet<(String, IpAddr)>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: OffsetDateTime,
    attempts: u32,
}

/// No more attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// Seconds until there are some again.
    pub(crate) seconds: u64,
    /// It is the first refusal of its span; the others are the same story.
    pub(crate) first: bool,
}

impl Limiter {
    /// Counts an attempt.
    pub(crate) fn attempt(&self, now: OffsetDateTime, user: &str, from: IpAddr) -> Result<(), TooOften> {
        let mut counts = self.counts();
        let from = neighbourhood(from);
        counted(&mut counts.addresses, from, now)?;
        if counts.known.contains(&(user.to_owned(), from)) {
            return Ok(());
        }
        counted(&mut counts.users, user.to_owned(), now)
    }

    /// It was right: the attempt was none.
    pub(crate) fn succeeded(&self, user: &str, from: IpAddr) {
        let mut counts = self.counts();
        let from = neighbourhood(from);
        for count in [counts.addresses.get_mut(&from)].into_iter().flatten() {
            count.attempts = count.attempts.saturating_sub(1);
        }
        if let Some(count) = counts.users.get_mut(user) {
            count.attempts = count.attempts.saturating_sub(1);
        }
        if counts.known.len() >= KNOWN {
            counts.known.pop_first();
        }
        counts.known.insert((user.to_owned(), from));
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn counted<K: Ord + Clone>(
    table: &mut BTreeMap<K, Count>,
    key: K,
    now: OffsetDateTime,
) -> Result<(), TooOften> {
    if !table.contains_key(&key) && table.len() >= COUNTED {
        let oldest = table.iter().min_by_key(|(_, count)| count.since).map(|(key, _)| key.clone());
        oldest.map(|key| table.remove(&key));
    }
    let count = table.entry(key).or_insert(Count { since: now, attempts: 0 });
    let age = now - count.since;
    if age >= SPAN || age.is_negative() {
        *count = Count { since: now, attempts: 0 };
    }
    count.attempts = count.attempts.saturating_add(1);
    if count.attempts <= ATTEMPTS {
        return Ok(());
    }
    let left = SPAN.saturating_sub((now - count.since).unsigned_abs()).as_secs() + 1;
    Err(TooOften { seconds: left, first: count.attempts == ATTEMPTS + 1 })
}

/// One who has an IPv6 address has the 2^64 of its /64.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_ten_attempts_in_five_minutes() {
        let limiter = Limiter::default();
        for user in 0..10 {
            limiter.attempt(START, &user.to_string(), address("192.0.2.1")).unwrap();
        }
        let refused = limiter.attempt(START, "x", address("192.0.2.1")).unwrap_err();
        assert_eq!(refused, TooOften { seconds: 301, first: true });
        assert!(!limiter.attempt(START, "x", address("192.0.2.1")).unwrap_err().first);
        assert_eq!(limiter.attempt(START, "x", address("192.0.2.2")), Ok(()));
        assert_eq!(limiter.attempt(START + SPAN, "x", address("192.0.2.1")), Ok(()));
    }

    #[test]
    fn a_user_has_ten_attempts_from_everywhere_but_where_they_come_from() {
        let limiter = Limiter::default();
        limiter.attempt(START, "ada", address("2001:db8::1")).unwrap();
        limiter.succeeded("ada", address("2001:db8::1"));
        for host in 0..10 {
            limiter.attempt(START, "ada", IpAddr::from([192, 0, 2, host])).unwrap();
        }
        assert!(limiter.attempt(START, "ada", address("192.0.2.99")).is_err());
        assert_eq!(limiter.attempt(START, "ada", address("2001:db8::2")), Ok(()), "the same /64");
    }

    #[test]
    fn an_attempt_that_was_right_is_none() {
        let limiter = Limiter::default();
        for _ in 0..50 {
            limiter.attempt(START, "ada", address("192.0.2.1")).unwrap();
            limiter.succeeded("ada", address("192.0.2.1"));
        }
    }

    #[test]
    fn the_tables_do_not_grow() {
        let limiter = Limiter::default();
        for number in 0..COUNTED as u32 + 10 {
            let from = IpAddr::from(number.to_be_bytes());
            limiter.attempt(START + Duration::from_millis(number.into()), &number.to_string(), from).unwrap();
            limiter.succeeded(&number.to_string(), from);
        }
        let counts = limiter.counts();
        assert_eq!(
            (counts.addresses.len(), counts.users.len(), counts.known.len()),
            (COUNTED, COUNTED, KNOWN)
        );
        assert!(!counts.users.contains_key("0"), "the oldest goes");
    }
}
