//! The OpenAPI document, made of the table of routes.

use serde_json::{Map, Value, json};

use crate::{
    auth::Role,
    call::{Answered, Call, ok},
    form::Field,
    query::{Param, Sort},
    routes::{Access, Route, Verb, routes},
};

/// A text without control characters.
const PLAIN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// What the answers look like, and what is given in several places.
const SCHEMAS: &str = include_str!("schemas.json");

pub(crate) async fn answer(_: Call) -> Answered {
    ok(&document())
}

/// The document: OpenAPI 3.1.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in routes() {
        let path = paths.entry(route.path()).or_insert_with(|| json!({}));
        path[route.method().as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "SmartFW coordinator",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Times are RFC 3339, durations seconds. With a session's cookie a change needs the header X-Smartfw.",
        },
        "paths": paths,
        "components": {
            "schemas": serde_json::from_str::<Value>(SCHEMAS).unwrap_or_default(),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": crate::dispatch::SESSION},
                "token": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.what,
        "parameters": parameters(route),
        "responses": responses(route),
        "security": security(route),
    });
    if let Access::From(role) = route.access() {
        operation["description"] = json!(format!("For the role {}.", role.text()));
    }
    if let Some(fields) = route.body {
        let content = json!({"application/json": {"schema": body(fields, route.method)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let path = route.path();
    let tail = path.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}'));
    let tail = tail.map(|name| {
        let schema = match name {
            "target" => net(),
            "name" if route.action.is_some() && path.starts_with("/api/v1/nodes/") => {
                serde_json::from_str(crate::form::MEMBER).unwrap_or_default()
            }
            "name" if route.action.is_some() => serde_json::from_str(crate::form::NAME.schema).unwrap_or_default(),
            _ => json!({"type": "string", "minLength": 1, "maxLength": crate::query::MOST_VALUE, "pattern": PLAIN}),
        };
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    tail.into_iter().chain(route.query.iter().map(parameter)).collect()
}

fn parameter(param: &Param) -> Value {
    let schema = match param.sort {
        Sort::Text => json!({"$ref": "#/components/schemas/Text"}),
        Sort::Time => json!({"type": "string", "format": "date-time"}),
        Sort::Net => net(),
        Sort::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Sort::Flag => json!({"type": "boolean"}),
        Sort::OneOf(words) => json!({"type": "string", "enum": words}),
    };
    json!({"name": param.name, "in": "query", "required": false, "description": param.what, "schema": schema})
}

fn net() -> Value {
    json!({"$ref": "#/components/schemas/Net"})
}

fn responses(route: &Route) -> Value {
    let problem = if route.for_bouncers() { "BouncerProblem" } else { "Problem" };
    let mut done = json!({"description": "It went well."});
    if let Some(answer) = route.answer {
        done["content"] = content(answer);
    }
    let refused =
        |status: u16| (status.to_string(), json!({"description": why(status), "content": content(problem)}));
    let mut responses: Map<String, Value> = route.refusals().into_iter().map(refused).collect();
    responses.insert(route.status.to_string(), done);
    responses.into()
}

/// What a status says here.
fn why(status: u16) -> &'static str {
    match status {
        400 => "The request makes no sense.",
        401 => "It is not known who asks.",
        403 => "That is not allowed.",
        404 => "There is no such thing.",
        408 => "The request's body is too slow.",
        409 => "That is not possible now.",
        413 => "The request's body is too large.",
        415 => "The request's body is not said to be JSON.",
        422 => "The request is well formed, and what it wants cannot be.",
        426 => "This is a WebSocket.",
        429 => "There were too many attempts; wait as long as Retry-After says.",
        503 => "The coordinator is busy or ending, or what it needs is not there; try again later.",
        _ => "The system refuses; the coordinator's log says why.",
    }
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

fn security(route: &Route) -> Value {
    match route.access() {
        Access::Open => json!([]),
        Access::From(Role::Bouncer) => json!([{"key": []}]),
        Access::From(_) => json!([{"session": []}, {"token": []}]),
    }
}

fn body(fields: &[Field], method: Verb) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), serde_json::from_str(field.schema).unwrap_or_default()))
        .collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.needed).map(|field| field.name).collect();
    // A body without fields of its own is a bouncer's: it holds what its library puts in. Where nothing is needed to change
    // what there is, nothing at all is no change.
    let least = usize::from(required.is_empty() && method == Verb::Patch);
    json!({
        "type": "object", "properties": properties, "required": required, "minProperties": least,
        "additionalProperties": fields.is_empty(),
    })
}
