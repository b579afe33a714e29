//! One node's stream: its opening, then what it tells.

use std::{sync::Arc, time::Duration};

use smartfw_core::fleet::Version;
use smartfw_history::{Count, Event};
use smartfw_identity::tls::PeerInfo;
use smartfw_proto::{
    convert::{Answer, Opening, Report},
    wire::NodeReport,
};
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use super::{
    Intake, PROTOCOL, ROOM_UNIT, ROOMS,
    appender::Batch,
    line::{Line, Outbound, Spoken, speak},
    numbers::Numbers,
};
use crate::{
    clock,
    health::{Level, Matter},
};

/// How long a node may take to say the first word.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// The first pause after the history failed to say what is kept, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Bytes of an event beside its body, about.
const AROUND: usize = 256;

/// Serves a stream until it ends, and says why where that is not in order.
pub(super) async fn serve(
    intake: Arc<Intake>,
    peer: PeerInfo,
    inbound: Streaming<NodeReport>,
    (line, spoken): (Arc<Line>, Spoken),
    to: Outbound,
) {
    let mut stream = Stream { intake: &intake, peer: &peer, inbound, line: &line, to: &to };
    let ended = tokio::select! {
        ended = stream.run(spoken) => ended,
        why = line.ended() => Err(why),
        () = to.closed() => Ok(()),
    };
    intake.lines.leave(&line, || intake.view.closed(&line.id, clock::now()));
    let why = ended.err().unwrap_or_else(|| Status::ok(""));
    if !matches!(why.code(), tonic::Code::Ok | tonic::Code::Cancelled | tonic::Code::Unknown) {
        tracing::info!(node = %peer.peer.member.name, why = why.message(), "a node's stream ended");
    }
    line.end(why);
}

struct Stream<'a> {
    intake: &'a Arc<Intake>,
    peer: &'a PeerInfo,
    inbound: Streaming<NodeReport>,
    line: &'a Arc<Line>,
    to: &'a Outbound,
}

impl Stream<'_> {
    async fn run(&mut self, spoken: Spoken) -> Result<(), Status> {
        // Until it is opened nobody else speaks on it; from then on only the speaker does.
        let opened = self.open().await;
        if let Err(why) = &opened {
            let _ = self.to.try_send(Err(why.clone()));
        }
        let mut numbers = opened?;
        tokio::spawn(speak(spoken, self.to.clone()));
        while let Some(message) = self.inbound.message().await? {
            self.hear(Report::try_from(message)?, &mut numbers).await?;
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<Numbers, Status> {
        let silent = |_| Status::deadline_exceeded("no opening came");
        let first = timeout(FIRST_WORD, self.inbound.message()).await.map_err(silent)??;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended before its opening"))?;
        let Report::Opening(opening) = Report::try_from(first)? else {
            return Err(Status::invalid_argument("a stream begins with an opening"));
        };
        let protocol = spoken_by_both(&opening)?;
        self.line.agree(protocol);
        self.enter(&opening)?;
        let kept = self.kept().await;
        let said = kept.map(|Count { epoch, sequence }| Version { epoch, sequence });
        let answer = Answer::Opening(protocol, said).into();
        self.to.send(Ok(answer)).await.map_err(|_| Status::cancelled("the node is gone"))?;
        Ok(Numbers::new(&opening, kept))
    }

    /// From now on this is the node's stream.
    fn enter(&self, opening: &Opening) -> Result<(), Status> {
        let Intake { lines, view, health, .. } = &**self.intake;
        let (member, from) = (&self.peer.peer.member, self.peer.address);
        lines.enter(self.line, || view.opened(member, from, opening, clock::now())).map_err(|full| {
            let remedy = "give some of the nodes a cluster and a coordinator of their own";
            health.set(Matter::Nodes, Level::Error, full.to_string(), remedy);
            Status::resource_exhausted(full.to_string())
        })
    }

    /// What is kept of the node; it waits while the history does not say.
    async fn kept(&self) -> Option<Count> {
        let Intake { lasts, history, health, .. } = &**self.intake;
        let (mut pause, mut failed) = (PAUSES.0, false);
        loop {
            if let Some(known) = lasts.get(&self.line.id) {
                return Some(known);
            }
            match history.last(self.line.id).await {
                Ok(last) => {
                    if failed {
                        health.clear(Matter::History);
                    }
                    last.into_iter().for_each(|last| lasts.raise(self.line.id, last));
                    return last;
                }
                Err(why) => {
                    failed = true;
                    let what = format!("nodes cannot be told what is kept of them: {why}");
                    health.set(Matter::History, Level::Error, what, "see to Redis; it is tried again");
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn hear(&self, report: Report, numbers: &mut Numbers) -> Result<(), Status> {
        let Intake { view, health, orders, questions, .. } = &**self.intake;
        let id = self.line.id;
        let all = matches!(report, Report::Blocks(_, true));
        match report {
            Report::Opening(_) => return Err(Status::invalid_argument("a stream has one opening")),
            Report::Events(events) => self.events(events, numbers).await?,
            Report::Statistics(statistics) => view.counted(&id, statistics),
            Report::Status(status) => view.said(&id, *status),
            Report::Blocks(blocks, complete) => {
                if let Err(why) = view.listed(id, self.line.number, (blocks, complete)) {
                    super::crowded(health, why);
                }
            }
            Report::Outcome { id: order, refused } => orders.outcome(&id, order, refused),
            Report::Reply(number, reply) => questions.reply(&id, number, reply),
            Report::Allowed(entries, complete) => {
                if let Err(why) = view.allowing(id, self.line.number, (entries, complete)) {
                    super::allowing(health, why);
                }
            }
        }
        // Only now: whoever is told that the list is complete finds all of it.
        view.heard_of(&id, clock::now(), all);
        Ok(())
    }

    /// Hands events over to whom writes them; where the room for them is taken, the stream is not read meanwhile.
    async fn events(&self, events: Vec<smartfw_core::Event>, numbers: &mut Numbers) -> Result<(), Status> {
        if events.is_empty() {
            return Ok(());
        }
        let missed = numbers.take(&events)?;
        let upto = numbers.last();
        let (name, id) = (self.peer.peer.member.name.name.as_str(), self.line.id);
        let events = events.into_iter().map(|event| placed(name, id, upto.epoch, event));
        let events: Vec<Event> = events.collect::<Result<_, _>>()?;
        let ending = |_| Status::unavailable("the coordinator is ending");
        let turn = self.line.turns.clone().acquire_owned().await.map_err(ending)?;
        let room = self.intake.room.clone().acquire_many_owned(weight(&events)).await.map_err(ending)?;
        let batch = Batch { line: self.line.clone(), events, upto, missed, room: (room, turn) };
        self.intake.batches.send(batch).await.map_err(|_| Status::unavailable("the coordinator is ending"))
    }
}

/// The highest protocol that both speak.
fn spoken_by_both(opening: &Opening) -> Result<u32, Status> {
    let ((from, to), (lowest, highest)) = (opening.protocol, PROTOCOL);
    let protocol = to.min(highest);
    if protocol < from.max(lowest) {
        return Err(Status::failed_precondition(format!(
            "it speaks protocols {from} to {to}, and this coordinator {lowest} to {highest}: update the older of both"
        )));
    }
    Ok(protocol)
}

/// The event as it is kept: whose it is, the certificate says.
fn placed(
    name: &str,
    id: smartfw_core::fleet::NodeId,
    epoch: u64,
    event: smartfw_core::Event,
) -> Result<Event, Status> {
    let smartfw_core::Event { sequence, time, kind, address, class, body } = event;
    let kind = kind.as_str().parse().map_err(|_| Status::internal("a kind of event that is not kept"))?;
    let event = Event { node: name.to_owned(), id, epoch, sequence, time, kind, address, class, body };
    match event.check() {
        Ok(()) => Ok(event),
        Err(why) => Err(Status::invalid_argument(format!("event {sequence}: {why}"))),
    }
}

/// What events take of the room for all.
fn weight(events: &[Event]) -> u32 {
    let bytes: usize = events.iter().map(|event| event.body.len() + AROUND).sum();
    // A message is far smaller than the room.
    u32::try_from(bytes.div_ceil(ROOM_UNIT)).unwrap_or(ROOMS).clamp(1, ROOMS)
}
