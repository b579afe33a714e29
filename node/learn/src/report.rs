//! What people read about a model.

mod plot;

use std::fmt::{self, Write as _};

pub use plot::reliability_svg;

#[cfg(feature = "linfa")]
use crate::explain::Explained;
use crate::{
    calibrate::Reliability,
    score::Confusion,
    train::{Account, Count, Judged},
};

/// The account as a page in Markdown.
pub fn markdown(account: &Account) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut page, account);
    page
}

/// How models did, as a part of a page in Markdown.
pub fn judgement(judged: &Judged) -> String {
    let mut part = String::new();
    // Writing to a string does not fail.
    let _ = write_judged(&mut part, judged);
    part
}

/// What a forest says in a few sentences, as a part of a page in Markdown.
#[cfg(feature = "linfa")]
pub fn explanation(explained: &Explained) -> String {
    let Explained { sentences, agreement } = explained;
    // Features may be called anything in a table that anybody may have written.
    let line = |sentence: &String| format!("    {}\n", sentence.replace(['\n', '\r'], " "));
    format!(
        "\n## In a few sentences\n\nA shallow tree, of which each leaf is a line, says of {:.1} % of these rows what the forest says.\n\n{}",
        100.0 * agreement,
        sentences.iter().map(line).collect::<String>()
    )
}

fn write(page: &mut String, account: &Account) -> fmt::Result {
    let on = &account.trained_on;
    writeln!(page, "# Model of {} windows\n", on.rows)?;
    writeln!(page, "Table {} (SHA-256), {} captures, schema {}.", on.sha256, on.captures, account.schema)?;
    let forest = &account.options.forest;
    writeln!(
        page,
        "Seed {}, {} trees, leaves of {} rows or more, paths of {} or less.",
        account.options.seed, forest.trees, forest.min_leaf, forest.max_depth
    )?;
    if !account.dropped.is_empty() {
        writeln!(page, "\nNot learned, having no rows: {}.", account.dropped.join(", "))?;
    }
    for (title, counts) in [("class", &on.classes), ("tool", &on.tools), ("family", &on.families)] {
        write_counts(page, title, counts)?;
    }
    for judged in &account.judged {
        write_judged(page, judged)?;
    }
    write_weak(page, account)
}

fn write_counts(page: &mut String, title: &str, counts: &[Count]) -> fmt::Result {
    writeln!(page, "\n| {title} | rows | captures |\n|---|---|---|")?;
    counts.iter().try_for_each(|count| {
        writeln!(page, "| {} | {} | {} |", cell(&count.name), count.rows, count.captures)
    })
}

fn write_judged(page: &mut String, judged: &Judged) -> fmt::Result {
    writeln!(page, "\n## Left out of training: {}\n", judged.left_out)?;
    writeln!(
        page,
        "Macro F1 {:.4}, weighted F1 {:.4}, benign windows called an attack {:.3} %.",
        judged.macro_f1,
        judged.weighted_f1,
        100.0 * judged.benign_false_positives
    )?;
    let (before, after) = (&judged.uncalibrated, &judged.calibrated);
    writeln!(
        page,
        "Expected calibration error {:.4} (without calibration {:.4}), Brier score {:.4} ({:.4}).",
        after.ece, before.ece, after.brier, before.brier
    )?;
    writeln!(
        page,
        "\n| class | rows | precision | recall | F1 | called strange |\n|---|---|---|---|---|---|"
    )?;
    for score in judged.confusion.scores() {
        let strange = judged.strange.iter().find(|strange| strange.class == score.class);
        writeln!(
            page,
            "| {} | {} | {:.4} | {:.4} | {:.4} | {:.2} % |",
            cell(&score.class),
            score.rows,
            score.precision,
            score.recall,
            score.f1,
            100.0 * strange.map_or(0.0, |strange| strange.share)
        )?;
    }
    write_confusion(page, &judged.confusion)?;
    writeln!(
        page,
        "\n| wanted probability | benign windows called an attack | attack windows named |\n|---|---|---|"
    )?;
    for sure in &judged.sure {
        let (wrong, found) = (100.0 * sure.benign_false_positives, 100.0 * sure.found);
        writeln!(page, "| {:.2} | {wrong:.3} % | {found:.1} % |", sure.confidence)?;
    }
    write_reliability(page, after)?;
    if judged.groups.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n| left out | class | rows | recall | called an attack |\n|---|---|---|---|---|")?;
    judged.groups.iter().try_for_each(|group| {
        let (name, class) = (cell(&group.name), cell(&group.class));
        writeln!(
            page,
            "| {name} | {class} | {} | {:.3} | {:.3} |",
            group.rows, group.recall, group.called_attack
        )
    })
}

fn write_confusion(page: &mut String, confusion: &Confusion) -> fmt::Result {
    let names: Vec<String> = confusion.classes.iter().map(|class| cell(class)).collect();
    writeln!(page, "\n| is \\ was called | {} |", names.join(" | "))?;
    writeln!(page, "|---|{}", "---|".repeat(names.len()))?;
    names.iter().zip(&confusion.counts).try_for_each(|(name, counts)| {
        let counts: Vec<String> = counts.iter().map(ToString::to_string).collect();
        writeln!(page, "| {name} | {} |", counts.join(" | "))
    })
}

fn write_reliability(page: &mut String, reliability: &Reliability) -> fmt::Result {
    writeln!(page, "\n| said | came true | rows |\n|---|---|---|")?;
    reliability
        .bins
        .iter()
        .filter(|bin| bin.rows > 0)
        .try_for_each(|bin| writeln!(page, "| {:.3} | {:.3} | {} |", bin.said, bin.right, bin.rows))
}

fn write_weak(page: &mut String, account: &Account) -> fmt::Result {
    writeln!(page, "\n## Where it fails\n")?;
    if account.judged.is_empty() {
        return writeln!(page, "It was not judged.");
    }
    if account.weak.is_empty() {
        return writeln!(page, "Nothing was found less often than {:.0} %.", 100.0 * crate::train::WEAK);
    }
    writeln!(page, "| left out | what | rows | found |\n|---|---|---|---|")?;
    account.weak.iter().try_for_each(|weak| {
        writeln!(
            page,
            "| {} | {} | {} | {:.1} % |",
            cell(&weak.left_out),
            cell(&weak.name),
            weak.rows,
            100.0 * weak.recall
        )
    })
}

/// A name as a table's cell: names come from tables that anybody may have written.
fn cell(name: &str) -> String {
    name.replace(['|', '\n', '\r', '<'], " ")
}

#[cfg(test)]
mod tests;
