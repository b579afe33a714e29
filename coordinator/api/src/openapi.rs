//! The OpenAPI document, made of the table of routes.

use serde_json::{Map, Value, json};

use crate::{
    auth::Role,
    call::{Answered, Call, ok},
    form::Field,
    query::{Param, Sort},
    routes::{Access, Route, routes},
};

/// What the answers look like.
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
        let content = json!({"application/json": {"schema": body(fields)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let path = route.path();
    let tail = path.split_once('{').and_then(|(_, rest)| rest.strip_suffix('}'));
    let tail =
        tail.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    tail.into_iter().chain(route.query.iter().map(parameter)).collect()
}

fn parameter(param: &Param) -> Value {
    let schema = match param.sort {
        Sort::Text => json!({"type": "string", "maxLength": crate::query::MOST_VALUE}),
        Sort::Time => json!({"type": "string", "format": "date-time"}),
        Sort::Net => json!({"type": "string", "description": "an address or a CIDR"}),
        Sort::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Sort::Flag => json!({"type": "boolean"}),
    };
    json!({"name": param.name, "in": "query", "required": false, "description": param.what, "schema": schema})
}

fn responses(route: &Route) -> Value {
    let problem = if route.for_bouncers() { "BouncerProblem" } else { "Problem" };
    let mut done = json!({"description": "It went well."});
    if let Some(answer) = route.answer {
        done["content"] = content(answer);
    }
    json!({
        route.status.to_string(): done,
        "default": {"description": "It was refused or failed.", "content": content(problem)},
    })
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

fn body(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), serde_json::from_str(field.schema).unwrap_or_default()))
        .collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.needed).map(|field| field.name).collect();
    // A body without fields of its own is a bouncer's: it holds what its library puts in.
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": fields.is_empty()})
}
