//! `enable`, `disable`, `panic`, `mode`, `confirm`: this node's switches, and a panic of the whole cluster.

use std::time::Duration;

use smartfw_core::{
    fleet::{LONGEST_PANIC, OrderKind},
    order::{EnforcementState, Mode, Order},
};
use smartfw_enforce::snapshot::{self, Suspension};
use smartfw_proto::view::Answer;

use super::{Reply, fleet, mode_text, plural, rescue, status, submit, submit_if_alive, unexpected};
use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    duration::{human, now, relative},
    failure::{Failure, refused},
    output::{Output, complain},
};

pub(super) fn enable(
    global: &Global,
    output: &mut Output,
    confirm: Option<Duration>,
    cluster: bool,
) -> Result<(), Failure> {
    if !cluster {
        return enable_here(global, output, confirm);
    }
    let (here, done) = if is_off(global) {
        let off = "Enforcement is switched off on this node, and stays so (smartfw-cli enable: on again).";
        (said(output, off), "this node stays off")
    } else {
        (enable_here(global, output, confirm), "enforcement is on here")
    };
    let told = tell(global, OrderKind::Resume, &here, done);
    let told = told.and_then(|(members, name)| {
        said(
            output,
            &format!("The panic is over in all of cluster {name} ({members} alive); what is off stays off."),
        )
    });
    both(here, told)
}

/// Whether somebody switched this node off, which only an `enable` on this node ends.
fn is_off(global: &Global) -> bool {
    let status = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?.within(client::SHORT);
        status::ask(&mut daemon).await
    });
    match status {
        Ok(status) => status.enforcement == EnforcementState::Off,
        Err(_) => matches!(snapshot::suspension(&global.state_dir), Ok(Some(Suspension::Off))),
    }
}

fn enable_here(global: &Global, output: &mut Output, confirm: Option<Duration>) -> Result<(), Failure> {
    let order = Order::Enforcement { state: EnforcementState::On, confirm, resume: None };
    // With all patience: a million blocks take their time.
    let answer = match submit(global, order) {
        Err(why @ Failure::Unreachable(_)) => return rescue::enable(global, output, confirm, why),
        answer => answer?.map_err(|why| refused("enforcement is not switched on", &why))?,
    };
    rescue::cancel_resume();
    changed(output, answer, "Enforcement is on: what is blocked is dropped.")
}

pub(super) fn disable(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let order = Order::Enforcement { state: EnforcementState::Off, confirm: None, resume: None };
    let answer = match submit_if_alive(global, order)? {
        Reply::Answer(answer) => answer,
        Reply::Dead(why) => return rescue::disable(global, output, &why),
    };
    let answer = answer.map_err(|why| refused("enforcement is not switched off", &why))?;
    rescue::cancel_resume();
    changed(
        output,
        answer,
        "Enforcement is off: every rule and set of SmartFW is removed (smartfw-cli enable).",
    )
}

/// This node stops at once, whatever else is the matter; then the cluster is told.
pub(super) fn panic(
    global: &Global,
    output: &mut Output,
    duration: Duration,
    cluster: bool,
) -> Result<(), Failure> {
    if cluster && duration > LONGEST_PANIC {
        return Err(Failure::failed(format!(
            "no panic of a cluster lasts longer than {}: give less, and prolong it in time",
            human(LONGEST_PANIC)
        )));
    }
    let here = panic_here(global, output, duration);
    if !cluster {
        return here;
    }
    let told = tell(global, OrderKind::Panic { duration }, &here, "only this node has stopped");
    let told = told.and_then(|(members, name)| {
        said(
            output,
            &format!(
                "All of cluster {name} is told to stop, for {} ({members} alive; smartfw-cli enable --cluster: end it).",
                human(duration)
            ),
        )
    });
    both(here, told)
}

/// Tells the cluster; how many members are there to hear it, and the cluster's name. Exit code 3 comes from nothing here.
/// `done`: what it means where nobody was told, and this node did its part.
fn tell(
    global: &Global,
    kind: OrderKind,
    here: &Result<(), Failure>,
    done: &str,
) -> Result<(String, String), Failure> {
    let given = fleet::need(global).and_then(|fleet| Ok((fleet.panic(global, kind)?, fleet.name)));
    let (members, name) = given.map_err(|why| {
        let why = why.line().unwrap_or_default();
        let done = if here.is_ok() { format!("{done}, ") } else { String::new() };
        Failure::failed(format!("{done}the cluster was not told: {why}; type the same on each node"))
    })?;
    let members = members.map_err(|why| {
        let why = why.line().unwrap_or_default();
        Failure::failed(format!(
            "cluster {name} may be told, but not all is well: {why}; look at `smartfw-cli status` on the others"
        ))
    })?;
    Ok((plural(members.into(), "member", "members"), name))
}

/// Whatever is wrong on this node, the cluster was to be told, and the other way round.
fn both(here: Result<(), Failure>, told: Result<(), Failure>) -> Result<(), Failure> {
    match here {
        Ok(()) => told,
        Err(Failure::Hangup) => told.and(here),
        Err(why) => {
            if let Some(why) = why.line() {
                complain(&why);
            }
            told.and(Err(Failure::Silent))
        }
    }
}

fn said(output: &mut Output, text: &str) -> Result<(), Failure> {
    if output.format == Format::Human { output.line(text) } else { Ok(()) }
}

fn panic_here(global: &Global, output: &mut Output, duration: Duration) -> Result<(), Failure> {
    let order = Order::Enforcement { state: EnforcementState::Panic, confirm: None, resume: Some(duration) };
    let answer = match submit_if_alive(global, order)? {
        Reply::Answer(answer) => answer,
        Reply::Dead(why) => return rescue::panic(global, output, duration, &why),
    };
    let answer = answer.map_err(|why| refused("enforcement is not stopped", &why))?;
    let text = format!(
        "Enforcement is stopped and resumes by itself in {} (smartfw-cli enable: at once).",
        human(duration)
    );
    changed(output, answer, &text)?;
    // The daemon resumes by itself; the timer sees to it that a daemon which dies meanwhile makes no difference.
    if let Err(failure) = rescue::schedule(global, output, duration) {
        complain(&format!("should the daemon die meanwhile, then {}", failure.line().unwrap_or_default()));
    }
    Ok(())
}

pub(super) fn mode(
    global: &Global,
    output: &mut Output,
    mode: Mode,
    confirm: Option<Duration>,
) -> Result<(), Failure> {
    let answer = submit(global, Order::Mode { mode, confirm })?
        .map_err(|why| refused("the mode is not changed", &why))?;
    changed(output, answer, &format!("Mode {}.", mode_text(mode)))
}

pub(super) fn confirm(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let answer = submit(global, Order::Confirm)?.map_err(|why| refused("nothing is confirmed", &why))?;
    match (answer, output.format) {
        (Answer::Confirmed, Format::Human) => output.line("Confirmed: it stays as it is."),
        (Answer::Confirmed, _) => Ok(()),
        _ => Err(unexpected()),
    }
}

fn changed(output: &mut Output, answer: Answer, text: &str) -> Result<(), Failure> {
    let Answer::Changed { reverts } = answer else { return Err(unexpected()) };
    if output.format != Format::Human {
        return Ok(());
    }
    output.line(text)?;
    match reverts {
        Some(at) => output
            .line(&format!("It rolls back {} unless you type: smartfw-cli confirm", relative(at, now()))),
        None => Ok(()),
    }
}
