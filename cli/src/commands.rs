//! What each command does.

mod alerts;
mod allow;
mod block;
mod blocks;
mod cluster;
mod doctor;
mod explain;
mod feeds;
mod fleet;
mod import;
mod learn;
mod manual;
mod mirror;
mod models;
mod pending;
mod reload;
mod rescue;
#[cfg(test)]
mod samples;
mod selftest;
mod status;
mod support;
mod switches;
mod top;
mod trust;

use smartfw_core::{
    IpNet, Time,
    order::{EnforcementState, Mode, Order, Refusal},
};
use smartfw_proto::view::Answer;

use crate::{
    args::{Args, Command, Global, Support},
    client::{self, Daemon},
    failure::Failure,
    output::Output,
    replay,
};

/// Does what was typed.
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let Args { global, command } = args;
    let mut output = Output::new(&global);
    let result = dispatch(&global, &mut output, command);
    match (result, output.flush()) {
        (Err(failure), _) | (Ok(()), Err(failure)) => Err(failure),
        (Ok(()), Ok(())) => Ok(()),
    }
}

fn dispatch(global: &Global, output: &mut Output, command: Command) -> Result<(), Failure> {
    match command {
        Command::Status => status::run(global, output),
        Command::Block(args) => block::block(global, output, &args),
        Command::Unblock(args) => block::unblock(global, output, &args),
        Command::Blocks(args) => blocks::run(global, output, args),
        Command::Export => blocks::export(global, output),
        Command::Alerts(args) => alerts::run(global, output, &args),
        Command::Explain { address } => explain::run(global, output, &address),
        Command::Pending => pending::list(global, output),
        Command::Approve(args) => pending::approve(global, output, args.id),
        Command::Reject { id } => pending::reject(global, output, id),
        Command::Allow(args) => allow::run(global, output, args),
        Command::Cluster(command) => cluster::run(global, output, command),
        Command::Trust(command) => trust::run(global, output, command),
        Command::Mirror => mirror::run(global, output),
        Command::Feed(command) => feeds::run(global, output, command),
        Command::Model(command) => models::run(global, output, command),
        Command::Train(args) => learn::train(global, output, &args),
        Command::Evaluate(args) => learn::evaluate(global, output, &args),
        Command::Import(args) => import::run(global, output, &args),
        Command::Enable { confirm, cluster } => switches::enable(global, output, confirm, cluster),
        Command::Disable => switches::disable(global, output),
        Command::Mode { mode, confirm } => switches::mode(global, output, mode, confirm),
        Command::Confirm => switches::confirm(global, output),
        Command::Panic { duration, cluster } => switches::panic(global, output, duration, cluster),
        Command::Reload => reload::run(global, output),
        Command::Top => top::run(global),
        Command::Doctor => doctor::run(global, output),
        Command::Selftest => selftest::run(output),
        Command::Support(Support::Dump { to }) => support::run(global, output, to),
        Command::Replay(args) => replay::run(&global.state_dir, output, &args),
        Command::Completion { shell } => manual::completion(output, shell),
        Command::Man { dir } => manual::man(output, dir.as_deref()),
        Command::Restore => rescue::restore(global, output),
        Command::Resume { until } => rescue::resume(global, output, Time::from_secs(until)),
    }
}

/// Gives the daemon an order.
fn submit(global: &Global, order: Order) -> Result<Result<Answer, Refusal>, Failure> {
    client::block_on(async { Daemon::connect(&global.socket).await?.submit(order).await })
}

/// What became of an order that must be carried out without the daemon, too.
enum Reply {
    /// The daemon has answered.
    Answer(Result<Answer, Refusal>),
    /// It has not, for this reason: the caller goes to the kernel.
    Dead(Failure),
}

fn submit_if_alive(global: &Global, order: Order) -> Result<Reply, Failure> {
    let answer = client::block_on(async {
        Daemon::connect(&global.socket).await?.within(client::SHORT).submit(order).await
    });
    match answer {
        // A daemon that cannot do it is as good as a dead one: whatever it did do is done again in the kernel.
        Err(dead @ (Failure::Unreachable(_) | Failure::Broken(_))) => Ok(Reply::Dead(dead)),
        result => result.map(Reply::Answer),
    }
}

/// What an answer of another kind than expected means.
fn unexpected() -> Failure {
    Failure::failed("the daemon answered something else; are both of the same version?")
}

const fn enforcement(state: EnforcementState) -> &'static str {
    match state {
        EnforcementState::On => "on",
        EnforcementState::Off => "off: nothing is dropped",
        EnforcementState::Panic => "panic: nothing is dropped until it is over",
    }
}

const fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto: the node decides",
        Mode::Manual => "manual: decisions wait for approval",
    }
}

fn plural(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", crate::output::grouped(count)) }
}

fn targets<'a>(blocks: impl Iterator<Item = &'a IpNet>) -> String {
    blocks.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
