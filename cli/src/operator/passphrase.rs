//! Passphrases: out of a file, out of the environment, or asked; never on the command line, where others read them.

use std::{
    env,
    fs::File,
    io::{IsTerminal as _, Read as _, Write as _},
};

use ratatui::crossterm::{
    event::{Event, KeyCode, KeyEventKind, KeyModifiers, read},
    terminal::{disable_raw_mode, enable_raw_mode},
};
use smartfw_identity::Passphrase;
use smartfw_proto::limits;

use crate::{args::Global, failure::Failure};

const VARIABLE: &str = "SMARTFW_PASSPHRASE";

/// The passphrase that was given, or that a person types; `None` where there is neither.
pub(crate) fn given(global: &Global, prompt: &str) -> Result<Option<Passphrase>, Failure> {
    given_text(global, prompt)?.map(checked).transpose()
}

/// The same, as text: for what the daemon opens.
pub(crate) fn given_text(global: &Global, prompt: &str) -> Result<Option<String>, Failure> {
    match written(global)? {
        Some(text) => Ok(Some(text)),
        None if has_terminal() => Ok(Some(typed(prompt)?)),
        None => Ok(None),
    }
}

/// A new one, typed twice.
pub(crate) fn ask_new(global: &Global, what: &str) -> Result<String, Failure> {
    if let Some(text) = written(global)? {
        checked(text.clone())?;
        return Ok(text);
    }
    if !has_terminal() {
        return Err(Failure::failed(format!(
            "a passphrase for {what} is needed, and there is nobody to ask: give it by {VARIABLE} or --passphrase-file"
        )));
    }
    let text = typed(&format!("A passphrase for {what}: "))?;
    checked(text.clone())?;
    if typed("The same again: ")? != text {
        return Err(Failure::failed("the two are not the same: nothing was done"));
    }
    Ok(text)
}

/// Whether a person says yes; `None` where there is nobody.
pub(crate) fn yes(question: &str) -> Option<bool> {
    if !has_terminal() {
        return None;
    }
    let mut err = std::io::stderr();
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line).ok()?;
    Some(read > 0 && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn written(global: &Global) -> Result<Option<String>, Failure> {
    if let Some(path) = &global.passphrase_file {
        let cannot = |error| Failure::failed(format!("cannot read {}: {error}", path.display()));
        let mut text = String::new();
        let file = File::open(path).map_err(cannot)?;
        file.take(limits::PASSPHRASE as u64 + 1).read_to_string(&mut text).map_err(cannot)?;
        return Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    Ok(env::var(VARIABLE).ok().filter(|text| !text.is_empty()))
}

fn checked(text: String) -> Result<Passphrase, Failure> {
    if text.len() > limits::PASSPHRASE {
        return Err(Failure::failed(format!("a passphrase has at most {} bytes", limits::PASSPHRASE)));
    }
    Passphrase::new(text).map_err(|why| Failure::failed(why.to_string()))
}

fn has_terminal() -> bool {
    std::io::stderr().is_terminal() && File::options().read(true).write(true).open("/dev/tty").is_ok()
}

/// A line that is not shown.
fn typed(prompt: &str) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| Failure::failed(format!("cannot read the passphrase: {error}"));
    let mut err = std::io::stderr();
    write!(err, "{prompt}").and_then(|()| err.flush()).map_err(cannot)?;
    enable_raw_mode().map_err(cannot)?;
    let line = keys();
    let _ = disable_raw_mode();
    let _ = writeln!(err);
    line.map_err(cannot)?.ok_or_else(|| Failure::failed("nothing was typed: nothing was done"))
}

/// What is typed until the line ends; `None` when the person gives up.
fn keys() -> std::io::Result<Option<String>> {
    let mut line = String::new();
    loop {
        let Event::Key(key) = read()? else { continue };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Char('c' | 'd') if control => return Ok(None),
            KeyCode::Char('u') if control => line.clear(),
            KeyCode::Char(letter) if line.len() < limits::PASSPHRASE => line.push(letter),
            KeyCode::Backspace => drop(line.pop()),
            KeyCode::Enter => return Ok(Some(line).filter(|line| !line.is_empty())),
            KeyCode::Esc => return Ok(None),
            _ => {}
        }
    }
}
