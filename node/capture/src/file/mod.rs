//! Capture files: pcap and pcapng, plain or packed with gzip, read as a stream in bounded memory.

mod guess;
mod legacy;
mod ng;
mod resolution;
#[cfg(test)]
mod tests;
mod window;
mod write;

use std::{
    fs::File,
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::MultiGzDecoder;

use crate::{CaptureError, Captured, Next, Source, SourceStats};
pub use write::PcapWriter;
use {legacy::Legacy, ng::Ng, window::Window};

type Stream = Window<Box<dyn Read + Send>>;

/// Bytes by which a file is recognised: enough for a tar header.
const HEAD: usize = 512;

/// A capture file as a source of frames.
pub struct FileSource {
    path: PathBuf,
    window: Stream,
    format: Format,
    state: State,
    stats: SourceStats,
}

enum Format {
    Legacy(Legacy),
    Ng(Ng),
    /// Cut off within the file's header: there is nothing in it.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
    Truncated,
    Damaged,
}

/// Why there is no further packet.
#[derive(Debug)]
enum Stop {
    End,
    Truncated,
    Damaged(String),
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl FileSource {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened or read, or is no capture.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let open = |source| CaptureError::Open { path: path.into(), source };
        let file = File::open(path).map_err(open)?;
        if file.metadata().map_err(open)?.is_dir() {
            return Err(open(io::ErrorKind::IsADirectory.into()));
        }
        Self::from_reader(path, file)
    }

    /// Reads a capture from any stream; `name` is what errors call it.
    ///
    /// # Errors
    /// When it cannot be read, or is no capture.
    pub fn from_reader(name: &Path, reader: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let path = name.to_path_buf();
        let opened = unpacked(reader).and_then(|reader| {
            let mut window = Window::new(reader);
            Ok((recognise(&mut window)?, window))
        });
        let (recognised, window) =
            opened.map_err(|source| CaptureError::Read { path: path.clone(), offset: 0, source })?;
        let Some(format) = recognised else {
            let head = &window.data()[..window.data().len().min(HEAD)];
            return Err(CaptureError::NotACapture { path, looks_like: guess::looks_like(head) });
        };
        let mut source = Self { path, window, format, state: State::Reading, stats: SourceStats::default() };
        source.begin()?;
        Ok(source)
    }

    /// Whether the file broke off within a packet or block. Everything before was handed out.
    pub fn truncated(&self) -> bool {
        self.state == State::Truncated
    }

    /// How many (unpacked) bytes were read.
    pub fn position(&self) -> u64 {
        self.window.offset()
    }

    /// The next frame, or `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read further; from then on, `None`.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        if self.state != State::Reading {
            return Ok(None);
        }
        let mut offset = self.window.offset();
        let next = match &mut self.format {
            Format::Legacy(legacy) => legacy.next(&mut self.window),
            Format::Ng(ng) => {
                let next = ng.next(&mut self.window);
                offset = ng.block;
                next
            }
            Format::Nothing => Err(Stop::Truncated),
        };
        match next {
            Ok(captured) => {
                self.stats.frames += 1;
                self.stats.bytes += u64::from(captured.frame.wire_len);
                Ok(Some(captured))
            }
            Err(stop) => stopped(stop, offset, &mut self.state, &self.path).map(|()| None),
        }
    }

    /// Reads the header of a classic file.
    fn begin(&mut self) -> Result<(), CaptureError> {
        let Format::Nothing = self.format else { return Ok(()) };
        match Legacy::open(&mut self.window) {
            Ok(legacy) => self.format = Format::Legacy(legacy),
            Err(stop) => stopped(stop, 0, &mut self.state, &self.path)?,
        }
        Ok(())
    }
}

impl Source for FileSource {
    fn next(&mut self, _patience: Duration) -> Result<Next<'_>, CaptureError> {
        Ok(self.next_frame()?.map_or(Next::End, Next::Frame))
    }

    fn stats(&mut self) -> SourceStats {
        let (unusable, unknown_link) = match &self.format {
            Format::Legacy(legacy) => (legacy.unusable, legacy.unknown_link()),
            Format::Ng(ng) => (ng.unusable, ng.unknown_link),
            Format::Nothing => (0, None),
        };
        SourceStats { unusable, unknown_link, ..self.stats }
    }
}

/// The stream itself, or what is packed in it. Unpacking holds 32 KiB, however much it yields.
fn unpacked(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::with_capacity(2);
    reader.by_ref().take(2).read_to_end(&mut magic)?;
    let packed = magic == [0x1f, 0x8b];
    let whole = Cursor::new(magic).chain(reader);
    Ok(if packed {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(64 * 1024, whole)))
    } else {
        Box::new(whole)
    })
}

/// Which format the stream has, by its first bytes; `None` when it is no capture.
fn recognise(window: &mut Stream) -> io::Result<Option<Format>> {
    window.need(HEAD)?;
    Ok(match window.data().first_chunk::<4>() {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => Some(Format::Ng(Ng::new())),
        Some(
            [0xa1, 0xb2, 0xc3, 0xd4]
            | [0xd4, 0xc3, 0xb2, 0xa1]
            | [0xa1, 0xb2, 0x3c, 0x4d]
            | [0x4d, 0x3c, 0xb2, 0xa1]
            | [0x34, 0xcd, 0xb2, 0xa1],
        ) => Some(Format::Nothing),
        _ => None,
    })
}

/// What it means that the next record's header is not there.
#[cold]
fn ended<R: Read>(window: &Window<R>) -> Stop {
    if window.data().is_empty() && !window.cut() { Stop::End } else { Stop::Truncated }
}

/// Enters the final state that `stop` means.
#[cold]
fn stopped(stop: Stop, offset: u64, state: &mut State, path: &Path) -> Result<(), CaptureError> {
    let path = path.to_path_buf();
    let (next, result) = match stop {
        Stop::End => (State::Ended, Ok(())),
        Stop::Truncated => (State::Truncated, Ok(())),
        Stop::Damaged(what) => (State::Damaged, Err(CaptureError::Damaged { path, offset, what })),
        Stop::Failed(source) => (State::Damaged, Err(CaptureError::Read { path, offset, source })),
    };
    *state = next;
    result
}
