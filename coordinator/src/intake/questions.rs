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
    sync::{Semaphore, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::line::Line;

/// How long nodes may take: a person waits.
const PATIENCE: Duration = Duration::from_secs(5);
/// Nodes that are asked at once.
const ASKED: usize = 3;
/// Questions under way at once, to any node.
const AT_ONCE: usize = 256;
/// Of them, to any one node, such whose answers are only shown: who looks shall not crowd out who orders.
const SHOWN: usize = 4;

/// Who waits for what which node says.
type Waiting = BTreeMap<u64, (NodeId, oneshot::Sender<Reply>)>;

/// Questions under way.
#[derive(Debug)]
pub(super) struct Questions {
    waiting: Mutex<Waiting>,
    numbers: AtomicU64,
    /// A permit for each that is asked for what is only shown.
    shown: Semaphore,
}

impl Default for Questions {
    fn default() -> Self {
        Self { waiting: Mutex::default(), numbers: AtomicU64::default(), shown: Semaphore::new(SHOWN) }
    }
}

impl Questions {
    /// What nodes say, as many as are asked at once: no single one is believed where others say otherwise. Who cannot be
    /// asked, or says nothing in time, is left out.
    pub(super) async fn ask(&self, lines: Vec<Arc<Line>>, question: &Question) -> Vec<(NodeId, Reply)> {
        if !matches!(question, Question::Block(_)) {
            return self.ask_now(lines, question).await;
        }
        match timeout(PATIENCE, self.shown.acquire()).await {
            Ok(_turn) => self.ask_now(lines, question).await,
            Err(_) => Vec::new(),
        }
    }

    async fn ask_now(&self, lines: Vec<Arc<Line>>, question: &Question) -> Vec<(NodeId, Reply)> {
        let (mut asked, mut numbers) = (JoinSet::new(), Vec::new());
        for line in lines.into_iter().filter(|line| line.answers()) {
            let Some((number, reply)) = self.expect(line.id) else { break };
            numbers.push(number);
            if !line.pass(Answer::Question(number, question.clone())) {
                continue;
            }
            asked.spawn(async move { Some((line.id, timeout(PATIENCE, reply).await.ok()?.ok()?)) });
            if asked.len() >= ASKED {
                break;
            }
        }
        let mut said = Vec::new();
        while let Some(reply) = asked.join_next().await {
            said.extend(reply.ok().flatten());
        }
        self.waiting().retain(|number, _| !numbers.contains(number));
        said
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
    use super::{super::line::Lines, *};

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
            assert_eq!(asked.await.unwrap(), [(line.id, Reply::Block(None))]);
        }
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
