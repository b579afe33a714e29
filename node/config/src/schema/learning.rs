//! How a node learns.

use super::Visitor;
use crate::{
    LearningSettings,
    kinds::{Span, Switch},
};

pub(super) fn learning(v: &mut impl Visitor, learning: &mut LearningSettings) {
    let LearningSettings { enabled, shadow } = learning;
    v.section("learning", "What the node learns of what is usual here. Changes hold from the next start.");
    v.item(
        "enabled",
        "Whether the built-in model is adapted to what is usual here. What was learned stays in use; smartfw-cli model use builtin goes back.",
        Switch,
        enabled,
    );
    v.item(
        "shadow",
        "A candidate judges so long without a say before it may replace the model in use, and is watched as long afterwards. Less than a day does not see the night.",
        Span(3600..=30 * 86_400),
        shadow,
    );
}
