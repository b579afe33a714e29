//! Trains on folds and writes down what was answered, so that another trainer can be asked about the same folds.
//!
//! `judge OUT [--label COLUMN [--capture COLUMN] [--tool COLUMN] [--leave-out COLUMN]…] [--keep-missing] [--even] [--seed N] [--trees N] [--held-out TABLE] TABLE…`
//! reads tables of windows, or of any columns when the label's is named, and writes to the folder `OUT`: `rows.csv` (the features, class and tool),
//! `folds.csv` (the fold of each row, by rows and by tool), `answers.csv` (our class of each row for both, and whether it
//! is strange) and `judged.json`. `tests/learning/compare.py` runs it.
#![expect(clippy::print_stderr, reason = "a program for people")]

use std::{
    env, fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use smartfw_learn::{
    calibrate::highest,
    folds::{self, Folds},
    forest::ClassWeights,
    table::{Columns, Missing, ReadOptions, Table, read_files},
    train::{Answers, TrainOptions, ask, judge, judge_groups, with_threads},
};

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    match Asked::new(&args).and_then(|asked| asked.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("judge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What was typed.
struct Asked {
    out: PathBuf,
    tables: Vec<PathBuf>,
    reading: ReadOptions,
    training: TrainOptions,
    /// A table that is only asked about, instead of folds.
    held_out: Option<PathBuf>,
}

impl Asked {
    fn new(args: &[String]) -> Result<Self> {
        let (mut paths, mut label, mut leave_out) = (Vec::new(), None, Vec::new());
        let (mut capture, mut tool) = (None, None);
        let mut asked = Self {
            out: PathBuf::new(),
            tables: Vec::new(),
            reading: ReadOptions::default(),
            training: TrainOptions::default(),
            held_out: None,
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().with_context(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--label" => label = Some(value()?),
                "--capture" => capture = Some(value()?),
                "--tool" => tool = Some(value()?),
                "--leave-out" => leave_out.push(value()?),
                "--keep-missing" => asked.reading.missing = Missing::Keep,
                "--held-out" => asked.held_out = Some(value()?.into()),
                "--even" => asked.training.forest.class_weights = ClassWeights::Even,
                "--seed" => asked.training.seed = value()?.parse()?,
                "--trees" => asked.training.forest.trees = value()?.parse()?,
                path => paths.push(PathBuf::from(path)),
            }
        }
        if paths.len() < 2 {
            bail!(
                "usage: judge OUT [--label COLUMN [--capture COLUMN] [--tool COLUMN] [--leave-out COLUMN]…] [--keep-missing] [--even] [--seed N] [--trees N] [--held-out TABLE] TABLE…"
            );
        }
        if let Some(label) = label {
            asked.reading.columns = Columns::Named { label, capture, tool, leave_out };
        } else if capture.is_some() || tool.is_some() || !leave_out.is_empty() {
            bail!("columns are only named where the label's is: add --label COLUMN");
        }
        asked.out = paths.remove(0);
        asked.tables = paths;
        Ok(asked)
    }

    fn run(&self) -> Result<()> {
        fs::create_dir_all(&self.out)?;
        let (table, by_rows, by_tool) = self.parts()?;
        let begun = Instant::now();
        let rows = with_threads(0, || ask(&table, &by_rows, &self.training, &mut |_| ()))?;
        let seconds = begun.elapsed().as_secs_f64();
        let tools = with_threads(0, || ask(&table, &by_tool, &self.training, &mut |_| ()))?;
        write_rows(&self.out.join("rows.csv"), &table)?;
        write_folds(&self.out.join("folds.csv"), &by_rows, &by_tool)?;
        write_answers(&self.out.join("answers.csv"), &table, &rows, &tools)?;
        let judged = json!({
            "classes": table.class().names(),
            "seconds": seconds,
            "rows": judge(&table, "rows", &rows),
            "unknown": judge(&table, "one tool", &tools),
            "tools": judge_groups(&table, &by_tool, &tools),
        });
        fs::write(self.out.join("judged.json"), serde_json::to_vec_pretty(&judged)?)?;
        Ok(())
    }

    /// The rows, and how they are parted: by rows and by tool, or into what is trained on and what is held out.
    fn parts(&self) -> Result<(Table, Folds, Folds)> {
        let mut table = read_files(&self.tables, &self.reading)?;
        let Some(held_out) = &self.held_out else {
            let (table, _) = table.tidy();
            let by_rows = folds::stratified(table.class(), self.training.folds, self.training.seed);
            let by_tool = folds::leave_one_out(table.class(), table.tool());
            return Ok((table, by_rows, by_tool));
        };
        let trained_on = table.len();
        table.append(&read_files(&[held_out], &self.reading)?)?;
        let (table, _) = table.tidy();
        let of = (0..table.len()).map(|row| (row >= trained_on).then_some(0)).collect();
        let nothing = Folds { of: vec![None; table.len()], names: Vec::new() };
        Ok((table, Folds { of, names: vec!["held out".to_owned()] }, nothing))
    }
}

fn write_rows(path: &Path, table: &Table) -> Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    let numbers: Vec<String> = (0..table.features().len()).map(|n| format!("x{n}")).collect();
    writeln!(out, "{},class,tool", numbers.join(","))?;
    for row in 0..table.len() {
        for value in table.values_of(row) {
            write!(out, "{value},")?;
        }
        writeln!(out, "{},{}", table.class().of()[row], table.tool().of()[row])?;
    }
    Ok(out.flush()?)
}

fn write_folds(path: &Path, by_rows: &Folds, by_tool: &Folds) -> Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    writeln!(out, "rows,tool")?;
    let number = |fold: Option<u16>| fold.map_or(-1, i32::from);
    for (rows, tool) in by_rows.of.iter().zip(&by_tool.of) {
        writeln!(out, "{},{}", number(*rows), number(*tool))?;
    }
    Ok(out.flush()?)
}

/// One line for each row; -1 where it was not asked.
fn write_answers(path: &Path, table: &Table, rows: &Answers, tools: &Answers) -> Result<()> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    let classes = table.class().names().len();
    let by_row = |answers: &Answers| {
        let mut named = vec![-1; table.len()];
        for (row, said) in answers.rows.iter().zip(answers.probabilities.chunks_exact(classes)) {
            named[*row] = highest(said) as i32;
        }
        named
    };
    let mut plain = vec![-1; table.len()];
    for (row, said) in rows.rows.iter().zip(rows.uncalibrated.chunks_exact(classes)) {
        plain[*row] = highest(said) as i32;
    }
    let mut strange = vec![0; table.len()];
    rows.rows.iter().zip(&rows.strange).for_each(|(row, is)| strange[*row] = i32::from(*is));
    writeln!(out, "rows,uncalibrated,tool,strange")?;
    for (((rows, plain), tool), strange) in by_row(rows).iter().zip(plain).zip(by_row(tools)).zip(strange) {
        writeln!(out, "{rows},{plain},{tool},{strange}")?;
    }
    Ok(out.flush()?)
}
