//! `smartfw-coordinator`: see the library.

use std::{io::Write as _, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use smartfw_coordinator::{
    flags::{Command, Flags},
    membership::{self, Entered, Entering},
    program,
    settings::{Settings, example},
    telling,
};

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "smartfw-coordinator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if flags.example_config {
        return Ok(write!(out, "{}", example())?);
    }
    let sources = flags.sources();
    let settings = Settings::load(&sources)?;
    if flags.check {
        return Ok(writeln!(out, "ok")?);
    }
    match &flags.command {
        None => program::run(settings, sources),
        Some(Command::Join { address, token, name, advertise }) => {
            program::speak(settings.log_format);
            let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
            let entering = Entering { address, token, name: name.as_deref(), advertise: *advertise };
            let Entered { cluster, name, id } =
                runtime.block_on(membership::enter(&settings.folder(), entering))?;
            Ok(writeln!(out, "this coordinator is {name} ({id}) in cluster {cluster} now: start it")?)
        }
        Some(Command::Test { name }) => {
            let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
            let said = runtime.block_on(telling::test(settings.outward.as_deref(), name))?;
            Ok(writeln!(out, "{name} took the message: {said}")?)
        }
        Some(Command::Leave) => {
            let cluster = membership::leave(&settings.folder())?;
            Ok(writeln!(
                out,
                "left cluster {cluster}; its nodes forget this coordinator within an hour, the history is still there"
            )?)
        }
    }
}
