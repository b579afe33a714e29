//! `evaluate`: how a model, or models made in one way, do on window tables.

use serde_json::json;
use smartfw_core::model::{Calibration, Forest, Model};
use smartfw_learn::{
    ModelFile,
    explain::{Explained, explain},
    folds::{self, Folds},
    table::{Columns, Missing, Names, ReadOptions, Row, Table},
    train::{Answers, Judged, Progress, Stage, ask, fit, judge, judge_groups, with_threads},
};

use super::{advance, bar, options, read, report, shown};
use crate::{
    args::{self, By, Evaluate, Format, Global},
    failure::Failure,
    model,
    output::{Output, complain},
};

pub(in crate::commands) fn run(global: &Global, output: &mut Output, args: &Evaluate) -> Result<(), Failure> {
    let model = args.model.as_deref().map(|name| model::named(&global.state_dir, name)).transpose()?;
    let (table, _) = read(&args.tables, &reading(&args.columns))?.tidy();
    if table.is_empty() {
        return Err(Failure::failed("there is nothing to judge by: the tables have no rows"));
    }
    args.report.as_deref().map_or(Ok(()), report::make)?;
    let judged = match &model {
        Some(file) => of_model(&table, file, args.by)?,
        None => of_making(&table, args)?,
    };
    if let Some(folder) = &args.report {
        let explained = explained(&table, model.as_ref(), args)?;
        report::of_judgement(folder, &table, &judged, &explained)?;
    }
    match output.format {
        Format::Json => output.json(&json!({"kind": "evaluation", "judged": judged})),
        Format::Raw => judged.confusion.scores().iter().try_for_each(|one| {
            let numbers = [one.precision, one.recall, one.f1].map(|score| score.to_string());
            output.raw(&[&[one.class.clone(), one.rows.to_string()], &numbers[..]].concat())
        }),
        Format::Human => {
            shown::ways(output, std::slice::from_ref(&judged))?;
            output.line("")?;
            shown::classes(output, &judged)?;
            if judged.groups.is_empty() {
                return Ok(());
            }
            output.line("")?;
            shown::groups(output, &judged.groups)
        }
    }
}

/// How tables are read: as windows, unless the column of the class is named.
fn reading(columns: &args::Columns) -> ReadOptions {
    let args::Columns { label, capture, tool, leave_out, keep_missing } = columns;
    let named = |label: &String| Columns::Named {
        label: label.clone(),
        capture: capture.clone(),
        tool: tool.clone(),
        leave_out: leave_out.clone(),
    };
    ReadOptions {
        columns: label.as_ref().map_or(Columns::Windows, named),
        missing: if *keep_missing { Missing::Keep } else { Missing::Refuse },
        ..ReadOptions::default()
    }
}

/// Trains without each fold in turn, and asks about it.
fn of_making(table: &Table, args: &Evaluate) -> Result<Judged, Failure> {
    let options = options(args.seed, args.trees, args.folds);
    let (class, seed, count) = (table.class(), args.seed, args.folds);
    let (stage, left_out, folds) = match args.by {
        By::Stratified => {
            (Stage::Stratified, format!("rows, {count} folds"), folds::stratified(class, count, seed))
        }
        By::Capture => {
            let folds = folds::grouped(class, table.capture(), count, seed);
            (Stage::ByCapture, format!("captures, {count} folds"), folds)
        }
        By::Tool => (Stage::ByTool, "one tool".to_owned(), folds::leave_one_out(class, table.tool())),
    };
    if folds.names.is_empty() {
        let why = "no tool can be left out: each is the only one of its class";
        return Err(Failure::failed(why));
    }
    let captures = table.capture().names().len();
    if args.by == By::Capture && captures < count {
        let why = format!(
            "{count} folds need as many captures, and the tables have {captures}: ask for fewer folds, or judge `--by stratified`"
        );
        return Err(Failure::failed(why));
    }
    let (bar, of) = (bar(), folds.names.len() * args.trees);
    let mut grown = |trees| advance(&bar, Progress { stage, trees, of });
    let answers = with_threads(0, || ask(table, &folds, &options, &mut grown));
    bar.finish_and_clear();
    let answers = answers.map_err(|why| Failure::failed(format!("nothing is judged: {why}")))?;
    let (asked, askable) = (answers.rows.len(), folds.of.iter().flatten().count());
    if asked == 0 {
        return Err(Failure::failed(
            "nothing is judged: without each fold there are no two classes to learn from",
        ));
    }
    if asked < askable {
        let passed_over = askable - asked;
        complain(&format!(
            "{passed_over} of {askable} rows are not asked: without their fold there are no two classes"
        ));
    }
    let mut judged = judge(table, &left_out, &answers);
    if args.by == By::Tool {
        judged.groups = judge_groups(table, &folds, &answers);
    }
    Ok(judged)
}

/// What the forest says in a few sentences; without a model one that is grown on all rows.
fn explained(table: &Table, model: Option<&ModelFile>, args: &Evaluate) -> Result<Explained, Failure> {
    let explained = if let Some(file) = model {
        explain(table, file.model().forest(), args.seed)
    } else {
        let options = options(args.seed, args.trees, args.folds);
        let (bar, of) = (bar(), args.trees);
        let mut grown = |trees| advance(&bar, Progress { stage: Stage::Growing, trees, of });
        let forest = with_threads(0, || fit(table, &options, args.seed, &mut grown));
        bar.finish_and_clear();
        forest.and_then(|forest| explain(table, &forest, args.seed))
    };
    explained
        .map_err(|why| Failure::failed(format!("no report is written, since nothing is explained: {why}")))
}

/// Asks a model that is there.
fn of_model(table: &Table, file: &ModelFile, by: By) -> Result<Judged, Failure> {
    let table = with_classes(table, file.model().forest().classes())?;
    let answers = answers(&table, file.model());
    let mut judged = judge(&table, &format!("nothing: {} as it is", file.card().name), &answers);
    let groups = match by {
        By::Stratified => return Ok(judged),
        By::Capture => table.capture(),
        By::Tool => table.tool(),
    };
    judged.groups = judge_groups(&table, &each(groups), &answers);
    Ok(judged)
}

/// The same rows, with every class that the model may name.
fn with_classes(table: &Table, classes: &[String]) -> Result<Table, Failure> {
    let mut table = table.clone();
    let (rows, values) = (table.len(), vec![0.0; table.features().len()]);
    for class in classes {
        let row = Row { values: &values, class, capture: "", tool: "", family: "", weight: 1.0 };
        table.push(row).map_err(|why| Failure::failed(why.to_string()))?;
    }
    Ok(table.select(&(0..rows).collect::<Vec<_>>()))
}

fn answers(table: &Table, model: &Model) -> Answers {
    let mut bare = model.forest().parts().clone();
    bare.calibration = Calibration::default();
    let probabilities = said(table, model.forest());
    let uncalibrated = Forest::new(bare).map_or_else(|_| probabilities.clone(), |bare| said(table, &bare));
    let isolation = model.isolation();
    let strange = |row| isolation.score(table.values_of(row)) >= isolation.threshold();
    Answers {
        rows: (0..table.len()).collect(),
        probabilities,
        uncalibrated,
        strange: (0..table.len()).map(strange).collect(),
    }
}

/// For each row the probability of each of the table's classes: the model's order is its own.
fn said(table: &Table, forest: &Forest) -> Vec<f32> {
    let (known, classes) = (forest.classes(), table.class().names());
    let mut own = vec![0.0; table.len() * known.len()];
    forest.batch(table.values(), &mut own);
    let place = |class: &String| known.iter().position(|known| known == class);
    let places: Vec<Option<usize>> = classes.iter().map(place).collect();
    let ordered = own
        .chunks_exact(known.len())
        .flat_map(|row| places.iter().map(|place| place.map_or(0.0, |place| row[place])));
    ordered.collect()
}

/// Each group for itself.
fn each(groups: &Names) -> Folds {
    Folds { of: groups.of().iter().map(|group| Some(*group)).collect(), names: groups.names().to_vec() }
}
