//! The part of CrowdSec's Local API that bouncers use, as its swagger file (pkg/models/localapi_swagger.yaml) and its
//! controllers have it: nginx, Traefik, HAProxy and firewalls elsewhere follow the fleet with what they have already.

use axum::http::{Method, StatusCode};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::Value;

use crate::{
    call::{Answered, Call, json, ok},
    decisions::Decision,
    problem::Problem,
    query::Query,
};

/// Null where there is none, as Go writes a slice that nothing was put in.
#[derive(Serialize)]
struct Stream {
    deleted: Option<Vec<Decision>>,
    new: Option<Vec<Decision>>,
}

pub(crate) async fn decisions(call: Call) -> Answered {
    let blocks = call.fleet().blocks().await;
    let (now, ledger) = (call.api.clock.now(), &call.api.ledger);
    let decisions = match asked(&call.query) {
        Some(net) if contains_it(&call.query) => ledger.banning(now, &blocks, net),
        _ => ledger.standing(now, &blocks),
    };
    ok(&wanted(&call.query, decisions))
}

pub(crate) async fn stream(call: Call) -> Answered {
    if call.parts.method == Method::HEAD {
        // A look whether we are there; the key has heard nothing by it.
        return ok(&Value::Null);
    }
    let blocks = call.fleet().blocks().await;
    let startup = call.query.flag("startup").unwrap_or(false);
    let key = match &call.principal()?.via {
        crate::auth::Via::Token(id) => id.clone(),
        crate::auth::Via::Session(_) => {
            return Err(Problem::forbidden("access forbidden", "use a bouncer's key"));
        }
    };
    let now = call.api.clock.now();
    let news = call.api.ledger.pull(now, &blocks, &key, startup);
    let api = call.api.clone();
    tokio::task::spawn_blocking(move || api.ledger.keep(now)); // the bouncer need not wait for the disk
    ok(&Stream { deleted: wanted(&call.query, news.deleted), new: wanted(&call.query, news.new) })
}

/// Bouncers send their numbers unasked; they are to know that it went well.
pub(crate) async fn metrics(call: Call) -> Answered {
    let body: Value = call.form()?;
    if !body.is_object() {
        return Err(Problem::invalid("expected an object", "send what the bouncer's library makes"));
    }
    json(StatusCode::CREATED, &Value::Null)
}

fn wanted(query: &Query, mut decisions: Vec<Decision>) -> Option<Vec<Decision>> {
    decisions.retain(|decision| {
        of_scope(query, decision)
            && of_target(query, decision)
            && query.text("type").is_none_or(|kind| kind == "ban")
            && query.text("value").is_none_or(|value| value == decision.value)
            && query
                .words("origins")
                .is_none_or(|names| any(&names, decision.origin, str::eq_ignore_ascii_case))
            && query
                .words("scenarios_containing")
                .is_none_or(|words| any(&words, &decision.scenario, contains))
            && !query
                .words("scenarios_not_containing")
                .is_some_and(|words| any(&words, &decision.scenario, contains))
    });
    Some(decisions).filter(|decisions| !decisions.is_empty())
}

fn of_scope(query: &Query, decision: &Decision) -> bool {
    let scopes = query.words("scopes").or_else(|| query.words("scope"));
    scopes.is_none_or(|scopes| any(&scopes, decision.scope, str::eq_ignore_ascii_case))
}

/// What bans an address or a range, or, with `contains=false`, what lies in it.
fn of_target(query: &Query, decision: &Decision) -> bool {
    asked(query).is_none_or(|net| {
        if contains_it(query) { decision.target.contains(&net) } else { net.contains(&decision.target) }
    })
}

fn asked(query: &Query) -> Option<IpNet> {
    query.net("ip").or_else(|| query.net("range"))
}

fn contains_it(query: &Query) -> bool {
    query.flag("contains").unwrap_or(true)
}

fn any(words: &[&str], text: &str, matches: impl Fn(&str, &str) -> bool) -> bool {
    words.iter().any(|word| matches(text, word))
}

fn contains(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(&word.to_ascii_lowercase())
}
