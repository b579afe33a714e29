//! What is asked: each time a range of time at a random place and one field, and how many rows the first page has.

use smartfw_core::Class;
use smartfw_history::Query;

use crate::events::{self, RARE_CLASSES, RARE_ENDS, RARE_NODES, Rare};

/// Rows that are asked for.
const ROWS: usize = 100;

/// A question and its answer's length.
pub(crate) struct Question {
    pub(crate) query: Query,
    pub(crate) rows: usize,
}

/// A kind of question.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    ask: fn(u64, &Range) -> Question,
}

/// Numbers of events, the first and the last.
struct Range {
    from: u64,
    to: u64,
}

/// Every kind. The text of a body is in no index: a page ends when enough was looked at.
pub(crate) const KINDS: [Kind; 14] = [
    Kind { name: "class, common", ask: |chance, range| full(of_class(range, events::class(chance))) },
    Kind { name: "class, rare", ask: |chance, range| some(range, RARE_CLASSES, chance, of_class) },
    Kind { name: "class, absent", ask: |_, range| none(of_class(range, Class::Manual)) },
    Kind { name: "source, common", ask: |chance, range| full(of_busy_source(range, chance)) },
    Kind { name: "source, rare", ask: |chance, range| some(range, RARE_ENDS, chance, of_source) },
    Kind { name: "source, absent", ask: |_, range| none(of_source(range, 99)) },
    Kind { name: "prefix, all", ask: |_, range| full(within(range, "0.0.0.0/0")) },
    Kind { name: "prefix, rare", ask: |_, range| seldom(range) },
    Kind { name: "prefix, absent", ask: |_, range| none(within(range, "241.0.0.0/8")) },
    Kind { name: "node, common", ask: |chance, range| full(of_node(range, events::busy_node(chance))) },
    Kind { name: "node, rare", ask: |chance, range| some(range, RARE_NODES, chance, of_node) },
    Kind { name: "node, absent", ask: |_, range| none(of_node(range, u64::MAX >> 8)) },
    Kind { name: "text, common", ask: |_, range| full(with_text(range, "handshake")) },
    Kind { name: "text, absent", ask: |_, range| none(with_text(range, "not written anywhere")) },
];

impl Kind {
    /// The question of this kind with this number, to a history of so many events.
    pub(crate) fn question(&self, number: u64, count: u64) -> Question {
        let length = [count / 24, count / 4, count][number as usize % 3];
        let from = events::mix(number ^ 0xabcd) % (count - length + 1);
        (self.ask)(events::mix(number), &Range { from, to: from + length - 1 })
    }
}

fn full(query: Query) -> Question {
    Question { query, rows: ROWS }
}

fn none(query: Query) -> Question {
    Question { query, rows: 0 }
}

/// One of the rare values.
fn some<T: Copy>(range: &Range, of: [(T, Rare); 2], chance: u64, ask: fn(&Range, T) -> Query) -> Question {
    let (value, rare) = of[chance as usize % 2];
    Question { query: ask(range, value), rows: ROWS.min(rare.within(range.from, range.to) as usize) }
}

/// The prefix in which the rare sources are.
fn seldom(range: &Range) -> Question {
    let there: u64 = RARE_ENDS.iter().map(|(_, rare)| rare.within(range.from, range.to)).sum();
    Question { query: within(range, "240.0.0.0/4"), rows: ROWS.min(there as usize) }
}

fn of_class(range: &Range, class: Class) -> Query {
    Query { class: Some(class), ..range.query() }
}

fn of_busy_source(range: &Range, chance: u64) -> Query {
    Query { address: Some(events::attacker(1 + chance as u32 % 10)), ..range.query() }
}

fn of_source(range: &Range, end: u8) -> Query {
    Query { address: Some(events::seldom(end)), ..range.query() }
}

fn within(range: &Range, prefix: &str) -> Query {
    Query { address: prefix.parse().ok(), ..range.query() }
}

fn of_node(range: &Range, node: u64) -> Query {
    Query { node: Some(events::node(node)), ..range.query() }
}

fn with_text(range: &Range, text: &str) -> Query {
    Query { text: Some(text.to_owned()), ..range.query() }
}

impl Range {
    fn query(&self) -> Query {
        Query { from: events::time(self.from), to: events::time(self.to), limit: ROWS, ..Query::default() }
    }
}
