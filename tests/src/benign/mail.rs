//! A program that looks for mail.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{Guest, web::each};
use crate::app::MAILBOX;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is done in each folder.
const COMMANDS: [&str; 5] =
    ["LOGIN labuser secret", "SELECT INBOX", "FETCH 1 BODY[]", "FETCH 2 BODY[]", "LOGOUT"];

/// Four folders, a short session for each, every twenty seconds.
pub(super) fn mail(guest: &Guest<'_>) -> Result<()> {
    loop {
        each(4, |_| session(guest))?;
        if !guest.stop.sleep(Duration::from_secs(20)) {
            return Ok(());
        }
    }
}

fn session(guest: &Guest<'_>) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(guest.server(), MAILBOX), PATIENCE)
        .context("cannot connect to the mailbox")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    for (number, command) in COMMANDS.iter().enumerate() {
        stream.write_all(format!("a{number} {command}\r\n").as_bytes())?;
        let tag = format!("a{number} OK");
        let mut line = String::new();
        while !line.starts_with(&tag) {
            line.clear();
            let read = reader.read_line(&mut line).context("the mailbox does not answer")?;
            ensure!(read > 0, "the mailbox hung up at {command}");
        }
        guest.stop.sleep(Duration::from_millis(200));
    }
    Ok(())
}
