//! A judgement as files: a page for people, the same for programs, and a plot.

use std::{fs, path::Path};

use serde_json::{Value, json};
use smartfw_learn::{
    explain::Explained,
    report::{explanation, judgement, markdown, reliability_svg},
    table::Table,
    train::{Account, Judged, TrainedOn},
};
use smartfw_proto::json as form;

use crate::{failure::Failure, model::cannot_write};

const PLOT: &str = "\n![reliability](reliability.svg)\n";

/// What `evaluate` found.
pub(super) fn of_judgement(
    folder: &Path,
    table: &Table,
    judged: &Judged,
    explained: &Explained,
) -> Result<(), Failure> {
    let on = TrainedOn::new(table);
    let page = format!(
        "# Judged on {} windows\n\nTable {} (SHA-256), {} captures.\n{PLOT}{}",
        on.rows,
        on.sha256,
        on.captures,
        judgement(judged)
    );
    let whole = json!({"kind": "evaluation", "judged_on": on, "judged": judged, "explained": explained});
    write(folder, page, explained, &whole, Some(judged))
}

/// What `train` made.
pub(super) fn of_training(folder: &Path, account: &Account, explained: &Explained) -> Result<(), Failure> {
    let judged = account.judged.first();
    let page = markdown(account) + if judged.is_some() { PLOT } else { "" };
    let whole = json!({"kind": "training", "account": account, "explained": explained});
    write(folder, page, explained, &whole, judged)
}

/// Makes the folder, so that what cannot be written is known before the work.
pub(super) fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(cannot_write(folder))
}

fn write(
    folder: &Path,
    page: String,
    explained: &Explained,
    whole: &Value,
    plotted: Option<&Judged>,
) -> Result<(), Failure> {
    let put = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(cannot_write(&path))
    };
    put("report.md", page + &explanation(explained))?;
    put("report.json", form::text(whole) + "\n")?;
    let plot = plotted.map(|judged| reliability_svg(&judged.calibrated, &judged.uncalibrated));
    plot.map_or(Ok(()), |plot| put("reliability.svg", plot))
}
