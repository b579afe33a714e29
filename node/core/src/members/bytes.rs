//! Reading hostile bytes: whatever is missing is `None`, and nothing panics.

use alloc::{string::String, vec::Vec};

/// What has not been read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A label of at most `max` bytes that can be shown: no control characters.
    pub(super) fn label(&mut self, max: usize) -> Option<String> {
        let length = usize::from(self.u8()?);
        let text = core::str::from_utf8(self.take(length)?).ok()?;
        (length <= max && !text.chars().any(char::is_control)).then(|| text.into())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a label, cut at a character so that it has at most `max` bytes.
pub(super) fn put_label(out: &mut Vec<u8>, label: &str, max: usize) {
    let cut = cut(label, max.min(usize::from(u8::MAX)));
    out.push(cut.len() as u8);
    out.extend_from_slice(cut.as_bytes());
}

/// The beginning of `text` that has at most `max` bytes.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}
