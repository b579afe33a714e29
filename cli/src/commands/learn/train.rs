//! `train`: a model out of window tables, signed.

use std::{
    fmt::Display,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use smartfw_learn::{
    Card, ModelFile, ModelKey,
    card::{NAME_IS, is_name},
    explain::explain,
    search::search,
    table::{ReadOptions, Table},
    train::{Account, TrainOptions, Trainer, admit},
};
use smartfw_proto::json::rfc3339;

use super::{advance, bar, options, read, report, shown};
use crate::{
    args::{self, Format, Global, Train},
    failure::Failure,
    model::{self, cannot_write},
    operator::Home,
    output::Output,
};

pub(in crate::commands) fn run(_: &Global, output: &mut Output, args: &Train) -> Result<(), Failure> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.sfwm", args.name)));
    // What would be refused at the end is refused before the work.
    if !is_name(&args.name) {
        return Err(Failure::failed(format!("`{}` is no name of a model: it has {NAME_IS}", args.name)));
    }
    if out.exists() {
        return Err(cannot_write(&out)(io::ErrorKind::AlreadyExists.into()));
    }
    let key = key(args.key.as_deref())?;
    let table = read(&args.tables, &ReadOptions::default())?;
    let options = TrainOptions {
        trainer: match args.trainer {
            args::Trainer::Forest => Trainer::Histogram,
            args::Trainer::Linfa => Trainer::Linfa,
        },
        ..options(args.seed, args.trees, args.folds)
    };
    admit(&table, &options).map_err(not_made)?;
    args.report.as_deref().map_or(Ok(()), report::make)?;
    let options = match args.search {
        Some(rounds) => found(&table, &options, rounds)?,
        None => options,
    };
    let bar = bar();
    let trained = smartfw_learn::train::train(&table, &options, &mut |progress| advance(&bar, progress));
    bar.finish_and_clear();
    let trained = trained.map_err(not_made)?;
    // No clock: the same tables, seed and key give the same file.
    let created = args.created.map(rfc3339).unwrap_or_default();
    let card = Card::of(&args.name, &created, &trained.account);
    let file = ModelFile::write(&trained.model, &card, &key).map_err(not_made)?;
    model::write(&out, file.as_bytes())?;
    if let Some(folder) = &args.report {
        let explained = explain(&table, trained.model.forest(), args.seed)
            .map_err(|why| Failure::failed(format!("{} is made, but not explained: {why}", out.display())))?;
        report::of_training(folder, &trained.account, &explained)?;
    }
    tell(output, &out, &file, &trained.account)
}

fn not_made(why: impl Display) -> Failure {
    Failure::failed(format!("no model is made: {why}"))
}

/// The best of some options.
fn found(table: &Table, options: &TrainOptions, rounds: usize) -> Result<TrainOptions, Failure> {
    let bar = bar();
    bar.set_length(rounds as u64);
    let found = search(table, options, rounds, &mut |tried| {
        bar.inc(1);
        bar.set_message(format!("options tried, the last with macro F1 {:.4}", tried.macro_f1));
    });
    bar.finish_and_clear();
    let found = found.map_err(not_made)?;
    let searched = Some(found.len());
    Ok(found.first().map_or(*options, |best| TrainOptions { forest: best.options, searched, ..*options }))
}

/// The key that was named, or the person's own; made where there is none.
fn key(named: Option<&Path>) -> Result<ModelKey, Failure> {
    let load = |path: &Path| ModelKey::load_or_make(path).map_err(|why| Failure::failed(why.to_string()));
    if let Some(path) = named {
        return load(path);
    }
    let home = Home::find()?;
    let path = home.model_key();
    home.as_owner(|| {
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot_write(folder))?;
        load(&path)
    })
}

fn tell(output: &mut Output, path: &Path, file: &ModelFile, account: &Account) -> Result<(), Failure> {
    let (name, signer, out) = (&file.card().name, file.signer().to_string(), path.display().to_string());
    match output.format {
        Format::Json => output.json(&json!({
            "kind": "trained", "file": out, "name": name, "signer": signer, "card": file.card(),
        })),
        Format::Raw => output.raw(&[name.clone(), out, signer]),
        Format::Human => {
            let rows = crate::output::grouped(account.trained_on.rows as u64);
            output.line(&format!("The model {name} is in {out}, trained on {rows} windows"))?;
            output.line("")?;
            shown::ways(output, &account.judged)?;
            for note in &file.card().notes {
                output.line(&format!("weak: {note}"))?;
            }
            output.line("")?;
            output.line(&format!("On a node: smartfw-cli model import {out} --trust {signer}"))
        }
    }
}
