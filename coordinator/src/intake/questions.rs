//! What operators have to know before they sign is asked of nodes, until they say something.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use smartfw_core::fleet::NodeId;
use smartfw_proto::convert::{Answer, Question, Reply};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::line::Line;

/// How long nodes may take: a person waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nodes that are asked at once.
const ASKED: usize = 3;
/// Questions under way at once, to any node.
const AT_ONCE: usize = 256;
/// Of these those whose answers are only shown: whoever orders finds room.
const LOOKS: usize = AT_ONCE / 2;

/// Who waits for what which node says.
type Waiting = BTreeMap<u64, (NodeId, oneshot::Sender<Reply>)>;

/// Questions under way.
#[derive(Debug)]
pub(super) struct Questions {
    waiting: Mutex<Waiting>,
    numbers: AtomicU64,
    /// A permit for each whose answer is only shown.
    looks: Semaphore,
}

/// Held while a question is under way whose answer is only shown.
struct Look<'a> {
    _held: [SemaphorePermit<'a>; 3],
}

impl Default for Questions {
    fn default() -> Self {
        let (numbers, looks) = (AtomicU64::default(), Semaphore::new(LOOKS));
        Self { waiting: Mutex::default(), numbers, looks }
    }
}

impl Questions {
    /// What nodes say, as many as are asked at once: no single one is believed where others say otherwise. Who cannot be
    /// asked is left out; who is asked and says nothing in time has said `None`.
    pub(super) async fn ask(
        self: &Arc<Self>,
        lines: Vec<Arc<Line>>,
        question: &Question,
    ) -> Vec<(NodeId, Option<Reply>)> {
        let mut asked = JoinSet::new();
        for line in lines.into_iter().filter(|line| line.answers()).take(ASKED) {
            let (questions, question) = (self.clone(), question.clone());
            asked.spawn(async move { Some((line.id, questions.ask_one(&line, question).await?)) });
        }
        asked.join_all().await.into_iter().flatten().collect()
    }

    /// What one node says, if it can be asked.
    async fn ask_one(&self, line: &Line, question: Question) -> Option<Option<Reply>> {
        let until = Instant::now() + PATIENCE;
        let _look = match question {
            Question::Block(_) => Some(self.look(line, until).await?),
            Question::Covers(_) | Question::Check(..) => None,
        };
        let (number, reply) = self.expect(line.id)?;
        let passed = line.pass(Answer::Question(number, question));
        let said = if passed { timeout_at(until, reply).await.ok().and_then(Result::ok) } else { None };
        self.waiting().remove(&number);
        passed.then_some(said)
    }

    /// Those who only look wait for one another at each node: one that is silent holds up nobody who asks others, and
    /// whoever looks and goes leaves no more behind than may wait.
    async fn look<'a>(&'a self, line: &'a Line, until: Instant) -> Option<Look<'a>> {
        let looker = line.lookers.try_acquire().ok()?;
        let turn = timeout_at(until, line.looks.acquire()).await.ok()?.ok()?;
        let room = self.looks.try_acquire().ok()?;
        Some(Look { _held: [looker, turn, room] })
    }

    /// A node says something; to what it was not asked nobody listens.
    pub(super) fn reply(&self, node: &NodeId, number: u64, reply: Reply) {
        let mut waiting = self.waiting();
        if waiting.get(&number).is_some_and(|(asked, _)| asked == node)
            && let Some((_, told)) = waiting.remove(&number)
        {
            let _ = told.send(reply);
        }
    }

    fn expect(&self, node: NodeId) -> Option<(u64, oneshot::Receiver<Reply>)> {
        let (told, reply) = oneshot::channel();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.waiting();
        if waiting.len() >= AT_ONCE {
            return None;
        }
        waiting.insert(number, (node, told));
        Some((number, reply))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::line::{LOOKERS, Lines, SHOWN},
        *,
    };

    #[tokio::test]
    async fn who_looks_waits_for_others_who_look_and_leaves_room_for_who_orders() {
        let (questions, (line, mut spoken)) =
            (Arc::new(Questions::default()), Lines::default().begin(NodeId([1; 32])));
        line.agree(2);
        let target = "203.0.113.7/32".parse().unwrap();
        let ask = |question| {
            let (questions, line) = (questions.clone(), line.clone());
            tokio::spawn(async move { questions.ask(vec![line], &question).await })
        };
        let looking: Vec<_> = (0..=SHOWN).map(|_| ask(Question::Block(target))).collect();
        let mut asked = Vec::new();
        for _ in 0..SHOWN {
            asked.push(spoken.next_question().await.unwrap());
        }
        let ordering = ask(Question::Covers(target));
        asked.push(spoken.next_question().await.unwrap());
        assert!(matches!(asked[SHOWN], Answer::Question(_, Question::Covers(_))), "{asked:?}");
        for question in &asked {
            let Answer::Question(number, _) = question else { panic!("{question:?}") };
            questions.reply(&line.id, *number, Reply::Block(None));
        }
        let Some(Answer::Question(number, Question::Block(_))) = spoken.next_question().await else {
            panic!()
        };
        questions.reply(&line.id, number, Reply::Block(None));
        for asked in looking.into_iter().chain([ordering]) {
            assert_eq!(asked.await.unwrap(), [(line.id, Some(Reply::Block(None)))]);
        }
    }

    #[tokio::test]
    async fn who_looks_at_a_silent_node_holds_up_nobody_who_asks_another() {
        let (questions, open) = (Arc::new(Questions::default()), Lines::default());
        let ((silent, _kept), (other, mut spoken)) =
            (open.begin(NodeId([1; 32])), open.begin(NodeId([2; 32])));
        [&silent, &other].into_iter().for_each(|line| line.agree(2));
        let question = Question::Block("203.0.113.7/32".parse().unwrap());
        let ask = |lines: Vec<Arc<Line>>| {
            let (questions, question) = (questions.clone(), question.clone());
            tokio::spawn(async move { questions.ask(lines, &question).await })
        };
        let looking: Vec<_> = (0..SHOWN).map(|_| ask(vec![silent.clone()])).collect();
        while silent.looks.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let (one_more, begun) = (ask(vec![silent.clone()]), Instant::now());
        let asked = ask(vec![other.clone()]);
        let Some(Answer::Question(number, _)) = spoken.next_question().await else { panic!() };
        questions.reply(&other.id, number, Reply::Block(None));
        assert_eq!(asked.await.unwrap(), [(other.id, Some(Reply::Block(None)))]);
        assert!(begun.elapsed() < PATIENCE / 2);
        for asked in looking {
            assert_eq!(asked.await.unwrap(), [(silent.id, None)], "it was asked, and says nothing");
        }
        // Its turn came too late, or not at all.
        assert!(one_more.await.unwrap().iter().all(|(_, said)| said.is_none()));
        assert!(questions.waiting().is_empty());
    }

    #[tokio::test]
    async fn however_many_look_at_however_many_nodes_who_orders_finds_room() {
        let (questions, open) = (Arc::new(Questions::default()), Lines::default());
        let target = "203.0.113.7/32".parse().unwrap();
        let nodes: Vec<_> = (0..=AT_ONCE).map(|n| open.begin(node(n))).collect();
        nodes.iter().for_each(|(line, _)| line.agree(2));
        let mut looking = JoinSet::new();
        for (line, _) in nodes.iter().flat_map(|node| [node; SHOWN]) {
            let (questions, line) = (questions.clone(), line.clone());
            looking.spawn(async move { questions.ask(vec![line], &Question::Block(target)).await });
        }
        while questions.looks.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
        assert_eq!(questions.waiting().len(), LOOKS);
        let orders: Vec<_> = (0..AT_ONCE - LOOKS).map(|n| questions.expect(node(n))).collect();
        assert!(orders.iter().all(Option::is_some) && questions.expect(node(0)).is_none());
    }

    #[tokio::test]
    async fn no_more_wait_to_look_at_a_node_than_may() {
        let (questions, (line, _silent)) =
            (Arc::new(Questions::default()), Lines::default().begin(NodeId([1; 32])));
        line.agree(2);
        let question = Question::Block("203.0.113.7/32".parse().unwrap());
        let (begun, mut looking) = (Instant::now(), JoinSet::new());
        for _ in 0..LOOKERS + 100 {
            let (questions, line, question) = (questions.clone(), line.clone(), question.clone());
            looking.spawn(async move { questions.ask(vec![line], &question).await });
        }
        for _ in 0..100 {
            assert_eq!(looking.join_next().await.unwrap().unwrap(), [], "it is not asked");
        }
        assert!(begun.elapsed() < PATIENCE / 2);
        assert_eq!((line.lookers.available_permits(), questions.waiting().len()), (0, SHOWN));
    }

    fn node(n: usize) -> NodeId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_le_bytes());
        NodeId(id)
    }

    #[test]
    fn no_more_questions_are_under_way_than_may_be_and_only_who_was_asked_is_heard() {
        let (questions, asked, other) = (Questions::default(), NodeId([1; 32]), NodeId([2; 32]));
        let mut waiting: Vec<_> = (0..AT_ONCE).map(|_| questions.expect(asked).unwrap()).collect();
        assert!(questions.expect(asked).is_none());
        let (number, reply) = &mut waiting[7];
        questions.reply(&other, *number, Reply::Block(None));
        assert!(reply.try_recv().is_err());
        questions.reply(&asked, *number, Reply::Block(None));
        assert_eq!(reply.try_recv(), Ok(Reply::Block(None)));
        questions.reply(&asked, *number, Reply::Block(None));
        assert!(questions.expect(asked).is_some());
    }
}
