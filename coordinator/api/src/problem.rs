//! What went wrong, as those who asked read it: what, why, and what they can do.

use axum::{
    body::Body,
    http::{
        HeaderValue, Response, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use serde_json::{Value, json};

use crate::{Refusal, Refused};

/// A refusal or a failure on its way to who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    what: String,
    why: String,
    remedy: String,
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, what: &str, why: impl Into<String>, remedy: &str) -> Self {
        Self { status, what: what.to_owned(), why: why.into(), remedy: remedy.to_owned(), retry_after: None }
    }

    /// The request makes no sense.
    pub(crate) fn bad(why: impl Into<String>, remedy: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the request makes no sense", why, remedy)
    }

    /// The request is well formed, and what it wants cannot be.
    pub(crate) fn invalid(why: impl Into<String>, remedy: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the request is refused", why, remedy)
    }

    pub(crate) fn missing(what: impl Into<String>) -> Self {
        let remedy = "GET /api/v1/openapi.json lists what there is";
        Self::new(StatusCode::NOT_FOUND, "there is no such thing", what, remedy)
    }

    pub(crate) fn conflict(why: impl Into<String>, remedy: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "that is not possible now", why, remedy)
    }

    pub(crate) fn forbidden(why: impl Into<String>, remedy: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "that is not allowed", why, remedy)
    }

    /// The disk or the system refuses; the error itself is for the log.
    pub(crate) fn internal(what: &str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "{what}");
        let remedy = "nothing was changed; see the coordinator's log for the reason, and try again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, what, "the system refuses", remedy)
    }

    pub(crate) fn busy(why: &str, seconds: u64) -> Self {
        let busy =
            Self::new(StatusCode::SERVICE_UNAVAILABLE, "the coordinator is busy", why, "try again later");
        Self { retry_after: Some(seconds), ..busy }
    }

    /// Nobody will answer any more.
    pub(crate) fn ending() -> Self {
        Self::busy("it is ending, or has failed at this", 5)
    }

    pub(crate) fn too_often(why: &str, seconds: u64) -> Self {
        let remedy = "wait, and try again; a forgotten password can be set anew by an admin";
        let refused = Self::new(StatusCode::TOO_MANY_REQUESTS, "too many attempts", why, remedy);
        Self { retry_after: Some(seconds), ..refused }
    }

    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    pub(crate) fn body(&self) -> Value {
        json!({"error": {"what": self.what, "why": self.why, "do": self.remedy}})
    }

    pub(crate) fn response(&self) -> Response<Body> {
        self.with(&self.body())
    }

    /// As a bouncer's library reads it (CrowdSec's ErrorResponse).
    pub(crate) fn for_bouncers(&self) -> Response<Body> {
        self.with(&json!({"message": format!("{}: {}", self.what, self.why)}))
    }

    fn with(&self, body: &Value) -> Response<Body> {
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"smartfw\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { kind, what, why, remedy }: Refusal) -> Self {
        let status = match kind {
            Refused::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::Missing => StatusCode::NOT_FOUND,
            Refused::Conflict => StatusCode::CONFLICT,
            Refused::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, what, why, remedy, retry_after: None }
    }
}
