//! One request, as a handler sees it: it is known who asks, and everything that came was understood.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts},
};
use hyper::body::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Fleet, Who,
    api::Inner,
    auth::{Principal, Via},
    form,
    problem::Problem,
    query::{Query, plain},
};

/// What a handler answers.
pub(crate) type Answered = Result<Response<Body>, Problem>;

/// What a change is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Subject {
    pub(crate) target: String,
    /// For how long, why, as what.
    pub(crate) terms: Option<String>,
}

pub(crate) struct Call {
    pub(crate) api: Arc<Inner>,
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) query: Query,
    pub(crate) from: IpAddr,
    /// None only where the route is open to everybody.
    pub(crate) principal: Option<Principal>,
    /// What stands at the end of the path, where the route leaves it open.
    pub(crate) tail: Option<String>,
    /// What a change is about, for the audit log.
    pub(crate) subject: Arc<OnceLock<Subject>>,
}

impl Call {
    pub(crate) fn fleet(&self) -> &dyn Fleet {
        &*self.api.fleet
    }

    /// The body, as what it should be.
    pub(crate) fn form<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        form::parse(&self.body)
    }

    /// What the path leaves open.
    pub(crate) fn tail(&self) -> Result<String, Problem> {
        plain(self.tail.clone().unwrap_or_default())
    }

    /// Says what a change is about. No secrets.
    pub(crate) fn about(&self, target: impl Into<String>, terms: impl Into<Option<String>>) {
        let _ = self.subject.set(Subject { target: target.into(), terms: terms.into() });
    }

    pub(crate) fn principal(&self) -> Result<&Principal, Problem> {
        self.principal.as_ref().ok_or_else(unknown)
    }

    pub(crate) fn who(&self) -> Result<Who, Problem> {
        let Principal { name, role, from, .. } = self.principal()?.clone();
        Ok(Who { name, role, from })
    }

    /// The session that asks, where it is one.
    pub(crate) fn session(&self) -> Option<[u8; 32]> {
        match &self.principal.as_ref()?.via {
            Via::Session(id) => Some(*id),
            Via::Token(_) => None,
        }
    }
}

/// Nobody that we know.
pub(crate) fn unknown() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "it is not known who asks",
        "there are no credentials, or they do not hold any more",
        "log in at POST /api/v1/login, or send a token as \"Authorization: Bearer\"",
    )
}

/// A body of JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answered {
    let text = serde_json::to_vec(body)
        .map_err(|error| Problem::internal("the answer cannot be written", &error))?;
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

pub(crate) fn ok(body: &impl Serialize) -> Answered {
    json(StatusCode::OK, body)
}

/// Nothing to say but that it is done.
pub(crate) fn done() -> Answered {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
