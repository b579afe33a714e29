//! Passphrases: out of a file, out of the environment, or asked; never on the command line, where others read them.

use std::{
    env,
    fs::File,
    io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use ratatui::crossterm::{
    event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read},
    terminal::{disable_raw_mode, enable_raw_mode},
};
use smartfw_identity::Passphrase;
use smartfw_proto::limits;
use zeroize::Zeroizing;

use crate::{args::Global, failure::Failure, output::complain, secret::Secret};

/// An answer to a question is a word.
const ANSWER: u64 = 256;

/// Of which key a passphrase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// A person's, for every day.
    Operator,
    /// The cluster's, which is offline. Where nothing is written for it, what is written for the operator's holds.
    Root,
}

impl Of {
    const fn variable(self) -> &'static str {
        match self {
            Self::Operator => "SMARTFW_PASSPHRASE",
            Self::Root => "SMARTFW_ROOT_PASSPHRASE",
        }
    }

    fn file(self, global: &Global) -> Option<&Path> {
        match self {
            Self::Operator => global.passphrase_file.as_deref(),
            Self::Root => global.root_passphrase_file.as_deref(),
        }
    }
}

/// The passphrase that was given, or that a person types; `None` where there is neither.
pub(crate) fn given(global: &Global, of: Of, prompt: &str) -> Result<Option<Secret>, Failure> {
    match written(global, of)? {
        Some(text) => Ok(Some(text)),
        None if has_terminal() => Ok(Some(typed(prompt)?)),
        None => Ok(None),
    }
}

/// A new one, typed twice.
pub(crate) fn ask_new(global: &Global, of: Of, what: &str) -> Result<Secret, Failure> {
    if let Some(text) = written(global, of)? {
        checked(&text)?;
        return Ok(text);
    }
    if !has_terminal() {
        return Err(Failure::failed(format!(
            "a passphrase for {what} is needed, and there is nobody to ask: give it by SMARTFW_PASSPHRASE or \
             --passphrase-file"
        )));
    }
    let text = typed(&format!("A passphrase for {what}: "))?;
    checked(&text)?;
    if typed("The same again: ")?.text() != text.text() {
        return Err(Failure::failed("the two are not the same: nothing was done"));
    }
    Ok(text)
}

/// A passphrase that may be one.
pub(crate) fn checked(text: &Secret) -> Result<Passphrase, Failure> {
    if text.text().len() > limits::PASSPHRASE {
        return Err(too_long());
    }
    Passphrase::new(text.text()).map_err(|why| Failure::failed(why.to_string()))
}

/// Whether a person says yes; `None` where there is nobody. What is piped in was not typed as an answer.
pub(crate) fn yes(question: &str) -> Option<bool> {
    let terminal = terminal()?;
    let mut err = std::io::stderr();
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = BufReader::new(terminal.take(ANSWER)).read_line(&mut line).ok()?;
    Some(read > 0 && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn written(global: &Global, of: Of) -> Result<Option<Secret>, Failure> {
    if let Some(path) = of.file(global) {
        return from_file(path).map(Some);
    }
    let set = env::var(of.variable()).ok().filter(|text| !text.is_empty());
    match (set, of) {
        (Some(text), _) => Ok(Some(text.into())),
        (None, Of::Root) => written(global, Of::Operator),
        (None, Of::Operator) => Ok(None),
    }
}

fn from_file(path: &Path) -> Result<Secret, Failure> {
    let cannot = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if about.is_file() && about.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        complain(&format!("{path} is open to others than its owner: chmod 600 {path}"));
    }
    let mut text = Zeroizing::new(String::with_capacity(limits::PASSPHRASE + 3));
    file.take(limits::PASSPHRASE as u64 + 2).read_to_string(&mut text).map_err(cannot)?;
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text.into())
}

fn has_terminal() -> bool {
    terminal().is_some()
}

/// Where a person types, who sees what is asked.
fn terminal() -> Option<File> {
    let seen = std::io::stderr().is_terminal();
    File::options().read(true).write(true).open("/dev/tty").ok().filter(|_| seen)
}

fn too_long() -> Failure {
    Failure::failed(format!("a passphrase has at most {} bytes: nothing was done", limits::PASSPHRASE))
}

/// A line that is not shown.
fn typed(prompt: &str) -> Result<Secret, Failure> {
    let cannot = |error: std::io::Error| Failure::failed(format!("cannot read the passphrase: {error}"));
    let mut err = std::io::stderr();
    write!(err, "{prompt}").and_then(|()| err.flush()).map_err(cannot)?;
    enable_raw_mode().map_err(cannot)?;
    let line = keys();
    let _ = disable_raw_mode();
    let _ = writeln!(err);
    line.map_err(cannot)?
}

fn keys() -> std::io::Result<Result<Secret, Failure>> {
    // Of full length from the beginning: a text that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(limits::PASSPHRASE));
    loop {
        let Event::Key(key) = read()? else { continue };
        match press(&mut line, key) {
            Pressed::More => {}
            Pressed::Done => return Ok(Ok(line.into())),
            Pressed::Nothing => return Ok(Err(Failure::failed("nothing was typed: nothing was done"))),
            Pressed::TooLong => return Ok(Err(too_long())),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Pressed {
    More,
    Done,
    /// The person gives up.
    Nothing,
    TooLong,
}

/// Nobody sees what is typed: a key that means something else never becomes a part of it.
fn press(line: &mut String, key: KeyEvent) -> Pressed {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind == KeyEventKind::Release => {}
        KeyCode::Char('c' | 'd') if control => return Pressed::Nothing,
        KeyCode::Char('u' | 'w') if control => line.clear(),
        KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => {}
        KeyCode::Char(letter) if line.len() + letter.len_utf8() <= limits::PASSPHRASE => line.push(letter),
        KeyCode::Char(_) => return Pressed::TooLong,
        KeyCode::Backspace => drop(line.pop()),
        KeyCode::Enter if line.is_empty() => return Pressed::Nothing,
        KeyCode::Enter => return Pressed::Done,
        KeyCode::Esc => return Pressed::Nothing,
        _ => {}
    }
    Pressed::More
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(line: &mut String, text: &str) {
        for letter in text.chars() {
            let pressed = press(line, KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE));
            assert_eq!(pressed, Pressed::More, "{letter}");
        }
    }

    #[test]
    fn control_characters_are_no_part_of_a_passphrase() {
        let mut line = String::new();
        letters(&mut line, "föür words");
        for (letter, modifiers) in
            [('a', KeyModifiers::CONTROL), ('v', KeyModifiers::CONTROL), ('b', KeyModifiers::ALT)]
        {
            assert_eq!(press(&mut line, KeyEvent::new(KeyCode::Char(letter), modifiers)), Pressed::More);
        }
        press(&mut line, KeyEvent::new(KeyCode::Char('W'), KeyModifiers::SHIFT));
        press(&mut line, KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
        assert_eq!(line, "föür words");
        for erasing in ['w', 'u'] {
            letters(&mut line, "x");
            press(&mut line, KeyEvent::new(KeyCode::Char(erasing), KeyModifiers::CONTROL));
            assert_eq!(line, "");
        }
        assert_eq!(press(&mut line, KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)), Pressed::Nothing);
    }

    #[test]
    fn what_is_too_long_is_not_cut_in_silence() {
        let mut line = String::new();
        letters(&mut line, &"x".repeat(limits::PASSPHRASE - 1));
        let umlaut = KeyEvent::new(KeyCode::Char('ü'), KeyModifiers::NONE);
        assert_eq!(press(&mut line, umlaut), Pressed::TooLong);
        letters(&mut line, "x");
        assert_eq!(press(&mut line, KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE)), Pressed::TooLong);
    }
}
