//! Queries: an order, bounds, a limit (firebase.google.com/docs/database/rest/retrieve-data).

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::{Map, Value};

use crate::tree;

/// What may be asked for; none means everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Query {
    order: Option<Order>,
    from: Option<Value>,
    to: Option<Value>,
    first: Option<usize>,
    last: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Order {
    Key,
    Value,
    Child(String),
}

impl Query {
    /// The query of these parameters; `indexes` are the children that the rules have an index on.
    pub(crate) fn read(
        parameters: &BTreeMap<String, String>,
        indexes: &[String],
        path: &str,
    ) -> Result<Self, String> {
        let json = |name: &str| parameters.get(name).map(|text| serde_json::from_str::<Value>(text));
        let number = |name: &str| {
            parameters.get(name).map(|text| text.parse().map_err(|_| format!("{name} must be positive")))
        };
        let value = |name: &str| json(name).transpose().map_err(|_| format!("{name} must be valid JSON"));
        let equal = value("equalTo")?;
        let query = Self {
            order: order(json("orderBy"))?,
            from: value("startAt")?.or_else(|| equal.clone()),
            to: value("endAt")?.or(equal),
            first: number("limitToFirst").transpose()?,
            last: number("limitToLast").transpose()?,
        };
        match &query.order {
            None if query != Self::default() => {
                Err("orderBy must be defined when other query parameters are defined".into())
            }
            Some(Order::Child(child)) if !indexes.contains(child) => Err(format!(
                "Index not defined, add \".indexOn\": \"{child}\", for path \"/{path}\", to the rules"
            )),
            _ if query.first.is_some() && query.last.is_some() => {
                Err("only one of limitToFirst and limitToLast may be set".into())
            }
            _ => Ok(query),
        }
    }

    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The children that are asked for.
    pub(crate) fn apply(&self, value: &Value) -> Value {
        let (Some(order), Value::Object(map)) = (&self.order, value) else { return value.clone() };
        let mut rows: Vec<(Value, &String, &Value)> =
            map.iter().map(|(key, value)| (order.of(key, value), key, value)).collect();
        rows.retain(|(at, _, _)| {
            let compare = |bound: &Value| order.compare(at, bound);
            self.from.as_ref().is_none_or(|from| compare(from) != Ordering::Less)
                && self.to.as_ref().is_none_or(|to| compare(to) != Ordering::Greater)
        });
        rows.sort_by(|a, b| order.compare(&a.0, &b.0).then_with(|| a.1.cmp(b.1)));
        let first = self.first.unwrap_or(usize::MAX).min(rows.len());
        let skipped = rows.len() - self.last.unwrap_or(usize::MAX).min(rows.len());
        let kept: Map<String, Value> = rows[skipped..first.max(skipped)]
            .iter()
            .map(|(_, key, value)| ((*key).clone(), (*value).clone()))
            .collect();
        if kept.is_empty() { Value::Null } else { Value::Object(kept) }
    }
}

fn order(given: Option<serde_json::Result<Value>>) -> Result<Option<Order>, String> {
    match given {
        None => Ok(None),
        Some(Ok(Value::String(name))) => Ok(Some(match name.as_str() {
            "$key" => Order::Key,
            "$value" => Order::Value,
            _ => Order::Child(name),
        })),
        Some(_) => Err("orderBy must be a valid JSON encoded path".into()),
    }
}

impl Order {
    fn of(&self, key: &str, value: &Value) -> Value {
        match self {
            Self::Key => Value::from(key),
            Self::Value => value.clone(),
            Self::Child(child) => tree::get(value, &tree::path(child)),
        }
    }

    /// Null, false, true, numbers, strings, objects; keys that are numbers before those that are words.
    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        if let (Self::Key, Value::String(a), Value::String(b)) = (self, a, b) {
            return match (a.parse::<i32>(), b.parse::<i32>()) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                _ => a.cmp(b),
            };
        }
        rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
            }
            (Value::String(a), Value::String(b)) => a.cmp(b),
            _ => Ordering::Equal,
        })
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) | Value::Object(_) => 5,
    }
}
