//! A file cut into pieces of bounded size, each with the line that it begins on: lines, or the elements of a JSON
//! array.

use std::io::{BufRead, Read};

/// The longest line or element, bytes: a JSON object with a full reason takes two thousand.
pub(super) const PIECE: usize = 64 * 1024;

/// With what some editors begin a file.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// A piece, or what is wrong with it.
pub(super) type Piece = Result<String, String>;

/// The lines of a file, or the elements of the array that it is.
pub(super) struct Pieces<R> {
    reader: R,
    line: u64,
    array: Option<bool>,
    ended: bool,
}

impl<R: BufRead> Pieces<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, line: 1, array: None, ended: false }
    }

    /// The next piece and its line; `None` at the end.
    pub(super) fn next(&mut self) -> Option<(u64, Piece)> {
        if self.ended {
            return None;
        }
        let array = match self.array {
            Some(array) => array,
            None => self.begin()?,
        };
        if array { self.element() } else { self.line() }
    }

    /// Passes over a byte order mark and blanks; true when an array begins.
    fn begin(&mut self) -> Option<bool> {
        if self.reader.fill_buf().is_ok_and(|bytes| bytes.starts_with(BOM)) {
            self.reader.consume(BOM.len());
        }
        while let Some(byte) = self.peek() {
            match byte {
                b'[' => {
                    self.take();
                    self.array = Some(true);
                    return self.array;
                }
                byte if byte.is_ascii_whitespace() => drop(self.take()),
                _ => break,
            }
        }
        self.array = Some(false);
        self.array
    }

    fn line(&mut self) -> Option<(u64, Piece)> {
        let (at, mut bytes) = (self.line, Vec::new());
        let read = Read::take(&mut self.reader, PIECE as u64 + 1).read_until(b'\n', &mut bytes);
        self.line += 1;
        match read {
            Ok(0) => {
                self.ended = true;
                None
            }
            Ok(_) if bytes.len() > PIECE && bytes.last() != Some(&b'\n') => {
                self.skip_line();
                Some((at, Err(format!("longer than {PIECE} bytes"))))
            }
            Ok(_) => Some((at, text(bytes))),
            Err(error) => {
                self.ended = true;
                Some((at, Err(format!("cannot read further: {error}"))))
            }
        }
    }

    fn skip_line(&mut self) {
        loop {
            let (used, found) = match self.reader.fill_buf() {
                Ok([]) | Err(_) => return,
                Ok(bytes) => match bytes.iter().position(|&byte| byte == b'\n') {
                    Some(at) => (at + 1, true),
                    None => (bytes.len(), false),
                },
            };
            self.reader.consume(used);
            if found {
                return;
            }
        }
    }

    /// The next element: what stands between commas outside of strings, objects and arrays.
    fn element(&mut self) -> Option<(u64, Piece)> {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace() || byte == b',') {
            self.take();
        }
        let at = self.line;
        let mut scan = Scan::default();
        let mut bytes = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                self.ended = true;
                return Some((at, Err("the array does not end".to_owned())));
            };
            if scan.outside() && matches!(byte, b',' | b']') {
                self.ended = byte == b']';
                self.take();
                return if bytes.is_empty() { None } else { Some((at, text(bytes))) };
            }
            if bytes.len() >= PIECE {
                self.ended = true;
                return Some((
                    at,
                    Err(format!("an element of more than {PIECE} bytes: nothing after it was read")),
                ));
            }
            scan.step(byte);
            bytes.push(byte);
            self.take();
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.reader.fill_buf().ok()?.first().copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.reader.consume(1);
        self.line += u64::from(byte == b'\n');
        Some(byte)
    }
}

/// Where in a JSON text one is.
#[derive(Default)]
struct Scan {
    depth: usize,
    string: bool,
    escaped: bool,
}

impl Scan {
    const fn outside(&self) -> bool {
        self.depth == 0 && !self.string
    }

    const fn step(&mut self, byte: u8) {
        if self.string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }
}

fn text(bytes: Vec<u8>) -> Piece {
    String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())
}
