//! What lies in the buffer, for those who read it.

use std::path::{Path, PathBuf};

/// How the names of pieces end.
const SUFFIX: &str = ".events";

/// What of the buffer is on disk. Whoever waits for it to change hears of new events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// The life of the buffer; 0 until there is one.
    pub(super) epoch: u64,
    /// The number of the next event.
    pub(super) next: u64,
    pub(super) spans: Vec<Span>,
}

/// One piece: the events from `first` to before `next`, in so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) bytes: u64,
}

impl Span {
    pub(super) const fn empty(first: u64) -> Self {
        Self { first, next: first, bytes: 0 }
    }

    pub(super) const fn len(&self) -> u64 {
        self.next.saturating_sub(self.first)
    }
}

impl Index {
    /// The oldest event that is there; the next one where there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.spans.iter().find(|span| span.len() > 0).map_or(self.next, |span| span.first)
    }

    /// How many events lie behind `kept`.
    pub(super) fn behind(&self, kept: u64) -> u64 {
        self.spans.iter().map(|span| span.next.saturating_sub(span.first.max(kept.saturating_add(1)))).sum()
    }
}

/// The file of a piece.
pub(super) fn path(folder: &Path, epoch: u64, first: u64) -> PathBuf {
    folder.join(format!("{epoch:020}-{first:020}{SUFFIX}"))
}

/// The epoch and the first event that a file's name tells.
pub(super) fn named(name: &str) -> Option<(u64, u64)> {
    let (epoch, first) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |text: &str| if text.len() == 20 { text.parse().ok() } else { None };
    Some((number(epoch)?, number(first)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_is_counted_without_what_was_lost_in_between() {
        let span = |first, next| Span { first, next, bytes: 1 };
        let index = Index { epoch: 1, next: 41, spans: vec![span(11, 21), span(31, 41)] };
        assert_eq!((index.oldest(), index.behind(0), index.behind(15), index.behind(40)), (11, 20, 15, 0));
        assert_eq!(index.behind(u64::MAX), 0);
        assert_eq!(Index { next: 7, ..Index::default() }.oldest(), 7);
    }

    #[test]
    fn the_name_of_a_piece_says_what_it_holds() {
        let path = path(Path::new("/x"), 7, u64::MAX);
        assert_eq!(named(path.file_name().unwrap().to_str().unwrap()), Some((7, u64::MAX)));
        for other in ["known.json", "7-1.events", "-.events", ".events"] {
            assert_eq!(named(other), None);
        }
    }
}
