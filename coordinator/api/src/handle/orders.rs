//! Changes of what the fleet does.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    Order,
    call::{Answered, Call, json},
    form::{AllowForm, BlockForm},
    problem::Problem,
    query::net,
};

pub(crate) async fn block(call: Call) -> Answered {
    let form: BlockForm = call.form()?;
    let (duration, reason) = (form.duration()?, form.reason()?);
    let forced = if form.force { ", forced" } else { "" };
    call.about(form.target.to_string(), format!("{}{forced}: {reason}", lasting(duration)));
    given(&call, Order::Block { target: form.target, duration, reason, force: form.force }).await
}

pub(crate) async fn unblock(call: Call) -> Answered {
    let target = target(&call)?;
    let false_positive = call.query.text("reason") == Some("false-positive");
    given(&call, Order::Unblock { target, false_positive }).await
}

pub(crate) async fn allow(call: Call) -> Answered {
    let form: AllowForm = call.form()?;
    let (duration, comment) = (form.duration()?, form.comment()?);
    call.about(form.target.to_string(), format!("{}: {comment}", lasting(duration)));
    given(&call, Order::Allow { target: form.target, duration, comment }).await
}

pub(crate) async fn disallow(call: Call) -> Answered {
    let target = target(&call)?;
    given(&call, Order::Disallow { target }).await
}

/// On its way, not yet carried out everywhere: the nodes do not wait for one another.
async fn given(call: &Call, order: Order) -> Answered {
    json(StatusCode::ACCEPTED, &call.fleet().order(order, &call.who()?).await?)
}

fn lasting(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "for ever".to_owned(), |duration| format!("for {} s", duration.as_secs()))
}

/// What the path names.
pub(super) fn target(call: &Call) -> Result<ipnet::IpNet, Problem> {
    let text = call.tail()?;
    call.about(text.as_str(), call.query.owned("reason"));
    net(&text)
        .ok_or_else(|| Problem::invalid(format!("{text:?} is neither an address nor a CIDR"), "write one"))
}
