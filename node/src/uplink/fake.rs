//! A coordinator for tests, over mutual TLS on the loopback interface: as honest or as hostile as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use smartfw_core::{
    Block, Event,
    fleet::{NodeId, SignedOrder, Version},
};
use smartfw_identity::{
    Current, Identity, Revocations, Roles,
    tls::{Accepted, Listening, Net, PeerInfo},
};
use smartfw_proto::{
    convert::{Allowance, Answer, Opening, Question, Reply, Report, Statistics},
    view::NodeStatus,
    wire::{
        CoordinatorAnswer, NodeReport,
        coordination_server::{Coordination, CoordinationServer},
    },
};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// How it behaves.
#[derive(Clone, Default)]
pub(crate) struct Mood {
    /// What it claims to have, whatever it has.
    pub(crate) claims: Option<Version>,
    /// It never says what it has kept.
    pub(crate) silent: bool,
    /// It takes so long to answer.
    pub(crate) late: Duration,
    /// It drops so many of its first streams, each with its second batch unanswered.
    pub(crate) drops: usize,
    /// It answers a batch with this instead.
    pub(crate) nonsense: Option<fn(Version) -> Answer>,
    /// What it passes on at once.
    pub(crate) orders: Vec<SignedOrder>,
    /// What it passes on when it has heard that the node says no more.
    pub(crate) parting: Vec<SignedOrder>,
    /// What it asks at once; without questions it speaks the first protocol alone.
    pub(crate) questions: Vec<Question>,
}

/// What it heard.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) mood: Mood,
    pub(crate) openings: Vec<Opening>,
    pub(crate) from: Vec<NodeId>,
    /// Every event of which it did not have the number, and the life of the last.
    pub(crate) events: Vec<Event>,
    epoch: u64,
    pub(crate) kept: Option<Version>,
    /// Batches that it has not answered, of the last stream.
    pub(crate) unanswered: usize,
    pub(crate) blocks: Vec<Block>,
    pub(crate) lists: usize,
    pub(crate) statuses: Vec<NodeStatus>,
    pub(crate) statistics: Vec<Statistics>,
    pub(crate) outcomes: Vec<([u8; 16], Option<String>)>,
    pub(crate) replies: Vec<(u64, Reply)>,
    /// Lists of what is allowed that were complete, each with how many messages it took.
    pub(crate) allowed: Vec<(Vec<Allowance>, usize)>,
    allowing: (Vec<Allowance>, usize),
    /// The way to the node, of the last stream.
    to: Option<mpsc::WeakSender<Result<CoordinatorAnswer, Status>>>,
}

impl Heard {
    fn answered(&mut self) {
        self.unanswered = self.unanswered.saturating_sub(1);
    }
}

/// The coordinator.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Heard>>, watch::Sender<()>);

impl Fake {
    /// One that behaves so.
    pub(crate) fn new(mood: Mood) -> Self {
        Self(Arc::new(Mutex::new(Heard { mood, ..Heard::default() })), watch::Sender::default())
    }

    /// Says something on the last stream.
    pub(crate) async fn say(&self, answer: Answer) {
        let to = self.heard().to.as_ref().and_then(mpsc::WeakSender::upgrade);
        to.unwrap().send(Ok(answer.into())).await.unwrap();
    }

    /// Ends every stream.
    pub(crate) fn hang_up(&self) {
        self.1.send_replace(());
    }

    /// Serves by this identity; where.
    pub(crate) async fn serve(&self, identity: &Identity) -> SocketAddr {
        let revocations = Arc::new(Revocations::in_memory(identity.trust().clone()));
        let net = Net::new(Current::new(identity.clone()), revocations);
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let accepted = net.listen(tcp, Listening { roles: Roles::ORIGINS, joiners: false });
        let Accepted { members, joiners, refusals, listener, .. } = accepted;
        let service = CoordinationServer::new(self.clone());
        tokio::spawn(async move {
            let _alive = (net, joiners, refusals, listener);
            tonic::transport::Server::builder().add_service(service).serve_with_incoming(members).await
        });
        address
    }

    /// What it heard.
    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap()
    }

    async fn converse(
        self,
        from: NodeId,
        mut inbound: Streaming<NodeReport>,
        to: mpsc::Sender<Result<CoordinatorAnswer, Status>>,
    ) -> Option<()> {
        let mut hung_up = self.1.subscribe();
        let mut next = async || {
            tokio::select! {
                message = inbound.message() => Some(Report::try_from(message.ok()??).unwrap()),
                _ = hung_up.changed() => None,
            }
        };
        let Report::Opening(opening) = next().await? else { panic!("the opening comes first") };
        let (epoch, mut batches) = (opening.epoch, 0);
        let (mood, number, kept) = {
            let mut heard = self.heard();
            heard.openings.push(opening);
            heard.from.push(from);
            heard.unanswered = 0;
            heard.to = Some(to.downgrade());
            (heard.mood.clone(), heard.openings.len(), heard.mood.claims.or(heard.kept))
        };
        let say = async |answer: Answer| to.send(Ok(answer.into())).await.ok();
        say(Answer::Opening(if mood.questions.is_empty() { 1 } else { 2 }, kept)).await?;
        for order in mood.orders {
            say(Answer::Order(order)).await?;
        }
        for (number, question) in (0..).zip(mood.questions) {
            say(Answer::Question(number, question)).await?;
        }
        loop {
            let Some(report) = next().await else {
                let parting = self.heard().mood.parting.clone();
                for order in parting {
                    say(Answer::Order(order)).await?;
                }
                return None;
            };
            let Some(upto) = self.hear(epoch, report) else { continue };
            batches += 1;
            if number <= mood.drops && batches == 2 {
                return None;
            }
            sleep(mood.late).await;
            if let Some(nonsense) = mood.nonsense {
                say(nonsense(upto)).await?;
            } else if !mood.silent {
                self.heard().answered();
                self.heard().kept = Some(upto);
                say(Answer::Kept(upto)).await?;
            }
        }
    }

    /// Up to where there are events now, where these were some.
    fn hear(&self, epoch: u64, report: Report) -> Option<Version> {
        let mut heard = self.heard();
        match report {
            Report::Events(events) => {
                let sequence = events.last().unwrap().sequence;
                let same = std::mem::replace(&mut heard.epoch, epoch) == epoch;
                let last = heard.events.last().filter(|_| same).map_or(0, |event| event.sequence);
                heard.events.extend(events.into_iter().filter(|event| event.sequence > last));
                heard.unanswered += 1;
                return Some(Version { epoch, sequence });
            }
            Report::Blocks(blocks, complete) => {
                heard.blocks.extend(blocks);
                heard.lists += usize::from(complete);
            }
            Report::Status(status) => heard.statuses.push(*status),
            Report::Statistics(statistics) => heard.statistics.push(statistics),
            Report::Outcome { id, refused } => heard.outcomes.push((id, refused)),
            Report::Reply(number, reply) => heard.replies.push((number, reply)),
            Report::Allowed(entries, complete) => {
                heard.allowing.0.extend(entries);
                heard.allowing.1 += 1;
                if complete {
                    let list = std::mem::take(&mut heard.allowing);
                    heard.allowed.push(list);
                }
            }
            Report::Opening(_) => panic!("it opened twice"),
        }
        None
    }
}

#[tonic::async_trait]
impl Coordination for Fake {
    type ReportStream = ReceiverStream<Result<CoordinatorAnswer, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<NodeReport>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let from = request.extensions().get::<PeerInfo>().unwrap().id();
        let (to, answers) = mpsc::channel(64);
        tokio::spawn(self.clone().converse(from, request.into_inner(), to));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}
