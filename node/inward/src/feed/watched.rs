//! One feed over time: when it is fetched, and what becomes of what came.

use std::time::Duration;

use smartfw_core::Time;

use super::{
    Doubt, FeedSettings, FetchError, Fetched, Kept, Unparsed, Validators, changed_too_much, parse, sift,
};

/// The first pause after a failure; it doubles with each, up to the feed's own interval.
const PAUSE: Duration = Duration::from_secs(60);

/// After a start nobody is asked at once: all nodes of a fleet may have been started together.
const AFTER_START: Duration = Duration::from_secs(30);

/// Fetches vary by this share, so that a fleet does not ask all at once: one part in ten, earlier or later.
const JITTER: u64 = 10;

/// A feed that is followed.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What a person says of it.
    pub settings: FeedSettings,
    /// Whether the configuration names it.
    pub configured: bool,
    /// Its list as it was last good.
    pub kept: Option<Kept>,
    /// When it is fetched next.
    pub next: Time,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
    failures: u32,
}

/// What is wrong with a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub what: String,
    /// What a person can do.
    pub remedy: String,
}

/// What became of what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is another list, to be kept and enforced.
    Changed,
    /// The list is still the same; that it is, is to be kept.
    Confirmed,
    /// Nothing came that can be used; the last good list counts.
    Failed,
}

impl Watched {
    /// A feed, with the list that was kept. `random` is any number.
    pub fn new(settings: FeedSettings, configured: bool, kept: Option<Kept>, now: Time, random: u64) -> Self {
        let wait = Duration::from_nanos(random % AFTER_START.as_nanos() as u64);
        let soon = if kept.is_some() { now.after(wait) } else { now };
        let due = kept.as_ref().map_or(now, |kept| kept.at.after(settings.every));
        // A clock that was wrong must not put it off for years.
        let next = due.max(soon).min(now.after(settings.every));
        Self { settings, configured, kept, next, trouble: None, failures: 0 }
    }

    /// What its source said of the list that is kept; nothing where all of it is wanted anew.
    pub fn known(&self, anew: bool) -> Validators {
        self.kept.as_ref().filter(|_| !anew).map(|kept| kept.marks.clone()).unwrap_or_default()
    }

    /// Takes what came. With `force` a person has looked at a change that is too large.
    pub fn take(
        &mut self,
        now: Time,
        random: u64,
        fetched: Result<Fetched, FetchError>,
        force: bool,
    ) -> Outcome {
        let outcome = match fetched {
            Ok(Fetched::Unchanged) => match &mut self.kept {
                Some(kept) => {
                    kept.at = now;
                    Ok(Outcome::Confirmed)
                }
                None => Err(unasked()),
            },
            Ok(Fetched::New(bytes, marks)) => self.new_list(now, &bytes, marks, force),
            Err(error) => Err(Trouble { remedy: error.remedy().to_owned(), what: error.to_string() }),
        };
        self.failures = if outcome.is_ok() { 0 } else { self.failures.saturating_add(1) };
        self.next = now.after(jittered(self.pause(), random));
        self.trouble = outcome.as_ref().err().cloned();
        outcome.unwrap_or(Outcome::Failed)
    }

    fn new_list(
        &mut self,
        now: Time,
        bytes: &[u8],
        marks: Validators,
        force: bool,
    ) -> Result<Outcome, Trouble> {
        let parsed = parse(bytes, &self.settings.format).map_err(|why| self.unparsed(&why))?;
        let list = sift(parsed).map_err(|why| self.doubted(&why))?;
        let before = self.kept.as_ref().map(|kept| &kept.list.nets);
        if let Some(before) = before.filter(|_| !force) {
            changed_too_much(before, &list.nets, self.settings.most_change)
                .map_err(|why| self.doubted(&why))?;
        }
        let same = before == Some(&list.nets);
        self.kept = Some(Kept { list, marks, at: now });
        Ok(if same { Outcome::Confirmed } else { Outcome::Changed })
    }

    fn pause(&self) -> Duration {
        if self.failures == 0 {
            return self.settings.every;
        }
        let doubled = 1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX);
        PAUSE.saturating_mul(doubled).min(self.settings.every)
    }

    fn unparsed(&self, why: &Unparsed) -> Trouble {
        let format = &self.settings.format;
        let remedy =
            format!("see whether the feed is still written as `{format}`; the last list is used meanwhile");
        Trouble { what: why.to_string(), remedy }
    }

    fn doubted(&self, why: &Doubt) -> Trouble {
        let name = &self.settings.name;
        let remedy = match why {
            Doubt::Shape { .. } => {
                let format = &self.settings.format;
                format!(
                    "see whether the feed is still written as `{format}`; the last list is used meanwhile"
                )
            }
            Doubt::Emptied { .. } | Doubt::Change { .. } => format!(
                "look at the feed; if it is right: smartfw-cli feed refresh {name} --force; the last list is used meanwhile"
            ),
        };
        Trouble { what: why.to_string(), remedy }
    }
}

fn unasked() -> Trouble {
    Trouble {
        what: "the server says that the list has not changed, and was not told which one is known".to_owned(),
        remedy: "nothing: it is tried again by itself".to_owned(),
    }
}

fn jittered(span: Duration, random: u64) -> Duration {
    let spread = span / JITTER as u32;
    let width = u64::try_from(2 * spread.as_nanos()).unwrap_or(u64::MAX).max(1);
    span - spread + Duration::from_nanos(random % width)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Time = Time::from_secs(1_800_000_000);

    fn watched() -> Watched {
        let settings = FeedSettings::new("drop", "https://example.org/x", "plain", HOUR, 50).unwrap();
        Watched::new(settings, false, None, NOW, 0)
    }

    fn came(range: std::ops::Range<u32>) -> Result<Fetched, FetchError> {
        let line = |n: u32| format!("{}\n", std::net::Ipv4Addr::from(0xC633_0000 + n));
        let text: String = range.map(line).collect();
        let marks = Validators { etag: Some(text.len().to_string()), modified: None };
        Ok(Fetched::New(text.into_bytes(), marks))
    }

    fn entries(watched: &Watched) -> usize {
        watched.kept.as_ref().map_or(0, |kept| kept.list.nets.len())
    }

    #[test]
    fn a_new_feed_is_fetched_at_once_and_then_at_its_interval_give_or_take_a_tenth() {
        let mut feed = watched();
        assert_eq!(feed.next, NOW);
        assert_eq!(feed.take(NOW, 0, came(0..100), false), Outcome::Changed);
        assert_eq!(feed.next.since(NOW), HOUR - HOUR / 10);
        let waits: Vec<u64> = (0..999_u64)
            .map(|n| {
                feed.take(NOW, n.wrapping_mul(0x9E37_79B9_7F4A_7C15), came(0..100), false);
                feed.next.since(NOW).as_secs()
            })
            .collect();
        assert!(waits.iter().all(|wait| (3240..=3960).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 3300) && waits.iter().any(|wait| *wait > 3900));
    }

    #[test]
    fn failures_are_tried_again_ever_later_and_the_last_list_is_kept() {
        let mut feed = watched();
        feed.take(NOW, 0, came(0..100), false);
        let waits: Vec<u64> = (0..9)
            .map(|_| {
                assert_eq!(feed.take(NOW, 0, Err(FetchError::Status(503)), false), Outcome::Failed);
                feed.next.since(NOW).as_secs()
            })
            .collect();
        assert_eq!(waits, [54, 108, 216, 432, 864, 1728, 3240, 3240, 3240]);
        assert_eq!(
            (entries(&feed), feed.trouble.as_ref().unwrap().what.as_str()),
            (100, "the server answers 503")
        );
        for _ in 0..40 {
            feed.take(NOW, 0, Err(FetchError::Redirect), false);
        }
        feed.take(NOW, 0, came(0..100), false);
        assert_eq!((feed.trouble.clone(), feed.failures), (None, 0));
    }

    #[test]
    fn a_change_that_is_too_large_waits_for_a_person() {
        let mut feed = watched();
        feed.take(NOW, 0, came(0..1000), false);
        assert_eq!(feed.take(NOW, 0, came(0..400), false), Outcome::Failed);
        assert!(feed.trouble.as_ref().unwrap().remedy.contains("feed refresh drop --force"));
        assert_eq!((entries(&feed), feed.known(false).etag), (1000, feed.kept.clone().unwrap().marks.etag));
        assert_eq!(feed.known(true), Validators::default(), "a person wants all of it");
        assert_eq!(feed.take(NOW, 0, came(0..400), true), Outcome::Changed);
        assert_eq!((entries(&feed), feed.trouble.clone()), (400, None));
    }

    #[test]
    fn not_even_a_person_makes_a_list_of_a_page() {
        let mut feed = watched();
        let page = || Ok(Fetched::New(b"<html>\n".to_vec(), Validators::default()));
        assert_eq!(feed.take(NOW, 0, page(), true), Outcome::Failed);
        assert_eq!(entries(&feed), 0);
        assert_eq!(feed.take(NOW, 0, Ok(Fetched::Unchanged), false), Outcome::Failed);
    }

    #[test]
    fn an_unchanged_list_is_confirmed() {
        let mut feed = watched();
        feed.take(NOW, 0, came(0..100), false);
        let later = NOW.after(HOUR);
        assert_eq!(feed.take(later, 0, Ok(Fetched::Unchanged), false), Outcome::Confirmed);
        assert_eq!(feed.kept.as_ref().unwrap().at, later);
        assert_eq!(feed.take(later, 0, came(0..100), false), Outcome::Confirmed);
    }

    #[test]
    fn after_a_restart_a_kept_list_is_fetched_when_it_is_due_and_not_all_at_once() {
        let mut feed = watched();
        feed.take(NOW, 0, came(0..100), false);
        let at = |later: Duration| {
            let now = NOW.after(later);
            Watched::new(feed.settings.clone(), true, feed.kept.clone(), now, 7_000_000_000).next.since(now)
        };
        assert_eq!((at(HOUR / 4), at(2 * HOUR)), (HOUR / 4 * 3, Duration::from_secs(7)));
        let mut kept = feed.kept.clone().unwrap();
        kept.at = NOW.after(1000 * HOUR);
        assert_eq!(Watched::new(feed.settings.clone(), true, Some(kept), NOW, 0).next.since(NOW), HOUR);
    }
}
