//! Model files: in, out, and looked at.

use std::path::Path;

use serde_json::{Value, json};
use smartfw_core::features::SCHEMA;
use smartfw_learn::{ModelFile, Signer};
use smartfw_proto::{
    json::{self as form, model_imported},
    limits,
    view::{ImportModelPiece, ModelHead, ModelImported},
    wire,
};

use crate::{
    args::{Format, Global},
    client::{self, Daemon},
    failure::Failure,
    model::{self, open},
    output::{Grid, Output},
};

pub(super) fn import(
    global: &Global,
    output: &mut Output,
    path: &Path,
    name: Option<String>,
    trust: Option<Signer>,
) -> Result<(), Failure> {
    let file = open(path)?;
    let head = ModelHead { name, trust: trust.map(|signer| signer.0) };
    let data = file.as_bytes().chunks(limits::MODEL_PIECE).map(|data| ImportModelPiece::Data(data.to_vec()));
    let pieces: Vec<_> = [ImportModelPiece::Head(head)].into_iter().chain(data).map(Into::into).collect();
    let answer = client::block_on(async {
        let mut daemon = Daemon::connect(&global.socket).await?;
        let pieces = tokio_stream::iter(pieces);
        daemon.ask_models(async |mut client| client.import_model(pieces).await).await
    })?;
    let taken = ModelImported::try_from(answer)?;
    match output.format {
        Format::Json => output.json(&model_imported(&taken)),
        Format::Raw => output.raw(&[taken.name, Signer(taken.signer).to_string()]),
        Format::Human => output.line(&format!(
            "The model {0} is kept; nothing judges by it until you type: smartfw-cli model use {0}",
            taken.name
        )),
    }
}

pub(super) fn export(global: &Global, output: &mut Output, name: &str, path: &Path) -> Result<(), Failure> {
    let bytes = client::block_on(fetch(global, name))?;
    model::write(path, &bytes)?;
    match output.format {
        Format::Json => output.json(&json!({"kind": "model_exported", "name": name, "bytes": bytes.len()})),
        Format::Raw => output.raw(&[name.to_owned(), bytes.len().to_string()]),
        Format::Human => output.line(&format!("The model {name} is in {}", path.display())),
    }
}

async fn fetch(global: &Global, name: &str) -> Result<Vec<u8>, Failure> {
    let mut daemon = Daemon::connect(&global.socket).await?;
    let request = wire::ExportModelRequest { name: name.to_owned() };
    let mut pieces = daemon.ask_models(async |mut client| client.export_model(request).await).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = daemon.next(&mut pieces).await? {
        bytes.extend(piece.data);
        if bytes.len() > smartfw_learn::file::MAX_FILE {
            return Err(Failure::failed("the daemon sends more than a model file may have"));
        }
    }
    Ok(bytes)
}

/// Whether this program could use the file; whom to believe is for who reads the answer.
pub(super) fn verify(output: &mut Output, path: &Path) -> Result<(), Failure> {
    let file = open(path)?;
    match output.format {
        Format::Json => output.json(&whole(&file)),
        Format::Raw => output.raw(&[file.card().name.clone(), file.signer().to_string()]),
        Format::Human => told(output, &file),
    }
}

fn whole(file: &ModelFile) -> Value {
    json!({
        "kind": "model_file",
        "name": file.card().name,
        "signer": file.signer().to_string(),
        "schema": SCHEMA,
        "bytes": file.as_bytes().len(),
        "classes": file.model().forest().classes(),
        "trees": file.model().forest().parts().roots.len(),
        "card": file.card(),
    })
}

fn told(output: &mut Output, file: &ModelFile) -> Result<(), Failure> {
    let (card, forest) = (file.card(), file.model().forest());
    output.line(&format!("{} is whole, and can be used by this program", card.name))?;
    output.line("")?;
    let mut grid = Grid::new(&["", ""]);
    let mut row = |name: &str, value: String| grid.row([name.to_owned(), value]);
    row("signed by", file.signer().to_string());
    row("schema", SCHEMA.to_string());
    row("trees", forest.parts().roots.len().to_string());
    row("classes", forest.classes().join(", "));
    row("made", if card.created.is_empty() { "-".to_owned() } else { card.created.clone() });
    for (name, value) in
        [("trained on", &card.trained_on), ("parameters", &card.parameters), ("figures", &card.figures)]
    {
        spread(name, value, &mut |name, value| row(name, value));
    }
    card.notes.iter().for_each(|note| row("note", note.clone()));
    output.table(grid, 2)
}

/// Plain values, each on its row; lists and deeper objects as JSON.
fn spread(name: &str, value: &Value, row: &mut dyn FnMut(&str, String)) {
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            let text = value.as_str().map_or_else(|| form::text(value), str::to_owned);
            row(&format!("{name}: {key}"), text);
        }),
        other => row(name, form::text(other)),
    }
}
