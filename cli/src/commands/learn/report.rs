//! A judgement as files: a page for people, the same for programs, and a plot.

use std::{fs, path::Path};

use serde_json::json;
use smartfw_learn::{
    report::{judgement, reliability_svg},
    table::Table,
    train::{Judged, TrainedOn},
};
use smartfw_proto::json as form;

use crate::{failure::Failure, model::cannot_write};

pub(super) fn write(folder: &Path, table: &Table, judged: &Judged) -> Result<(), Failure> {
    let on = TrainedOn::new(table);
    let page = format!(
        "# Judged on {} windows\n\nTable {} (SHA-256), {} captures.\n\n![reliability](reliability.svg)\n{}",
        on.rows,
        on.sha256,
        on.captures,
        judgement(judged)
    );
    let whole = form::text(&json!({"kind": "evaluation", "judged_on": on, "judged": judged})) + "\n";
    let plot = reliability_svg(&judged.calibrated, &judged.uncalibrated);
    fs::create_dir_all(folder).map_err(cannot_write(folder))?;
    [("report.md", page), ("report.json", whole), ("reliability.svg", plot)].into_iter().try_for_each(
        |(name, text)| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(cannot_write(&path))
        },
    )
}
