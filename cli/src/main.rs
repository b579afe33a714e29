//! What a person types.
//!
//! `args` says what may be typed, `commands` does it, `output` is the only place that prints. A command that needs the
//! daemon asks it over its Unix socket; those that must work without it go straight to the kernel (`rescue`).
#![allow(clippy::print_stdout, clippy::print_stderr)] // the one program of the project that talks to a person

mod args;
mod client;
mod commands;
mod duration;
mod failure;
mod output;
mod render;
mod replay;

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
    match error.print() {
        Ok(()) if error.use_stderr() => ExitCode::from(2),
        _ => ExitCode::SUCCESS,
    }
}

fn told(failure: &Failure) -> ExitCode {
    if let Some(line) = failure.line() {
        eprintln!("smartfw-cli: {}", output::clean(&line));
    }
    ExitCode::from(failure.code())
}
