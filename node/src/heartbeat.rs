//! `<state>/heartbeat`: for programs that watch whether detection lives. It is rewritten each second as long as the
//! detector makes progress, and never otherwise.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::mpsc::{SyncSender, sync_channel},
};

use serde::Serialize;

use crate::vital::Vital;

/// What the heartbeat says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Beat {
    /// When the detector last made progress, RFC 3339.
    pub time: String,
    /// Packets seen since the daemon's start.
    pub packets: u64,
    /// Packets lost before they were seen.
    pub lost: u64,
    /// Sources tracked.
    pub sources: u64,
    /// Verdicts since the daemon's start.
    pub verdicts: u64,
    /// Times that the detector was restarted.
    pub restarts: u64,
}

/// The heartbeat's file.
#[derive(Debug)]
pub struct Heartbeat {
    path: PathBuf,
    unfinished: PathBuf,
}

impl Heartbeat {
    /// The heartbeat in the state folder.
    pub fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("heartbeat"), unfinished: state_dir.join(".heartbeat.tmp") }
    }

    /// Replaces the file's content in one step: a reader never sees half of it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, beat: &Beat) -> io::Result<()> {
        let mut text = serde_json::to_vec(beat)?;
        text.push(b'\n');
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o640).open(&self.unfinished)?;
        file.write_all(&text)?;
        fs::rename(&self.unfinished, &self.path)
    }
}

/// The way to the thread that writes the heartbeat: a disk that hangs must not hold up who watches over the detector.
#[derive(Debug)]
pub struct Beats(SyncSender<Beat>);

impl Beats {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(heartbeat: Heartbeat, vital: &Vital) -> io::Result<Self> {
        let (beats, waiting) = sync_channel::<Beat>(1);
        vital.spawn("heartbeat", move || {
            for beat in waiting {
                if let Err(error) = heartbeat.write(&beat) {
                    tracing::debug!(%error, "the heartbeat cannot be written");
                }
            }
        })?;
        Ok(Self(beats))
    }

    /// Writes it soon. One that comes while the disk hangs is lost: the file must not say then that all is well.
    pub fn send(&self, beat: Beat) {
        let _ = self.0.try_send(beat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_one_line_of_json() {
        let folder = tempfile::tempdir().unwrap();
        let beat = Beat { time: "T".to_owned(), packets: 1, lost: 2, sources: 3, verdicts: 4, restarts: 5 };
        let heartbeat = Heartbeat::new(folder.path());
        heartbeat.write(&beat).unwrap();
        heartbeat.write(&beat).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("heartbeat")).unwrap(),
            "{\"time\":\"T\",\"packets\":1,\"lost\":2,\"sources\":3,\"verdicts\":4,\"restarts\":5}\n"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
