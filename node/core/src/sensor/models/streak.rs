//! The same word, look after look.

use super::WINDOW;
use crate::{Class, Time};

/// How often on end a model said the same of a source. Another word ends it, and so does a silence of a whole window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streak {
    class: Option<Class>,
    looks: u8,
    at: Time,
}

impl Streak {
    /// Adds a look; how often the same was said now.
    pub(super) fn add(&mut self, now: Time, vote: Option<Class>) -> u8 {
        let goes_on = vote == self.class && now.since(self.at) <= WINDOW;
        let before = if goes_on { self.looks } else { 0 };
        *self = Self { class: vote, looks: before.saturating_add(1), at: now };
        self.looks
    }
}
