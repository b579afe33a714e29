//! Changes of what the fleet does, and of who is believed in it.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    Node, Order, Ordered,
    call::{Answered, Call, json},
    form::{AllowForm, BlockForm, CanaryForm, PanicForm, TrustForm},
    problem::Problem,
    query::net,
};

use super::members::surely_meant;

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

pub(crate) async fn trust(call: Call) -> Answered {
    let TrustForm { believed } = call.form()?;
    let node = member(&call, if believed { "believed" } else { "not believed" }).await?.id;
    given_about(&call, node.clone(), Order::Trust { node, believed }).await
}

pub(crate) async fn revoke(call: Call) -> Answered {
    let with_its_members = call.query.flag("with_its_members") == Some(true);
    let node = member(&call, if with_its_members { "with its members" } else { "alone" }).await?.id;
    given_about(&call, node.clone(), Order::Revoke { node, with_its_members }).await
}

pub(crate) async fn add_canary(call: Call) -> Answered {
    let CanaryForm { target, wide, yes } = call.form()?;
    call.about(target.to_string(), yes.then(|| "although it ends blocks".to_owned()));
    given(&call, Order::AddCanary { target, wide, yes }).await
}

pub(crate) async fn remove_canary(call: Call) -> Answered {
    let target = target(&call)?;
    given(&call, Order::RemoveCanary { target }).await
}

pub(crate) async fn panic(call: Call) -> Answered {
    let duration = call.form::<PanicForm>()?.duration()?;
    call.about("the fleet", lasting(Some(duration)));
    given(&call, Order::Panic { duration }).await
}

pub(crate) async fn resume(call: Call) -> Answered {
    call.about("the fleet", None);
    given(&call, Order::Resume).await
}

/// On its way, not yet carried out everywhere: the nodes do not wait for one another.
async fn given(call: &Call, order: Order) -> Answered {
    json(StatusCode::ACCEPTED, &call.fleet().order(order, &call.who()?).await?)
}

/// The same, about a member: whoever named it sees which that was.
async fn given_about(call: &Call, node: String, order: Order) -> Answered {
    let ordered = call.fleet().order(order, &call.who()?).await?;
    json(StatusCode::ACCEPTED, &Ordered { node: Some(node), ..ordered })
}

fn lasting(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "for ever".to_owned(), |duration| format!("for {} s", duration.as_secs()))
}

/// The member that the path names, surely. Names are given anew: the audit log has the id as well.
async fn member(call: &Call, terms: &str) -> Result<Node, Problem> {
    let text = call.tail()?;
    let nodes = call.fleet().nodes().await;
    let found = surely_meant(&nodes, &text);
    let id = found.as_ref().map_or_else(|_| String::new(), |node| format!(", id {}", node.id));
    call.about(text.as_str(), format!("{terms}{id}"));
    found.cloned()
}

/// What the path names.
pub(super) fn target(call: &Call) -> Result<ipnet::IpNet, Problem> {
    let text = call.tail()?;
    call.about(text.as_str(), call.query.owned("reason"));
    net(&text)
        .ok_or_else(|| Problem::invalid(format!("{text:?} is neither an address nor a CIDR"), "write one"))
}
