//! A model that was chosen judges until another one is, or until its file is lost.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what failed by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared by several test files")]
mod common;

use std::fs;

use common::{Place, mode, possible};
use smartfw_learn::{
    ModelFile, ModelKey,
    fixture::{card, model},
};
use smartfw_proto::{
    view::{ImportModelPiece, ModelHead, ModelImported, ModelRow},
    wire::{self, models_client::ModelsClient},
};
use tonic::{Status, transport::Channel};

#[tokio::test]
async fn an_imported_model_judges_after_a_violent_death_and_a_lost_one_does_not() {
    if !possible() {
        return;
    }
    let place = Place::new();
    let file = ModelFile::write(&model(), &card("lab"), &ModelKey::generate().unwrap()).unwrap();
    let node = place.start(&[]).await;
    let mut models = ModelsClient::new(place.channel().await.unwrap());
    let refused = import(&mut models, &file, None).await.unwrap_err();
    assert!(refused.message().contains("--trust"), "{refused}");
    assert_eq!(import(&mut models, &file, Some(file.signer().0)).await.unwrap().name, "lab");
    models.use_model(wire::UseModelRequest { name: "lab".into() }).await.unwrap();
    node.kill();
    let mut node = place.start(&[]).await;
    assert_eq!(node.status().await.models, ["lab"]);
    assert_eq!(node.status().await.health, []);
    let path = place.path("state/models/lab.sfwm");
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let metrics = place.inside("curl", &["-s", "http://127.0.0.1:9470/metrics"]);
    assert!(metrics.contains(r#"smartfw_model_info{place="used",name="lab"} 1"#), "{metrics}");
    node.end();
    fs::write(&path, &file.as_bytes()[..100]).unwrap();
    let mut node = place.start(&[]).await;
    node.wait_for_health("`lab` is refused: it is truncated", true).await;
    assert!(!node.status().await.models.contains(&"lab".to_owned()));
    // The node guards all the same, and the same file again mends it.
    node.block("203.0.113.7").await;
    let mut models = ModelsClient::new(place.channel().await.unwrap());
    import(&mut models, &file, None).await.unwrap();
    models.use_model(wire::UseModelRequest { name: "lab".into() }).await.unwrap();
    node.wait_for_health("`lab` is refused", false).await;
    let rows = models.list_models(wire::ListModelsRequest {}).await.unwrap().into_inner();
    let rows: Vec<ModelRow> = rows.try_into().unwrap();
    assert!(rows.iter().any(|row| row.name == "lab" && row.used && row.fault.is_empty()), "{rows:?}");
}

async fn import(
    models: &mut ModelsClient<Channel>,
    file: &ModelFile,
    trust: Option<[u8; 32]>,
) -> Result<ModelImported, Status> {
    let head = ImportModelPiece::Head(ModelHead { name: None, trust });
    let pieces = [head, ImportModelPiece::Data(file.as_bytes().to_vec())];
    let pieces: Vec<wire::ImportModelPiece> = pieces.into_iter().map(Into::into).collect();
    let taken = models.import_model(tokio_stream::iter(pieces)).await?.into_inner();
    Ok(taken.try_into().unwrap())
}
