//! What every history promises, whatever keeps it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cases;
mod events;
mod killed;
mod on_disk;
mod on_redis;

use on_disk::OnDisk;
use on_redis::InRedis;
use smartfw_history::History;

/// Runs each case on each kind of history.
macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test] async fn $case() { super::on::<super::OnDisk<65_536>>(super::cases::$case).await; })+
        }
        mod embedded_in_small_segments {
            $(#[tokio::test] async fn $case() { super::on::<super::OnDisk<100>>(super::cases::$case).await; })+
        }
        mod redis {
            $(#[tokio::test] async fn $case() { super::on::<super::InRedis>(super::cases::$case).await; })+
        }
    };
}

cases! {
    what_is_appended_is_found_newest_first,
    what_is_appended_twice_is_kept_once,
    what_was_acknowledged_is_there_when_opened_again,
    every_question_is_answered_as_by_looking_at_every_event,
    a_name_finds_what_happened_where_it_was_borne,
    a_prefix_finds_what_lies_within_it_and_nothing_wider,
    a_node_whose_clock_is_wrong_puts_nothing_out_of_reach,
    what_is_too_large_is_refused_and_what_is_at_the_limit_is_kept,
    one_node_too_many_is_refused,
    pages_of_very_many_nodes_follow_one_another,
    pages_of_events_at_one_moment_follow_one_another,
    events_of_before_all_clocks_are_kept,
    no_page_is_longer_than_the_limit,
    age_lets_the_old_go_and_nothing_else,
    a_clock_that_is_years_ahead_for_a_while_lets_days_go_and_not_everything,
    bytes_let_the_oldest_go,
    the_last_count_outlives_its_event,
    several_append_and_ask_at_once,
}

async fn on<S: Site>(case: impl AsyncFnOnce(&mut S)) {
    match S::begin().await {
        Some(mut site) => case(&mut site).await,
        None => on_redis::tell_skipped(),
    }
}

/// Where a history is kept.
trait Site: Sized {
    /// The history.
    type Of: History + Clone + 'static;

    /// An empty place; `None` where this kind cannot be had.
    async fn begin() -> Option<Self>;

    /// Opens what is there; what was opened before is closed.
    async fn open(&mut self) -> Self::Of;
}
