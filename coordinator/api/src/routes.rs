//! The routes: routing, the check of roles, the audit log and the OpenAPI document follow this table.

use std::{collections::BTreeSet, future::Future, pin::Pin};

use axum::http::Method;

use crate::{
    auth::Role,
    call::{Answered, Call},
    form::{self, Field},
    handle::{accounts, audit, bouncers, events, fleet, live, orders, sessions},
    openapi,
    query::{Param, Sort},
};

/// What answers a route.
pub(crate) type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Answered> + Send>>;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Who has this role or one above it.
    From(Role),
}

/// A route.
#[derive(Clone, Copy)]
pub struct Route {
    /// What the audit log calls what it does; none: it changes nothing.
    pub(crate) action: Option<&'static str>,
    pub(crate) method: Verb,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) what: &'static str,
    pub(crate) query: &'static [Param],
    pub(crate) body: Option<&'static [Field]>,
    /// The status of what was done, and the schema of the answer.
    pub(crate) status: u16,
    pub(crate) answer: Option<&'static str>,
    /// How it may be refused beside what is the same for all.
    also: &'static [u16],
    pub(crate) handler: Handler,
}

/// The methods that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Route {
    /// Its method.
    pub fn method(&self) -> Method {
        match self.method {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Patch => Method::PATCH,
            Verb::Delete => Method::DELETE,
        }
    }

    /// Its path as the document has it.
    pub fn path(&self) -> String {
        self.path.replace("{*", "{")
    }

    /// Who may use it.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Whether it is one of those that CrowdSec's bouncers know.
    pub(crate) fn for_bouncers(&self) -> bool {
        self.access == BOUNCER
    }

    pub(crate) fn is_open(&self) -> bool {
        self.access == Access::Open
    }

    /// The statuses with which it may be refused, or fail.
    pub(crate) fn refusals(&self) -> BTreeSet<u16> {
        // The query, the body's time and size, our disk, our end.
        let mut all = BTreeSet::from([400, 408, 413, 500, 503]);
        all.extend(self.also);
        match self.access {
            Access::Open => {}
            // As CrowdSec's Local API has it.
            BOUNCER => drop(all.insert(403)),
            Access::From(_) => all.extend([401, 403]),
        }
        if self.action.is_some() {
            all.extend([403, 409]);
        }
        if self.path.contains('{') {
            all.extend([404, 422]);
        }
        if self.body.is_some() {
            all.extend([415, 422]);
        }
        all
    }

    const fn also(self, also: &'static [u16]) -> Self {
        Self { also, ..self }
    }
}

/// The routes.
pub fn routes() -> &'static [Route] {
    ROUTES
}

const VIEWER: Access = Access::From(Role::Viewer);
const OPERATOR: Access = Access::From(Role::Operator);
const ADMIN: Access = Access::From(Role::Admin);
const BOUNCER: Access = Access::From(Role::Bouncer);

const fn param(name: &'static str, sort: Sort, what: &'static str) -> Param {
    Param { name, sort, what }
}

const LIMIT: Param = param("limit", Sort::Number(1, 500), "entries of a page at most; 100 unless given");
const CURSOR: Param = param("cursor", Sort::Text, "the cursor of the page before");
const CLASS: Param = param("class", Sort::Text, "only of this class");
const NODE: Param = param("node", Sort::Text, "only of this node");
const KIND: Param = param("kind", Sort::Text, "only of this kind");

const ALERTS: &[Param] = &[
    param("from", Sort::Time, "not before"),
    param("to", Sort::Time, "before"),
    param("source", Sort::Net, "whose address overlaps this address or CIDR"),
    CLASS,
    NODE,
    param("text", Sort::Text, "that contain this text"),
    LIMIT,
    CURSOR,
];
const EVENTS: &[Param] =
    &[KIND, ALERTS[0], ALERTS[1], ALERTS[2], ALERTS[3], ALERTS[4], ALERTS[5], ALERTS[6], ALERTS[7]];
const BLOCKS: &[Param] = &[
    param("origin", Sort::Text, "only of this origin"),
    CLASS,
    param("overlaps", Sort::Net, "only what overlaps this address or CIDR"),
    LIMIT,
    param("cursor", Sort::Net, "the cursor of the page before"),
];
const LIVE: &[Param] = &[
    param("kind", Sort::Text, "only of these kinds, separated by commas"),
    param("class", Sort::Text, "only of these classes, separated by commas"),
    param("node", Sort::Text, "only of these nodes, separated by commas"),
];
const AUDIT: &[Param] = &[
    param("who", Sort::Text, "only of this user or token"),
    param("action", Sort::Text, "only this action"),
    LIMIT,
    param("cursor", Sort::Number(0, u64::MAX), "the cursor of the page before"),
];
const STATISTICS: &[Param] =
    &[param("over", Sort::Number(60, 31 * 86_400), "of the last seconds; 3600 unless given")];
const UNBLOCK: &[Param] = &[param(
    "reason",
    Sort::OneOf(&["manual", "false-positive"]),
    "false-positive: trust in who said it falls",
)];
const REVOKE: &[Param] =
    &[param("with_its_members", Sort::Flag, "although members go with it whose certificates it signed")];
const FILTERS: [Param; 5] = [
    param("scopes", Sort::Text, "ip, range or both, separated by commas"),
    param(
        "origins",
        Sort::Text,
        "crowdsec (detected), cscli (an operator's), lists (a feed's), separated by commas",
    ),
    param("scenarios_containing", Sort::Text, "words, separated by commas"),
    param("scenarios_not_containing", Sort::Text, "words, separated by commas"),
    param("type", Sort::Text, "all decisions are bans"),
];
const STREAM: &[Param] = &[
    param("startup", Sort::Flag, "true: everything; else what changed since the key's last pull"),
    FILTERS[0],
    FILTERS[1],
    FILTERS[2],
    FILTERS[3],
    FILTERS[4],
];
const DECISIONS: &[Param] = &[
    param("ip", Sort::Net, "only what bans this address"),
    param("range", Sort::Net, "only what bans this range"),
    param("contains", Sort::Flag, "false: only what lies within the range"),
    param("scope", Sort::Text, "ip or range"),
    param("value", Sort::Text, "only this value"),
    FILTERS[0],
    FILTERS[1],
    FILTERS[2],
    FILTERS[3],
    FILTERS[4],
];

const fn get(
    path: &'static str,
    access: Access,
    what: &'static str,
    query: &'static [Param],
    answer: &'static str,
    handler: Handler,
) -> Route {
    let (method, answer) = (Verb::Get, Some(answer));
    Route {
        action: None,
        method,
        path,
        access,
        what,
        query,
        body: None,
        status: 200,
        answer,
        also: &[],
        handler,
    }
}

/// What does something: the audit log has it under its name.
#[expect(clippy::too_many_arguments, reason = "a row of the table")]
const fn change(
    action: &'static str,
    method: Verb,
    path: &'static str,
    access: Access,
    what: &'static str,
    query: &'static [Param],
    body: Option<&'static [Field]>,
    (status, answer): (u16, Option<&'static str>),
    handler: Handler,
) -> Route {
    Route {
        action: Some(action),
        method,
        path,
        access,
        what,
        query,
        body,
        status,
        answer,
        also: &[],
        handler,
    }
}

/// A function as the table holds it.
macro_rules! by {
    ($handler:path) => {
        |call| Box::pin($handler(call))
    };
}

const ORDERED: (u16, Option<&str>) = (202, Some("Ordered"));
const DONE: (u16, Option<&str>) = (204, None);

#[rustfmt::skip] // a table
const ROUTES: &[Route] = &[
    get("/api/v1/health", VIEWER, "How the fleet and its coordinator are.", &[], "Health", by!(fleet::health)),
    get("/api/v1/nodes", VIEWER, "The members.", &[], "Nodes", by!(fleet::nodes)),
    get("/api/v1/nodes/{name}", VIEWER, "One member, by its name or its id.", &[], "Node", by!(fleet::node)).also(&[409]),
    change("trust", Verb::Patch, "/api/v1/nodes/{name}", ADMIN, "Believes a member's blocks, or no longer.", &[], Some(form::TRUST_FIELDS), ORDERED, by!(orders::trust)),
    change("revoke", Verb::Delete, "/api/v1/nodes/{name}", ADMIN, "Expels a member and voids everything it ever said.", REVOKE, None, ORDERED, by!(orders::revoke)),
    get("/api/v1/blocks", VIEWER, "What the fleet blocks, in order of target.", BLOCKS, "Blocks", by!(fleet::blocks)),
    change("block", Verb::Post, "/api/v1/blocks", OPERATOR, "Blocks a target on the whole fleet.", &[], Some(form::BLOCK_FIELDS), ORDERED, by!(orders::block)),
    get("/api/v1/blocks/{*target}", VIEWER, "One block of the fleet, and where it is enforced: nodes are asked.", &[], "OneBlock", by!(fleet::block)),
    change("unblock", Verb::Delete, "/api/v1/blocks/{*target}", OPERATOR, "Ends the blocks of a target.", UNBLOCK, None, ORDERED, by!(orders::unblock)),
    get("/api/v1/allow", VIEWER, "What is never blocked.", &[], "AllowList", by!(fleet::allowed)),
    change("allow", Verb::Post, "/api/v1/allow", OPERATOR, "Never blocks a target.", &[], Some(form::ALLOW_FIELDS), ORDERED, by!(orders::allow)),
    change("disallow", Verb::Delete, "/api/v1/allow/{*target}", OPERATOR, "Takes a target off the allow list.", &[], None, ORDERED, by!(orders::disallow)),
    change("add_canary", Verb::Post, "/api/v1/canaries", ADMIN, "Declares that no honest node blocks a target.", &[], Some(form::CANARY_FIELDS), ORDERED, by!(orders::add_canary)),
    change("remove_canary", Verb::Delete, "/api/v1/canaries/{*target}", ADMIN, "Takes that back.", &[], None, ORDERED, by!(orders::remove_canary)),
    get("/api/v1/panic", VIEWER, "Where enforcement is stopped for a while.", &[], "Panic", by!(fleet::panic)),
    change("panic", Verb::Post, "/api/v1/panic", ADMIN, "Stops enforcing everywhere; it resumes by itself.", &[], Some(form::PANIC_FIELDS), ORDERED, by!(orders::panic)),
    change("resume", Verb::Post, "/api/v1/resume", ADMIN, "Ends every panic of the fleet; what is switched off stays off.", &[], None, ORDERED, by!(orders::resume)),
    get("/api/v1/events", VIEWER, "What happened, the newest first.", EVENTS, "Events", by!(events::events)).also(&[422]),
    get("/api/v1/alerts", VIEWER, "What was detected, the newest first.", ALERTS, "Events", by!(events::alerts)).also(&[422]),
    get("/api/v1/statistics", VIEWER, "What was counted.", STATISTICS, "Statistics", by!(fleet::statistics)),
    get("/api/v1/live", VIEWER, "Events as they happen, over a WebSocket: one JSON object a message.", LIVE, "Event", by!(live::live)).also(&[426]),
    change("login", Verb::Post, "/api/v1/login", Access::Open, "Begins a session.", &[], Some(form::LOGIN_FIELDS), (200, Some("Me")), by!(sessions::login)).also(&[401, 429]),
    change("logout", Verb::Post, "/api/v1/logout", VIEWER, "Ends the session.", &[], None, DONE, by!(sessions::logout)),
    get("/api/v1/me", VIEWER, "Who asks.", &[], "Me", by!(sessions::me)),
    change("change_password", Verb::Post, "/api/v1/me/password", VIEWER, "Changes the own password.", &[], Some(form::PASSWORD_FIELDS), DONE, by!(sessions::password)).also(&[429]),
    get("/api/v1/users", ADMIN, "The users.", &[], "Users", by!(accounts::users)),
    change("add_user", Verb::Post, "/api/v1/users", ADMIN, "Adds a user.", &[], Some(form::USER_FIELDS), (201, Some("User")), by!(accounts::add_user)),
    change("change_user", Verb::Patch, "/api/v1/users/{name}", ADMIN, "Changes a user's role or password.", &[], Some(form::USER_CHANGES), (200, Some("User")), by!(accounts::change_user)),
    change("remove_user", Verb::Delete, "/api/v1/users/{name}", ADMIN, "Removes a user.", &[], None, DONE, by!(accounts::remove_user)),
    get("/api/v1/tokens", ADMIN, "The tokens, without their secrets.", &[], "Tokens", by!(accounts::tokens)),
    change("add_token", Verb::Post, "/api/v1/tokens", ADMIN, "Makes a token; its secret is shown this once.", &[], Some(form::TOKEN_FIELDS), (201, Some("NewToken")), by!(accounts::add_token)),
    change("revoke_token", Verb::Delete, "/api/v1/tokens/{id}", ADMIN, "Revokes a token.", &[], None, DONE, by!(accounts::revoke)),
    get("/api/v1/audit", ADMIN, "Who changed what, and who logged in, the newest first.", AUDIT, "Audit", by!(audit::audit)),
    get("/api/v1/openapi.json", VIEWER, "This document.", &[], "Document", by!(openapi::answer)),
    get("/v1/decisions", BOUNCER, "Decisions that hold, as CrowdSec's bouncers ask for them.", DECISIONS, "Decisions", by!(bouncers::decisions)),
    get("/v1/decisions/stream", BOUNCER, "Decisions that are new or gone since the key's last pull.", STREAM, "Stream", by!(bouncers::stream)),
    Route {
        action: None, method: Verb::Post, path: "/v1/usage-metrics", access: BOUNCER, what: "Takes a bouncer's numbers; they are not kept.",
        query: &[], body: Some(&[]), status: 201, answer: None, also: &[], handler: by!(bouncers::metrics),
    },
];
