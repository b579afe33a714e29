//! `smartfw-node`: see the library.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use smartfw_node::{flags::Flags, node};

fn main() -> ExitCode {
    let flags = Flags::parse();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "smartfw-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if flags.example_config {
        return Ok(write!(out, "{}", smartfw_config::example())?);
    }
    let sources = flags.sources();
    let config = smartfw_config::load(&sources)?;
    if flags.check {
        return Ok(writeln!(out, "ok")?);
    }
    node::run(config, sources, flags.remove_on_exit)
}
