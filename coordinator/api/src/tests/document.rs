//! The OpenAPI document says what is so.

use axum::http::Method;
use serde_json::{Value, json};

use super::bench::{Bench, key, token};
use crate::{openapi::document, routes::routes};

#[tokio::test]
async fn the_document_names_exactly_the_routes_that_there_are() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    let served = bench.get("/api/v1/openapi.json", &admin).await.body;
    assert_eq!(served, document());
    let mut named = Vec::new();
    for (path, item) in served["paths"].as_object().unwrap() {
        named.extend(
            item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    let mut there: Vec<String> =
        routes().iter().map(|route| format!("{} {}", route.method(), route.path())).collect();
    named.sort();
    there.sort();
    assert_eq!(named, there);
    for (path, item) in served["paths"].as_object().unwrap() {
        let real = path.replace("{name}", "x").replace("{target}", "192.0.2.1").replace("{id}", "x");
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::PUT] {
            let named = item.get(method.as_str().to_lowercase()).is_some();
            let status = bench.send(method.as_str(), &real, &admin, "").await.status;
            assert_eq!(status != 405, named, "{method} {real}: {status}");
        }
    }
}

#[tokio::test]
async fn every_operation_of_the_document_says_whom_it_is_for_and_refuses_who_is_not_known() {
    let bench = Bench::new();
    let document = document();
    let mut open = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace("{name}", "x").replace("{target}", "192.0.2.1").replace("{id}", "x");
        for (method, operation) in item.as_object().unwrap() {
            if operation["security"].as_array().unwrap().is_empty() {
                open.push(format!("{method} {path}"));
                continue;
            }
            assert!(operation["description"].as_str().unwrap().starts_with("For the role "), "{path}");
            let nobody = super::bench::nobody().with("content-type", "application/json");
            let answer = bench.send(&method.to_uppercase(), &real, &nobody, "{}").await;
            assert!([401, 403].contains(&answer.status), "{method} {path}: {}", answer.status);
        }
    }
    assert_eq!(open, ["post /api/v1/login"]);
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > routes().len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn bodies_that_the_document_gives_as_examples_are_taken() {
    let bench = Bench::new();
    let admin = token(&bench.token("admin").await);
    let document = document();
    for route in routes().iter().filter(|route| route.body.is_some_and(|fields| !fields.is_empty())) {
        let method = route.method().as_str().to_lowercase();
        let schema =
            &document["paths"][route.path()][method]["requestBody"]["content"]["application/json"]["schema"];
        let fields = schema["properties"].as_object().unwrap();
        assert_eq!(fields.len(), route.body.unwrap().len());
        let body: Value = fields
            .iter()
            .map(|(name, field)| (name.clone(), field["examples"][0].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert!(body.as_object().unwrap().values().all(|value| !value.is_null()), "{body}");
        let name = if route.path.contains("/nodes/") { "web-1" } else { "ada" };
        let path = route.path().replace("{name}", name);
        let answer = bench.put(route.method().as_str(), &path, &admin, body).await;
        // Not always done: a token has no password. But never misunderstood.
        assert!(![400, 415, 422].contains(&answer.status), "{} {path}: {}", route.method(), answer.text);
    }
}

#[tokio::test]
async fn answers_look_as_the_document_says() {
    let bench = Bench::new();
    let (admin, bouncer) = (token(&bench.token("admin").await), key(&bench.token("bouncer").await));
    bench.put("POST", "/api/v1/blocks", &admin, json!({"target": "203.0.113.7"})).await;
    bench.put("POST", "/api/v1/allow", &admin, json!({"target": "203.0.113.8"})).await;
    bench.fleet.alert("web-1", "port_scan", "203.0.113.7");
    let document = document();
    let mut seen = 0;
    for route in routes().iter().filter(|route| route.method() == Method::GET && route.path != "/api/v1/live")
    {
        let from = if route.for_bouncers() { &bouncer } else { &admin };
        let answer = bench
            .get(&route.path().replace("{name}", "web-1").replace("{target}", "203.0.113.7"), from)
            .await;
        assert_eq!(answer.status, 200, "{}", route.path);
        let schema = json!({"$ref": format!("#/components/schemas/{}", route.answer.unwrap())});
        if let Err(why) = fits(&document, &schema, &answer.body) {
            panic!("{}: {why}: {}", route.path, answer.text);
        }
        seen += 1;
    }
    assert!(seen > 10);
    let made = bench.put("POST", "/api/v1/tokens", &admin, json!({"name": "x", "role": "viewer"})).await;
    fits(&document, &json!({"$ref": "#/components/schemas/NewToken"}), &made.body).unwrap();
    let wrong = json!({"$ref": "#/components/schemas/NewToken"});
    assert!(fits(&document, &wrong, &json!({"id": 1})).is_err(), "the check itself can fail");
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            references.extend(object.get("$ref").and_then(|reference| Some(reference.as_str()?.to_owned())));
            object.values().for_each(|value| collect(value, references));
        }
        Value::Array(array) => array.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

/// As much of JSON Schema as the document uses.
fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fits(document, document.pointer(&reference[1..]).unwrap(), value);
    }
    let sort = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::Array(sorts) => sorts.iter().any(|allowed| allowed == sort),
        allowed => allowed == sort,
    };
    if !allowed {
        return Err(format!("{value} is {sort} and not {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    for needed in schema["required"].as_array().into_iter().flatten() {
        value.get(needed.as_str().unwrap()).ok_or(format!("{needed} is missing"))?;
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => fits(document, schema, value)?,
            (None, Value::Bool(true)) => {}
            (None, schema @ Value::Object(_)) => fits(document, schema, value)?,
            (None, _) => return Err(format!("nobody said anything of {name}")),
        }
    }
    value.as_array().into_iter().flatten().try_for_each(|value| fits(document, &schema["items"], value))
}
