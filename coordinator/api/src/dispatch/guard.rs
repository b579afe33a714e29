//! Who asks, and whether they may.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN},
    request::Parts,
};

use crate::{
    api::Inner,
    auth::{Principal, Via},
    call::unknown,
    problem::Problem,
    routes::{Access, Route},
};

/// The cookie of a session. The prefix makes browsers refuse it from other hosts and without TLS.
pub(crate) const SESSION: &str = "__Host-smartfw";
/// The header that another site's page cannot send along with a person's cookie.
const PROOF: HeaderName = HeaderName::from_static("x-smartfw");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Who asks, where that is known. A token goes before a cookie, and a wrong one is not made good by a cookie.
pub(super) fn principal(api: &Inner, parts: &Parts, from: IpAddr) -> Option<Principal> {
    let headers = &parts.headers;
    if headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY) {
        let (id, token) = api.accounts.token(api.clock.now(), secret(headers)?)?;
        let name = token.name.as_str().to_owned();
        return Some(Principal { name, role: token.role, via: Via::Token(id), from });
    }
    let (user, id) = api.sessions.user(api.clock.now(), cookie(headers)?)?;
    // The role is the one that the user has now, not the one of the login.
    let role = api.accounts.user(&user)?.role;
    Some(Principal { name: user.as_str().to_owned(), role, via: Via::Session(id), from })
}

/// Whether a route is for whoever asks.
pub(super) fn admitted(route: &Route, principal: Option<&Principal>, parts: &Parts) -> Result<(), Problem> {
    if let Access::From(needed) = route.access {
        let Some(known) = principal else {
            // CrowdSec's Local API answers 403 here, and its bouncers know it so.
            let foreign = || Problem::forbidden("access forbidden", "send a bouncer's key as X-Api-Key");
            return Err(if route.for_bouncers() { foreign() } else { unknown() });
        };
        if !known.role.covers(needed) {
            let why = format!(
                "this takes the role {}, and {} has {}",
                needed.text(),
                known.name,
                known.role.text()
            );
            return Err(Problem::forbidden(why, "ask an admin for the role, or for somebody who has it"));
        }
    }
    if route.action.is_some() { not_forged(principal, parts) } else { Ok(()) }
}

/// A change that a browser sends along with a cookie comes from our own page.
fn not_forged(principal: Option<&Principal>, parts: &Parts) -> Result<(), Problem> {
    let by_cookie = principal.is_some_and(|known| matches!(known.via, Via::Session(_)));
    if by_cookie && !parts.headers.contains_key(PROOF) {
        let remedy = "send the header \"X-Smartfw: 1\" along";
        return Err(Problem::forbidden("a change with a session's cookie needs a header of its own", remedy));
    }
    match own_origin(parts) {
        Some(false) => {
            Err(Problem::forbidden("it comes from another site's page", "use the coordinator's own"))
        }
        _ => Ok(()),
    }
}

/// Whether a browser says that the request comes from our own page; none: it says nothing.
pub(crate) fn own_origin(parts: &Parts) -> Option<bool> {
    let origin = parts.headers.get(ORIGIN)?;
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
    let own = host.map(|host| format!("https://{host}"));
    Some(own.is_some_and(|own| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes())))
}

/// A body that a browser does not send to another site without asking it first.
pub(super) fn is_json(parts: &Parts) -> Result<(), Problem> {
    let sort = parts.headers.get(CONTENT_TYPE).and_then(|sort| sort.to_str().ok()).unwrap_or_default();
    if sort.split(';').next().is_some_and(|sort| sort.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let (what, why) = ("the request is refused", "its body is not said to be JSON");
    let remedy = "send the header \"Content-Type: application/json\"";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what, why, remedy))
}

fn secret(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|text| text.to_str().ok()?.strip_prefix("Bearer "));
    bearer.or_else(|| headers.get(API_KEY)?.to_str().ok()).map(str::trim)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|text| text.to_str().ok()).flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn an_origin_is_our_own_only_over_tls_and_with_the_same_host_and_port() {
        let own = |origin| own_origin(&parts(&[("host", "fw.example:7480"), ("origin", origin)]));
        assert_eq!(own("https://fw.example:7480"), Some(true));
        for other in [
            "http://fw.example:7480",
            "https://fw.example",
            "https://evil.example",
            "null",
            "https://fw.example:7480.evil",
        ] {
            assert_eq!(own(other), Some(false), "{other}");
        }
        assert_eq!(own_origin(&parts(&[("host", "fw.example")])), None);
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let parts = parts(&[("cookie", "a=1; x__Host-smartfw=no"), ("cookie", "b; __Host-smartfw=yes; c=2")]);
        assert_eq!(cookie(&parts.headers), Some("yes"));
    }
}
