//! What a person types.
//!
//! `args` says what may be typed, `commands` does it, `output` is the only place that prints. A command that needs the
//! daemon asks it over its Unix socket; those that must work without it go straight to the kernel (`rescue`).

mod args;
mod client;
mod commands;
mod duration;
mod failure;
mod model;
mod operator;
mod output;
mod render;
mod replay;
mod secret;

use std::process::ExitCode;

use clap::Parser as _;

use failure::Failure;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return wrong_usage(&error),
    };
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => told(&failure),
    }
}

/// Help and version are no mistake; everything else is code 2.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    // Where nobody can be told, the code still tells.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

fn told(failure: &Failure) -> ExitCode {
    if let Some(line) = failure.line() {
        output::complain(&line);
    }
    ExitCode::from(failure.code())
}
