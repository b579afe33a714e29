//! What every source of frames has in common.

use std::time::Duration;

use smartfw_core::{Time, packet::Frame};

use crate::CaptureError;

/// Something that hands out frames.
pub trait Source {
    /// The next frame. A live source waits for one at most `patience`, so that its thread can do other things; a file
    /// never waits.
    ///
    /// # Errors
    /// When the source cannot go on. A file that was damaged has by then handed out everything before the damage, and
    /// gives [`Next::End`] from there on; a live source may be asked again.
    fn next(&mut self, patience: Duration) -> Result<Next<'_>, CaptureError>;

    /// What was handed out so far, and what was not.
    fn stats(&mut self) -> SourceStats;
}

/// What a [`Source`] answers.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// A frame.
    Frame(Captured<'a>),
    /// Nothing came within the caller's patience.
    Idle,
    /// There is nothing more.
    End,
}

/// One frame, and how it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// When it was seen: by the kernel's clock live, by the packet's own stamp from a file, whatever order that gives.
    pub at: Time,
    /// The frame. A VLAN tag that the kernel had taken off is back in.
    pub frame: Frame<'a>,
    /// Which interface saw it: an index into [`Live::interfaces`](crate::Live::interfaces), or into the file's section.
    pub interface: u32,
}

/// What a source handed out, and what it did not. All counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// Frames handed out.
    pub frames: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Frames that the kernel had no room for.
    pub lost: u64,
    /// Frames passed over because the core would not understand them: no IP on a link without Ethernet header, a
    /// packet of an interface that the file does not describe, a link type that nobody parses.
    pub unusable: u64,
    /// The last such link type, by its number in capture files.
    pub unknown_link: Option<u32>,
}
