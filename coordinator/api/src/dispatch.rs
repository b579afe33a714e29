//! What every request goes through, whatever it asks: who asks, whether they may, whether it fits, and what became of it.

mod guard;
mod headers;

pub(crate) use guard::{SESSION, own_origin};

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts as _, RawPathParams, Request},
    http::{Response, StatusCode, header::CONTENT_LENGTH, request::Parts},
    middleware::{from_fn, map_response},
    routing::{MethodFilter, on},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Bytes;

use crate::{
    Api,
    api::Inner,
    audit::Deed,
    auth::Principal,
    call::{Answered, Call, Subject},
    problem::Problem,
    query::Query,
    routes::{Route, Verb, routes},
};

/// The largest body.
pub(crate) const MOST_BODY: usize = 64 << 10;
/// The time that a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a connection comes from; whoever serves the router says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

pub(crate) fn router(api: &Api, rest: Router) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let inner = api.0.clone();
        let answer = move |request: Request| answer(inner.clone(), route, request);
        router = router.route(route.path, on(filter(route.method), answer));
    }
    router
        .method_not_allowed_fallback(wrong_method)
        .fallback_service(rest.layer(from_fn(no_such_route)))
        .layer(map_response(headers::secured))
}

fn filter(verb: Verb) -> MethodFilter {
    match verb {
        Verb::Get => MethodFilter::GET,
        Verb::Post => MethodFilter::POST,
        Verb::Patch => MethodFilter::PATCH,
        Verb::Delete => MethodFilter::DELETE,
    }
}

async fn wrong_method(request: Request) -> Response<Body> {
    let why = format!("{} is not what this path takes", request.method());
    let remedy = "GET /api/v1/openapi.json lists what there is";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "wrong method", why, remedy).response()
}

/// Below the API's own prefixes nobody else answers.
async fn no_such_route(request: Request, next: axum::middleware::Next) -> Response<Body> {
    let path = request.uri().path();
    let ours = ["/api/", "/v1/"].iter().any(|prefix| path.starts_with(prefix));
    if ours { Problem::missing("there is no such path").response() } else { next.run(request).await }
}

async fn answer(api: Arc<Inner>, route: &'static Route, request: Request) -> Response<Body> {
    // A client that hangs up ends its connection, and not what it began: what was done is written down.
    let attended = tokio::spawn(attended(api, route, request)).await;
    let answered = attended.unwrap_or_else(|_| Err(Problem::ending()));
    answered.unwrap_or_else(
        |problem| {
            if route.for_bouncers() { problem.for_bouncers() } else { problem.response() }
        },
    )
}

async fn attended(api: Arc<Inner>, route: &'static Route, request: Request) -> Answered {
    let (mut parts, body) = request.into_parts();
    let from = parts.extensions.get::<Peer>().map_or(IpAddr::from([0; 4]), |peer| peer.0.ip().to_canonical());
    let principal = if route.is_open() { None } else { guard::principal(&api, &parts, from) };
    let subject = Arc::new(OnceLock::new());
    let answered = match guard::admitted(route, principal.as_ref(), &parts) {
        Ok(()) => {
            let tail = tail(&mut parts).await;
            let call =
                understood(&api, route, parts, body, from, principal.clone(), tail, subject.clone()).await;
            match call {
                Ok(call) => (route.handler)(call).await,
                Err(problem) => Err(problem),
            }
        }
        Err(problem) => Err(problem),
    };
    if let (Some(action), Some(principal)) = (route.action, principal) {
        noted(&api, action, principal, subject.get(), &answered);
    }
    answered
}

#[expect(clippy::too_many_arguments, reason = "they are the fields of a call")]
async fn understood(
    api: &Arc<Inner>,
    route: &Route,
    parts: Parts,
    body: Body,
    from: IpAddr,
    principal: Option<Principal>,
    tail: Option<String>,
    subject: Arc<OnceLock<Subject>>,
) -> Result<Call, Problem> {
    let raw = parts.uri.query().unwrap_or_default();
    let query = Query::parse(raw, route.query, !route.for_bouncers())?;
    let body = whole(&parts, body).await?;
    if route.body.is_some() {
        guard::is_json(&parts)?;
    }
    Ok(Call { api: api.clone(), parts, body, query, from, principal, tail, subject })
}

async fn tail(parts: &mut Parts) -> Option<String> {
    // Percent-decoded by axum; bytes that are no UTF-8 make it nothing.
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    params.iter().next().map(|(_, value)| value.to_owned())
}

/// A body that is neither too large nor too slow.
async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let told = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|told| told > MOST_BODY as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, Limited::new(body, MOST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::bad("the body broke off", "send it whole")),
        Err(_) => {
            let why = format!("the body took longer than {} s", PATIENCE.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the request is too slow", why, "send it at once"))
        }
    }
}

fn too_large() -> Problem {
    let why = format!("the body is larger than {MOST_BODY} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the request is refused", why, "send less at once")
}

fn noted(api: &Inner, action: &'static str, by: Principal, subject: Option<&Subject>, answered: &Answered) {
    let refused =
        answered.as_ref().err().map(|problem| format!("{} {}", problem.status.as_u16(), problem.why()));
    let Principal { name, role, from, .. } = by;
    let Subject { target, terms } = subject.cloned().unwrap_or_default();
    let deed = Deed { who: Some(name), role: Some(role.text()), from, action, target, terms, refused };
    api.audit.note(api.clock.now(), deed);
}
