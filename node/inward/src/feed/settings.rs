//! What a person says of a feed.

use std::time::Duration;

use thiserror::Error;

use super::{Format, Source, UnusableSource};

/// Bytes of a feed's name: it stands in kernel comments and in names of files.
pub const NAME_BYTES: usize = 48;

/// A feed, as a person wants it followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedSettings {
    /// What it goes by: the origin of its blocks is `feed:NAME`.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// How it is written.
    pub format: Format,
    /// How often it is fetched.
    pub every: Duration,
    /// An update that adds or drops more than this share of the list, per cent, waits for a person.
    pub most_change: u8,
}

/// A feed cannot be followed as it is described.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnusableFeed {
    /// The name cannot stand in a kernel comment.
    #[error(
        "a feed's name is 1 to {NAME_BYTES} letters, digits, dots, dashes or underscores, and begins with a letter or digit"
    )]
    Name,
    /// The address is none.
    #[error(transparent)]
    Source(#[from] UnusableSource),
    /// There is no such form.
    #[error(
        "a feed's format is \"plain\", \"csv:COLUMN\" (a name, or a number from 1), \"json\" or \"json:KEY\""
    )]
    Format,
}

impl FeedSettings {
    /// A feed of this description.
    ///
    /// # Errors
    /// [`UnusableFeed`]: what is wrong with it.
    pub fn new(
        name: &str,
        source: &str,
        format: &str,
        every: Duration,
        most_change: u8,
    ) -> Result<Self, UnusableFeed> {
        if !is_name(name) {
            return Err(UnusableFeed::Name);
        }
        let source = Source::parse(source)?;
        let format = format.parse().map_err(|_| UnusableFeed::Format)?;
        Ok(Self { name: name.to_owned(), source, format, every, most_change })
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= NAME_BYTES
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(fits)
}

/// What a feed goes by when nobody says: its host and the last part of its path.
pub fn name_of(source: &Source) -> String {
    let text = match source {
        Source::Https(url) => {
            let last = url.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
            format!("{}-{last}", url.host_str().unwrap_or_default())
        }
        Source::Place(wanted) => wanted.to_string().replace(':', "-"),
        Source::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = text.chars().filter(fits).take(NAME_BYTES).collect();
    let name = name.trim_start_matches(['.', '-', '_']).trim_end_matches(['.', '-', '_']);
    if name.is_empty() { "feed".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_gave_is_made_of_the_address() {
        let name = |text: &str| name_of(&Source::parse(text).unwrap());
        assert_eq!(name("https://www.example.org/drop/drop.txt?k=1"), "www.example.org-drop.txt");
        assert_eq!(name("https://example.org/"), "example.org");
        assert_eq!(name("file:///var/lib/my list.txt"), "mylist.txt");
        assert_eq!(name("geoip:country:xa"), "country-XA");
        assert_eq!(name("file:///%2e%2e%2e"), "feed");
        assert_eq!(name(&format!("https://example.org/{}", "x".repeat(99))).len(), NAME_BYTES);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let new = |name: &str, format: &str| {
            FeedSettings::new(name, "https://example.org/x", format, Duration::from_secs(3600), 50)
        };
        assert!(new("drop", "csv:2").is_ok());
        for name in ["", "../x", ".x", "a:b", "a b", &"x".repeat(NAME_BYTES + 1)] {
            assert_eq!(new(name, "plain"), Err(UnusableFeed::Name), "{name}");
        }
        assert_eq!(new("drop", "xml"), Err(UnusableFeed::Format));
    }
}
