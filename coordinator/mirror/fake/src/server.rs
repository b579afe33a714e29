//! One request: whether it is answered at all, who asks, and what for.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Query as Parameters, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};

use crate::{Door, Fault, Seen, Shared, query::Query, token, tree, verbs};

type Behind = Arc<Mutex<Shared>>;

/// More than any test sends.
const BODY_BYTES: usize = 64 << 20;

pub(crate) fn app(shared: Behind) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

/// A request as the verbs see it.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: tree::Path,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

async fn serve(State(shared): State<Behind>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let parameters = Parameters::try_from_uri(&parts.uri).map(|Parameters(all)| all).unwrap_or_default();
    let Ok(body) = to_bytes(body, BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    if parts.uri.path() == "/token" {
        return token::give(&mut shared.lock().unwrap(), &body);
    }
    let fault = arrived(&shared, &parts);
    let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    match fault {
        Some(Fault::Hang) => pending().await,
        Some(Fault::Echo(status)) => {
            let status = StatusCode::from_u16(status).unwrap();
            return refuse(status, &format!("{target} {}", percent_decoded(&target)));
        }
        Some(Fault::Cut) => return cut(),
        Some(Fault::Status(status, headers)) => return answer(status, headers),
        Some(Fault::Redirect(to)) => return answer(307, vec![("location", format!("{to}{target}"))]),
        Some(Fault::Lost) | None => {}
    }
    let path = percent_decoded(parts.uri.path());
    let Some(path) = path.strip_suffix(".json").map(tree::path) else {
        return refuse(StatusCode::NOT_FOUND, "append .json to your request URI to use the REST API.");
    };
    let asked = Asked { method: parts.method, path, parameters, headers: parts.headers, body };
    let answer = dealt_with(&shared, &asked);
    if fault == Some(Fault::Lost) { cut() } else { answer }
}

fn dealt_with(shared: &Behind, asked: &Asked) -> Response {
    let mut shared = shared.lock().unwrap();
    if let Some(refused) = refused_at_the_door(&shared, asked) {
        return refused;
    }
    let accept = asked.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    if asked.method == Method::GET && accept == Some("text/event-stream") {
        return stream(&mut shared, asked);
    }
    verbs::answer(&mut shared, asked)
}

fn arrived(shared: &Behind, parts: &axum::http::request::Parts) -> Option<Fault> {
    let mut shared = shared.lock().unwrap();
    let authorization = parts.headers.get(header::AUTHORIZATION);
    shared.seen.push(Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
    });
    let outage = shared.outage.clone();
    outage.or_else(|| shared.faults.pop_front())
}

fn refused_at_the_door(shared: &Shared, asked: &Asked) -> Option<Response> {
    let bearer = asked.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let let_in = match &shared.door {
        Door::Open => true,
        Door::Secret(secret) => asked.parameters.get("auth") == Some(secret),
        Door::Token => bearer == Some(&format!("Bearer {}", token::name(shared.tokens))),
    };
    (!let_in).then(|| refuse(StatusCode::UNAUTHORIZED, "Unauthorized request."))
}

fn stream(shared: &mut Shared, asked: &Asked) -> Response {
    let query = match Query::read(&asked.parameters, &shared.indexes, &asked.path.join("/")) {
        Ok(query) => query,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let (to, from) = unbounded_channel();
    let Shared { root, listeners, .. } = shared;
    listeners.add(root, asked.path.clone(), query, to);
    let body = Body::from_stream(UnboundedReceiverStream::new(from).map(|piece| piece.map(Bytes::from)));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

pub(crate) fn refuse(status: StatusCode, why: &str) -> Response {
    (status, json!({"error": why}).to_string()).into_response()
}

fn answer(status: u16, headers: Vec<(&'static str, String)>) -> Response {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    answer.body(Body::from("{\"error\":\"so it was told\"}")).unwrap()
}

/// An answer whose body never comes: the connection breaks.
fn cut() -> Response {
    let broken = tokio_stream::once(Err::<Bytes, _>(std::io::Error::other("cut")));
    Body::from_stream(broken).into_response()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = (*first == b'%').then(|| after.get(..2)).flatten();
        let code = digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
