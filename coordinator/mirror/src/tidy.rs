//! Old rows are removed from our own lists.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, value::RawValue};

use crate::{
    change::children,
    database::{Database, Request},
    item::{Cluster, List, first_key_of},
    sender::write,
    trouble::Trouble,
};

/// Rows that are removed at a time: they have to be read to be found, for what the database can show without the rows
/// (`shallow`) goes with no query.
pub const TIDIED: usize = 100;

/// Where keys of our shape begin. Others, which sort before it (whole numbers do), could fill every answer for ever.
const FIRST: &str = "000000000000000-";

/// So much is read to find them.
const ROWS_BYTES: usize = 8 << 20;

pub(crate) async fn tidy(
    database: &Database,
    cluster: &Cluster,
    list: List,
    before: u64,
    now: Duration,
) -> Result<usize, Trouble> {
    let mut rows = TIDIED;
    let keys = loop {
        match oldest(database, cluster, list, before, rows, now).await {
            // Large rows: fewer at a time.
            Err(Trouble::TooLong { .. }) if rows > 1 => rows /= 10,
            other => break other?,
        }
    };
    let removed: Map<String, Value> = keys.into_iter().map(|key| (key, Value::Null)).collect();
    if !removed.is_empty() {
        let mut path = cluster.path();
        path.push(list.key());
        let body = Value::Object(removed.clone()).to_string().into();
        write(database, path, body, now).await?;
    }
    Ok(removed.len())
}

async fn oldest(
    database: &Database,
    cluster: &Cluster,
    list: List,
    before: u64,
    rows: usize,
    now: Duration,
) -> Result<Vec<String>, Trouble> {
    let bound = first_key_of(before);
    let mut path = cluster.path();
    path.push(list.key());
    let mut request = Request::new(Method::GET, path);
    request.query.push(("orderBy", "\"$key\"".to_owned()));
    request.query.push(("startAt", Value::from(FIRST).to_string()));
    request.query.push(("endAt", Value::from(bound.as_str()).to_string()));
    request.query.push(("limitToFirst", rows.to_string()));
    let (_, body) = database.ask(&request, ROWS_BYTES, now).await?;
    let odd = || Trouble::Nonsense("a list is no list".to_owned());
    let raw: Box<RawValue> = serde_json::from_slice(&body).map_err(|_| odd())?;
    let rows = children(&raw)?.ok_or_else(odd)?;
    // Whatever the server says, nothing younger is removed, and nothing elsewhere.
    let old = rows.into_iter().map(|(key, _)| key);
    Ok(old.filter(|key| key.as_str() < bound.as_str() && !key.is_empty() && !key.contains('/')).collect())
}
