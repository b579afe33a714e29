//! `enable`, `disable`, `panic`, `mode`, `confirm`: this node's switches, and a panic of the whole cluster.

use std::time::Duration;

use smartfw_core::{
    fleet::{LONGEST_PANIC, OrderKind},
    order::{EnforcementState, Mode, Order},
};
use smartfw_proto::view::Answer;

use super::{Reply, fleet, mode_text, plural, rescue, submit, submit_if_alive, unexpected};
use crate::{
    args::{Format, Global},
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
    enable_here(global, output, confirm)?;
    if !cluster {
        return Ok(());
    }
    let (members, name) = tell(global, OrderKind::Resume, "enforcement is on here")?;
    said(
        output,
        &format!("The panic is over in all of cluster {name} ({members} alive); what is off stays off."),
    )
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
    panic_here(global, output, duration)?;
    if !cluster {
        return Ok(());
    }
    let (members, name) = tell(global, OrderKind::Panic { duration }, "only this node has stopped")?;
    said(
        output,
        &format!(
            "All of cluster {name} is told to stop, for {} ({members} alive; smartfw-cli enable --cluster: end it).",
            human(duration)
        ),
    )
}

/// Tells the cluster; how many members are there to hear it, and the cluster's name. Exit code 3 comes from nothing here.
fn tell(global: &Global, kind: OrderKind, done: &str) -> Result<(String, String), Failure> {
    let told = fleet::need(global).and_then(|fleet| Ok((fleet.panic(global, kind)?, fleet.name)));
    let (members, name) = told.map_err(|why| {
        let why = why.line().unwrap_or_default();
        Failure::failed(format!("{done}, the cluster was not told: {why}; type the same on each node"))
    })?;
    Ok((plural(members.into(), "member", "members"), name))
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
