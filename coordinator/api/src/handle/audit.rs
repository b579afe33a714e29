//! The audit log, as admins read it.

use crate::{
    call::{Answered, Call, ok},
    problem::Problem,
};

pub(crate) async fn audit(call: Call) -> Answered {
    let below = call.query.number("cursor").unwrap_or(u64::MAX);
    let limit =
        usize::try_from(call.query.number("limit").unwrap_or(super::fleet::PAGE)).unwrap_or(usize::MAX);
    let read = tokio::task::spawn_blocking(move || {
        let (who, action) = (call.query.text("who"), call.query.text("action"));
        call.api.audit.read(below, limit, |entry| {
            who.is_none_or(|who| entry.who() == Some(who))
                && action.is_none_or(|action| entry.action() == action)
        })
    });
    ok(&read.await.map_err(|error| Problem::internal("the audit log cannot be read", &error))?)
}
