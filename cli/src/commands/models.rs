//! `model`: which models are kept, and which one judges.

mod file;
mod lessons;

use smartfw_learn::Signer;
use smartfw_proto::{
    json,
    view::{ModelPlaces, ModelRow},
    wire,
};

use crate::{
    args::{Format, Global, Model},
    client::{self, Daemon},
    failure::Failure,
    output::{Grid, Output, Tone, grouped},
};

pub(super) fn run(global: &Global, output: &mut Output, command: Model) -> Result<(), Failure> {
    match command {
        Model::List => list(global, output),
        Model::Use { name } => use_(global, output, name),
        Model::Shadow { name } => shadow(global, output, name),
        Model::Import { file, name, trust } => file::import(global, output, &file, name, trust),
        Model::Export { name, file } => file::export(global, output, &name, &file),
        Model::Verify { file } => file::verify(output, &file),
        Model::Remove { name } => remove(global, output, name),
        Model::Distrust { key } => distrust(global, output, key),
        Model::Lessons { csv } => lessons::run(global, output, csv),
    }
}

fn list(global: &Global, output: &mut Output) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask_models(async |mut client| client.list_models(wire::ListModelsRequest {}).await).await
    })?;
    let models: Vec<ModelRow> = answer.try_into()?;
    match output.format {
        Format::Json => output.json(&models.iter().map(json::model).collect()),
        Format::Raw => models.iter().try_for_each(|row| output.raw(&fields(row))),
        Format::Human if models.is_empty() => output.line("There are no models: only rules judge."),
        Format::Human => human(output, &models),
    }
}

fn human(output: &mut Output, models: &[ModelRow]) -> Result<(), Failure> {
    let headings = ["NAME", "KIND", "TRAINED", "ROWS", "MACRO F1", "SIGNED BY", "STATE"];
    let mut grid = Grid::new(&headings).numbers(&[3, 4]);
    models.iter().for_each(|row| grid.toned(cells(row)));
    output.table(grid, 0)?;
    let faulty = models.iter().filter(|row| !row.fault.is_empty());
    faulty.into_iter().try_for_each(|row| output.line(&row.fault))
}

/// One value a field, as it is; empty where nothing is known.
fn fields(row: &ModelRow) -> [String; 11] {
    let place = |has: bool, name: &str| if has { name.to_owned() } else { String::new() };
    [
        row.name.clone(),
        row.trainer.clone(),
        row.created.clone(),
        row.rows.map_or_else(String::new, |rows| rows.to_string()),
        row.macro_f1.map_or_else(String::new, |score| score.to_string()),
        row.signer.map_or_else(String::new, |signer| Signer(signer).to_string()),
        row.voucher.map_or_else(String::new, |voucher| voucher.to_string()),
        place(row.used, "used"),
        place(row.shadow, "shadow"),
        place(row.previous, "previous"),
        row.fault.clone(),
    ]
}

fn cells(row: &ModelRow) -> [(String, Tone); 7] {
    let said = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let plain = |text: String| (text, Tone::Plain);
    let voucher = row.voucher.map_or_else(|| "stranger".to_owned(), |voucher| voucher.to_string());
    let signed = row.signer.map(|signer| format!("{} ({voucher})", Signer(signer).short()));
    [
        plain(row.name.clone()),
        plain(said(&row.trainer)),
        plain(said(row.created.get(..10).unwrap_or(&row.created))),
        plain(row.rows.map_or_else(|| "-".to_owned(), grouped)),
        plain(row.macro_f1.map_or_else(|| "-".to_owned(), |score| format!("{score:.4}"))),
        plain(signed.unwrap_or_else(|| "-".to_owned())),
        state(row),
    ]
}

fn state(row: &ModelRow) -> (String, Tone) {
    let places = [(row.used, "in use"), (row.shadow, "shadow"), (row.previous, "previous")];
    let mut words: Vec<&str> = places.iter().filter(|(has, _)| *has).map(|(_, word)| *word).collect();
    if !row.fault.is_empty() {
        words.push("refused");
        return (words.join(", "), Tone::Bad);
    }
    let tone = if row.used { Tone::Good } else { Tone::Plain };
    (if words.is_empty() { "-".to_owned() } else { words.join(", ") }, tone)
}

fn use_(global: &Global, output: &mut Output, name: String) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        daemon.ask_models(async |mut client| client.use_model(wire::UseModelRequest { name }).await).await
    })?;
    changed(output, answer, |places| format!("The model {} judges from now on", named(places.used.as_ref())))
}

fn shadow(global: &Global, output: &mut Output, name: String) -> Result<(), Failure> {
    let name = Some(name).filter(|name| name != "none");
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let request = wire::ShadowModelRequest { name };
        daemon.ask_models(async |mut client| client.shadow_model(request).await).await
    })?;
    changed(output, answer, |places| match &places.shadow {
        Some(shadow) => {
            let used = named(places.used.as_ref());
            format!("The model {shadow} judges in the shadow of {used}: it is compared, and has no say")
        }
        None => "No model judges in the shadow".to_owned(),
    })
}

fn remove(global: &Global, output: &mut Output, name: String) -> Result<(), Failure> {
    let what = name.clone();
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let request = wire::RemoveModelRequest { name };
        daemon.ask_models(async |mut client| client.remove_model(request).await).await
    })?;
    changed(output, answer, |_| format!("The model {what} is forgotten"))
}

fn distrust(global: &Global, output: &mut Output, key: Signer) -> Result<(), Failure> {
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let request = wire::DistrustKeyRequest { key: key.0.to_vec() };
        daemon.ask_models(async |mut client| client.distrust_key(request).await).await
    })?;
    changed(output, answer, |_| format!("Models signed by {key} are believed no more"))
}

fn changed(
    output: &mut Output,
    answer: wire::ModelPlaces,
    text: impl FnOnce(&ModelPlaces) -> String,
) -> Result<(), Failure> {
    let places = ModelPlaces::try_from(answer)?;
    match output.format {
        Format::Json => output.json(&json::model_places(&places)),
        Format::Raw => {
            output.raw(&[&places.used, &places.shadow, &places.previous].map(|name| named(name.as_ref())))
        }
        Format::Human => output.line(&text(&places)),
    }
}

fn named(name: Option<&String>) -> String {
    name.cloned().unwrap_or_else(|| "none".to_owned())
}
