//! Events as they happen, over a WebSocket. A client that falls behind is told so and dropped: the events are in the
//! history, and nobody waits for it.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{
        FromRequestParts as _,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::StatusCode,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast, broadcast::error::RecvError},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    Event, Live,
    api::Inner,
    auth::Via,
    call::{Answered, Call},
    dispatch::own_origin,
    problem::Problem,
    query::Query,
};

/// Clients at once.
pub(crate) const CLIENTS: usize = 128;
/// Between two pings; a client that has not answered the last one is gone.
const PING: Duration = Duration::from_secs(20);
/// How long a client may leave an event unread or a good-bye unanswered, before its
/// connection is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest message that a client may send: it has nothing to say.
const MOST_SAID: usize = 1 << 10;

/// The clients' places.
pub(crate) struct Seats(Arc<Semaphore>);

impl Default for Seats {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(CLIENTS)))
    }
}

/// Which events a client wants; none: all.
#[derive(Debug, Default)]
struct Filter {
    kinds: Option<Vec<String>>,
    classes: Option<Vec<String>>,
    nodes: Option<Vec<String>>,
}

struct Client {
    api: Arc<Inner>,
    via: Via,
    filter: Filter,
    events: broadcast::Receiver<Arc<Live>>,
    _seat: OwnedSemaphorePermit,
}

pub(crate) async fn live(call: Call) -> Answered {
    // A browser sends the cookie to us from any page, and asks nobody before it opens a WebSocket.
    if call.session().is_some() && own_origin(&call.parts) != Some(true) {
        return Err(Problem::forbidden("it comes from another site's page", "use the coordinator's own"));
    }
    let seat = call.api.seats.0.clone().try_acquire_owned();
    let seat = seat.map_err(|_| Problem::busy("as many follow the events as may", 30))?;
    let (filter, via) = (Filter::of(&call.query), call.principal()?.via.clone());
    let Call { api, mut parts, .. } = call;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|error| {
        let remedy = "open it as a WebSocket, or GET /api/v1/events";
        Problem::new(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket", error.to_string(), remedy)
    })?;
    let client = Client { events: api.fleet.subscribe(), api, via, filter, _seat: seat };
    Ok(upgrade.max_message_size(MOST_SAID).on_upgrade(|socket| client.follow(socket)))
}

impl Client {
    async fn follow(mut self, mut socket: WebSocket) {
        let mut pings = interval(PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unanswered = false;
        loop {
            let kept = tokio::select! {
                heard = self.events.recv() => match heard.as_deref() {
                    Ok(Live::Event(event)) if !self.filter.wants(event) => true,
                    Ok(Live::Event(event)) => send(&mut socket, Message::Text(event.body.get().into())).await,
                    Ok(Live::Missed(missed)) => {
                        let why = format!("too fast: {missed} events were missed; open it again");
                        return part(socket, close_code::AGAIN, &why).await;
                    }
                    Err(RecvError::Lagged(missed)) => {
                        let why = format!("too slow: {missed} events were missed; open it again");
                        return part(socket, close_code::AGAIN, &why).await;
                    }
                    Err(RecvError::Closed) => return part(socket, close_code::AWAY, "the coordinator stops").await,
                },
                _ = pings.tick() => {
                    if !self.may_still() {
                        return part(socket, close_code::POLICY, "the session or the token has ended").await;
                    }
                    let answered = !std::mem::replace(&mut unanswered, true);
                    answered && send(&mut socket, Message::Ping(Vec::new().into())).await
                }
                said = socket.recv() => match said {
                    Some(Ok(Message::Pong(_) | Message::Ping(_))) => {
                        unanswered = false;
                        true
                    }
                    Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                        return part(socket, close_code::UNSUPPORTED, "there is nothing to say here").await;
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => false,
                },
            };
            if !kept {
                return;
            }
        }
    }

    /// Whoever is logged out, revoked or removed sees no more.
    fn may_still(&self) -> bool {
        let now = self.api.clock.now();
        match &self.via {
            Via::Session(id) => self.api.sessions.holds(now, id),
            Via::Token(id) => self.api.accounts.token_holds(now, id),
        }
    }
}

impl Filter {
    fn of(query: &Query) -> Self {
        let words = |name| Some(query.words(name)?.into_iter().map(str::to_owned).collect());
        Self { kinds: words("kind"), classes: words("class"), nodes: words("node") }
    }

    fn wants(&self, event: &Event) -> bool {
        let among = |wanted: &Option<Vec<String>>, is: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| is.is_some_and(|is| wanted.contains(is)))
        };
        among(&self.kinds, Some(&event.kind))
            && among(&self.classes, event.class.as_ref())
            && among(&self.nodes, Some(&event.node))
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

/// Says why, and waits a little for the client to hear it.
async fn part(mut socket: WebSocket, code: u16, why: &str) {
    let frame = CloseFrame { code, reason: why.into() };
    let heard = async {
        socket.send(Message::Close(Some(frame))).await.ok();
        while let Some(Ok(_)) = socket.recv().await {}
    };
    let _ = timeout(PATIENCE, heard).await;
}
