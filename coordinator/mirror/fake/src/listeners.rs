//! Streams: who listens where, and what they are told.

use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    query::Query,
    tree::{self, Path},
};

/// A piece of a stream; an error cuts the connection.
pub(crate) type Piece = Result<String, std::io::Error>;

#[derive(Debug)]
struct Listener {
    at: Path,
    query: Query,
    view: Value,
    to: UnboundedSender<Piece>,
}

/// Everybody who listens.
#[derive(Debug, Default)]
pub struct Listeners(Vec<Listener>);

/// What was written.
pub(crate) enum Written<'a> {
    /// The value at this path.
    Put(&'a Path),
    /// Children of this path, which may be deep.
    Patch(&'a Path, &'a [(Path, Value)]),
}

impl Listeners {
    /// One more; it hears everything at once, then what changes.
    pub(crate) fn add(&mut self, root: &Value, at: Path, query: Query, to: UnboundedSender<Piece>) {
        let view = query.apply(&tree::get(root, &at));
        let listener = Listener { at, query, view, to };
        listener.tell("put", "/", &listener.view);
        self.0.push(listener);
    }

    /// Tells all whom a write concerns.
    pub(crate) fn written(&mut self, root: &Value, written: &Written<'_>) {
        self.0.retain(|listener| !listener.to.is_closed());
        for listener in &mut self.0 {
            listener.written(root, written);
        }
    }

    /// Sends these bytes to everybody.
    pub fn say(&self, text: &str) {
        self.0.iter().for_each(|listener| drop(listener.to.send(Ok(text.to_owned()))));
    }

    /// Cuts all connections.
    pub fn cut(&mut self) {
        for listener in self.0.drain(..) {
            let _ = listener.to.send(Err(std::io::Error::other("cut")));
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().filter(|listener| !listener.to.is_closed()).count()
    }
}

impl Listener {
    fn tell(&self, event: &str, path: &str, data: &Value) {
        let _ =
            self.to.send(Ok(format!("event: {event}\ndata: {}\n\n", json!({"path": path, "data": data}))));
    }

    fn written(&mut self, root: &Value, written: &Written<'_>) {
        let now = self.query.apply(&tree::get(root, &self.at));
        if now == self.view {
            return;
        }
        let before = std::mem::replace(&mut self.view, now);
        if !self.query.is_all() {
            return self.tell_children(&before);
        }
        match written {
            Written::Put(path) => self.tell_put(root, path),
            Written::Patch(path, children) if path.starts_with(&self.at) => {
                let data = children.iter().map(|(child, value)| (child.join("/"), value.clone())).collect();
                self.tell("patch", &relative(&path[self.at.len()..]), &Value::Object(data));
            }
            Written::Patch(path, children) => {
                for (child, _) in *children {
                    self.tell_put(root, &[path.as_slice(), child].concat());
                }
            }
        }
    }

    fn tell_put(&self, root: &Value, path: &[String]) {
        if path.starts_with(&self.at) {
            self.tell("put", &relative(&path[self.at.len()..]), &tree::get(root, path));
        } else if self.at.starts_with(path) {
            self.tell("put", "/", &self.view);
        }
    }

    /// A query is told of each child that came into its window, changed, or left it.
    fn tell_children(&self, before: &Value) {
        let none = serde_json::Map::new();
        let (old, new) = (before.as_object().unwrap_or(&none), self.view.as_object().unwrap_or(&none));
        for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(value)) {
            self.tell("put", &format!("/{key}"), value);
        }
        for key in old.keys().filter(|key| !new.contains_key(*key)) {
            self.tell("put", &format!("/{key}"), &Value::Null);
        }
    }
}

fn relative(path: &[String]) -> String {
    format!("/{}", path.join("/"))
}
