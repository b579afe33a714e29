//! Whether what we wrote is still what stands there.

use std::{collections::VecDeque, time::Duration};

use reqwest::{
    Method,
    header::{ETAG, HeaderName, HeaderValue},
};

use crate::{
    database::{Database, Request},
    item::{Cluster, ITEM_BYTES, List, first_key_of},
    outbox::Numbered,
    trouble::Trouble,
};

/// Items of which the last few batches are remembered.
pub const AUDITED: usize = 64;

/// Of one batch: many small requests must not push the others out.
const OF_A_BATCH: usize = 4;

const WANT_ETAG: HeaderName = HeaderName::from_static("x-firebase-etag");

/// Some items that were sent lately, and what the database called their contents when it was first asked. Items are
/// written once: a change of that ETag is not ours.
#[derive(Debug, Default)]
pub(crate) struct Audit(VecDeque<Sample>);

#[derive(Debug)]
struct Sample {
    path: String,
    etag: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    AsItWas,
    /// The path of what was changed or removed.
    Rewritten(String),
}

impl Audit {
    /// The database has taken these.
    pub(crate) fn sent(&mut self, batch: &[Numbered]) {
        let step = batch.len().div_ceil(OF_A_BATCH).max(1);
        let samples = batch.iter().step_by(step).map(|(_, item)| item.path().to_owned());
        self.0.extend(samples.map(|path| Sample { path, etag: None }));
        self.0.drain(..self.0.len().saturating_sub(AUDITED));
    }

    /// These are removed by ourselves: what is gone then says nothing.
    pub(crate) fn forget(&mut self, list: List, before: u64) {
        let bound = first_key_of(before);
        let goes = |path: &str| {
            path.split_once('/').is_some_and(|(of, key)| of == list.key() && key < bound.as_str())
        };
        self.0.retain(|sample| !goes(&sample.path));
    }

    /// Asks for one of them. What was rewritten is told once and not asked for again.
    pub(crate) async fn next(
        &mut self,
        database: &Database,
        cluster: &Cluster,
        now: Duration,
    ) -> Result<Found, Trouble> {
        let Some(Sample { path, etag: before }) = self.0.pop_front() else { return Ok(Found::AsItWas) };
        let asked = Self::ask(&path, database, cluster, now).await;
        let etag = match asked {
            Ok(etag) => etag,
            // We write nothing of that size.
            Err(Trouble::TooLong { .. }) => return Ok(Found::Rewritten(path)),
            Err(trouble) => {
                self.0.push_front(Sample { path, etag: before });
                return Err(trouble);
            }
        };
        if etag.is_none() || before.is_some() && before != etag {
            return Ok(Found::Rewritten(path));
        }
        self.0.push_back(Sample { path, etag });
        Ok(Found::AsItWas)
    }

    /// The ETag of what stands there; none if nothing does.
    async fn ask(
        path: &str,
        database: &Database,
        cluster: &Cluster,
        now: Duration,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let whole = cluster.path().into_iter().chain(path.split('/')).collect();
        let mut request = Request::new(Method::GET, whole);
        request.headers.insert(WANT_ETAG, HeaderValue::from_static("true"));
        let (headers, body) = database.ask(&request, 2 * ITEM_BYTES, now).await?;
        let etag =
            headers.get(ETAG).ok_or_else(|| Trouble::Nonsense("no ETag where one was asked for".into()))?;
        Ok((body.trim_ascii() != b"null").then(|| etag.as_bytes().to_owned()))
    }
}
