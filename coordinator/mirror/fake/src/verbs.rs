//! GET, PUT, POST, PATCH, DELETE.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::{
    http::{Method, StatusCode, header::ETAG},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use crate::{
    Shared,
    listeners::Written,
    query::Query,
    server::{Asked, refuse},
    tree::{self, Path},
};

pub(crate) fn answer(shared: &mut Shared, asked: &Asked) -> Response {
    if asked.method == Method::GET {
        return read(shared, asked);
    }
    if let Some(refused) = refused(shared, asked) {
        return refused;
    }
    let value = if asked.method == Method::DELETE {
        Value::Null
    } else {
        match serde_json::from_slice(&asked.body) {
            Ok(value) => value,
            Err(_) => {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    "Invalid data; couldn't parse JSON object, array, or value.",
                );
            }
        }
    };
    if asked.method != Method::PATCH
        && let Some(why) = tree::refusal(&value, asked.path.len())
    {
        return refuse(StatusCode::BAD_REQUEST, &why);
    }
    write(shared, asked, value)
}

fn refused(shared: &Shared, asked: &Asked) -> Option<Response> {
    let before = tree::get(&shared.root, &asked.path);
    let wanted = asked.headers.get("if-match").and_then(|wanted| wanted.to_str().ok());
    let poisoned =
        shared.poison.as_ref().is_some_and(|poison| String::from_utf8_lossy(&asked.body).contains(poison));
    if wanted.is_some() && !matches!(asked.method, Method::PUT | Method::DELETE) {
        return Some(refuse(StatusCode::BAD_REQUEST, "ETag is not supported with this method."));
    }
    if wanted.is_some_and(|wanted| wanted != tree::etag(&before)) {
        let etag = [(ETAG, tree::etag(&before))];
        return Some((StatusCode::PRECONDITION_FAILED, etag, before.to_string()).into_response());
    }
    if asked.body.len() > shared.most_bytes {
        return Some(refuse(StatusCode::PAYLOAD_TOO_LARGE, "The data requested exceeds the maximum size."));
    }
    if !asked.path.iter().all(|key| tree::is_key(key)) || poisoned {
        return Some(refuse(StatusCode::BAD_REQUEST, "Invalid path: Invalid token in path"));
    }
    None
}

fn write(shared: &mut Shared, asked: &Asked, value: Value) -> Response {
    let said = match asked.method {
        Method::POST => {
            let name = shared.push.next(now());
            put(shared, &[asked.path.as_slice(), std::slice::from_ref(&name)].concat(), value);
            json!({"name": name})
        }
        Method::PATCH => match patch(shared, &asked.path, &value) {
            Ok(()) => value,
            Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
        },
        _ => {
            put(shared, &asked.path, value);
            tree::get(&shared.root, &asked.path)
        }
    };
    said_as_asked(shared, asked, &said)
}

fn read(shared: &Shared, asked: &Asked) -> Response {
    let query = match Query::read(&asked.parameters, &shared.indexes, &asked.path.join("/")) {
        Ok(query) => query,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, &why),
    };
    let value = query.apply(&tree::get(&shared.root, &asked.path));
    if asked.parameters.get("shallow").map(String::as_str) != Some("true") {
        return said_as_asked(shared, asked, &value);
    }
    if !query.is_all() {
        return refuse(StatusCode::BAD_REQUEST, "Mixing 'shallow' and querying parameters is not supported");
    }
    let shallow = match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, _)| (key, json!(true))).collect::<Map<_, _>>())
        }
        value => value,
    };
    said_as_asked(shared, asked, &shallow)
}

fn said_as_asked(shared: &Shared, asked: &Asked, said: &Value) -> Response {
    let mut answer = match asked.parameters.get("print").map(String::as_str) {
        Some("silent") => StatusCode::NO_CONTENT.into_response(),
        Some("pretty") => serde_json::to_string_pretty(said).unwrap().into_response(),
        _ => said.to_string().into_response(),
    };
    if asked.headers.get("x-firebase-etag").is_some_and(|wanted| wanted == "true") {
        let etag = tree::etag(&tree::get(&shared.root, &asked.path));
        answer.headers_mut().insert(ETAG, etag.parse().unwrap());
    }
    answer
}

/// Puts a value and tells who listens.
pub(crate) fn put(shared: &mut Shared, path: &Path, value: Value) {
    let Shared { root, listeners, .. } = shared;
    let value = tree::with_server_values(value, &tree::get(root, path), now());
    tree::set(root, path, value);
    listeners.written(root, &Written::Put(path));
}

/// Every name in the object is a path; all are written, or none.
fn patch(shared: &mut Shared, path: &Path, value: &Value) -> Result<(), String> {
    let Value::Object(map) = value else { return Err("Invalid data; couldn't parse JSON object.".into()) };
    let children: Vec<(Path, Value)> =
        map.iter().map(|(key, value)| (tree::path(key), value.clone())).collect();
    for (child, value) in &children {
        if child.is_empty() || !child.iter().all(|key| tree::is_key(key)) {
            return Err("Invalid data; couldn't parse key.".into());
        }
        tree::refusal(value, path.len() + child.len()).map_or(Ok(()), Err)?;
    }
    let Shared { root, listeners, written, .. } = shared;
    for (child, value) in &children {
        let whole = [path.as_slice(), child].concat();
        let value = tree::with_server_values(value.clone(), &tree::get(root, &whole), now());
        tree::set(root, &whole, value);
        written.push(whole.join("/"));
    }
    listeners.written(root, &Written::Patch(path, &children));
    Ok(())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}
