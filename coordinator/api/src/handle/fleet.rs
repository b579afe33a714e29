//! How the fleet is, and what it blocks.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, Response, header::CONTENT_TYPE};
use ipnet::IpNet;
use serde_json::json;

use crate::{
    Block, Concern, Level, Spread,
    call::{Answered, Call, ok},
    problem::Problem,
};

use super::members::meant;

/// Entries of a page, unless it is said.
pub(super) const PAGE: u64 = 100;

pub(crate) async fn health(call: Call) -> Answered {
    let mut health = call.fleet().health().await;
    let lost = call.api.audit.lost();
    if lost > 0 {
        let what = format!("the audit log lost {lost} entries, because its disk refused them");
        let remedy = "make room, or give this program access to its log folder".to_owned();
        health.health.insert(0, Concern { level: Level::Error, what, remedy });
    }
    ok(&health)
}

pub(crate) async fn nodes(call: Call) -> Answered {
    ok(&json!({"nodes": call.fleet().nodes().await}))
}

pub(crate) async fn node(call: Call) -> Answered {
    let name = call.tail()?;
    ok(meant(&call.fleet().nodes().await, &name)?)
}

pub(crate) async fn panic(call: Call) -> Answered {
    ok(&call.fleet().panic().await)
}

pub(crate) async fn blocks(call: Call) -> Answered {
    let after = call.query.net("cursor");
    let (origin, class) = (call.query.text("origin"), call.query.text("class"));
    let overlaps = call.query.net("overlaps");
    let limit = usize::try_from(call.query.number("limit").unwrap_or(PAGE)).unwrap_or(usize::MAX);
    let blocks = call.fleet().blocks().await;
    let begin = after.map_or(0, |after| blocks.list.partition_point(|block| block.target <= after));
    let wanted = |block: &&Arc<Block>| {
        origin.is_none_or(|origin| block.origin == origin)
            && class.is_none_or(|class| block.class == class)
            && overlaps.is_none_or(|net| overlap(&net, &block.target))
    };
    let mut page: Vec<&Block> =
        blocks.list.iter().skip(begin).filter(wanted).map(AsRef::as_ref).take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let cursor = page.last().filter(|_| more).map(|block| block.target.to_string());
    ok(&json!({"blocks": page, "cursor": cursor, "total": blocks.list.len()}))
}

pub(crate) async fn block(call: Call) -> Answered {
    let target = super::orders::target(&call)?;
    let list = call.fleet().blocks().await.list;
    let at = list.binary_search_by(|block| block.target.cmp(&target));
    let block = at.map_err(|_| Problem::missing(format!("nobody blocks exactly {target}")))?;
    let Spread { enforced_on, propagation_ms, told_by, silent } = call.fleet().spread(&target).await;
    ok(&json!({
        "block": list[block], "enforced_on": enforced_on, "propagation_ms": propagation_ms, "told_by": told_by,
        "silent": silent,
    }))
}

pub(crate) async fn allowed(call: Call) -> Answered {
    ok(&json!({"allowed": *call.fleet().allowed().await}))
}

pub(crate) async fn statistics(call: Call) -> Answered {
    let over = Duration::from_secs(call.query.number("over").unwrap_or(3_600));
    let statistics = call.fleet().statistics(over).await?;
    let mut response = Response::new(statistics.get().to_owned().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Whether two nets have an address in common.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(other) || other.contains(one)
}
