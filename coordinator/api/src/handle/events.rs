//! What happened.

use crate::{
    EventQuery,
    call::{Answered, Call, ok},
};

pub(crate) async fn events(call: Call) -> Answered {
    let kind = call.query.owned("kind");
    of_kind(call, kind).await
}

pub(crate) async fn alerts(call: Call) -> Answered {
    of_kind(call, Some("alert".to_owned())).await
}

async fn of_kind(call: Call, kind: Option<String>) -> Answered {
    let asked = &call.query;
    let query = EventQuery {
        from: asked.time("from"),
        to: asked.time("to"),
        address: asked.net("source"),
        class: asked.owned("class"),
        kind,
        node: asked.owned("node"),
        text: asked.owned("text"),
        cursor: asked.owned("cursor"),
        limit: usize::try_from(asked.number("limit").unwrap_or(super::fleet::PAGE)).unwrap_or(usize::MAX),
    };
    ok(&call.fleet().events(query).await?)
}
