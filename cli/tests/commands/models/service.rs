//! A service of models that answers as the test wants.

use std::sync::{Arc, Mutex};

use smartfw_core::record::Lesson;
use smartfw_learn::ModelFile;
use smartfw_proto::{
    limits,
    view::{ImportModelPiece, ModelHead, ModelImported, ModelPlaces, ModelRow, Voucher},
    wire::{self, models_server::Models},
};
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

/// What the service answers.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) rows: Vec<ModelRow>,
    pub(crate) lessons: Vec<Lesson>,
    /// The file of every model.
    pub(crate) file: Vec<u8>,
    /// Why nothing is changed.
    pub(crate) refusal: Option<Status>,
}

/// What the service was asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) used: Vec<String>,
    pub(crate) shadows: Vec<Option<String>>,
    pub(crate) imports: Vec<(ModelHead, Vec<u8>)>,
    pub(crate) distrusted: Vec<Vec<u8>>,
}

pub(crate) struct Service {
    pub(crate) kept: Kept,
    pub(crate) asked: Arc<Mutex<Asked>>,
}

impl Service {
    fn refused(&self) -> Result<(), Status> {
        self.kept.refusal.clone().map_or(Ok(()), Err)
    }
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(messages: Vec<T>) -> Answers<T> {
    Box::pin(tokio_stream::iter(messages.into_iter().map(Ok)))
}

#[tonic::async_trait]
impl Models for Service {
    type ExportModelStream = Answers<wire::ModelPiece>;
    type ListLessonsStream = Answers<wire::LessonChunk>;

    async fn list_models(
        &self,
        _: Request<wire::ListModelsRequest>,
    ) -> Result<Response<wire::ModelList>, Status> {
        Ok(Response::new(self.kept.rows.clone().into()))
    }

    async fn use_model(
        &self,
        request: Request<wire::UseModelRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        self.refused()?;
        let name = request.into_inner().name;
        self.asked.lock().unwrap().used.push(name.clone());
        let places = ModelPlaces { used: Some(name), shadow: None, previous: Some("builtin".into()) };
        Ok(Response::new(places.into()))
    }

    async fn shadow_model(
        &self,
        request: Request<wire::ShadowModelRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        self.refused()?;
        let shadow = request.into_inner().name;
        self.asked.lock().unwrap().shadows.push(shadow.clone());
        let places = ModelPlaces { used: Some("builtin".into()), shadow, previous: None };
        Ok(Response::new(places.into()))
    }

    async fn import_model(
        &self,
        request: Request<Streaming<wire::ImportModelPiece>>,
    ) -> Result<Response<wire::ModelImported>, Status> {
        self.refused()?;
        let mut pieces = request.into_inner();
        let (mut head, mut bytes) = (None, Vec::new());
        while let Some(piece) = pieces.next().await {
            match ImportModelPiece::try_from(piece?)? {
                ImportModelPiece::Head(first) => head = Some(first),
                ImportModelPiece::Data(data) => bytes.extend(data),
            }
        }
        let (head, file) = (head.unwrap(), ModelFile::read(bytes.clone()).unwrap());
        let name = head.name.clone().unwrap_or_else(|| file.card().name.clone());
        self.asked.lock().unwrap().imports.push((head, bytes));
        let taken = ModelImported { name, signer: file.signer().0, voucher: Some(Voucher::Imported) };
        Ok(Response::new(taken.into()))
    }

    async fn export_model(
        &self,
        _: Request<wire::ExportModelRequest>,
    ) -> Result<Response<Self::ExportModelStream>, Status> {
        self.refused()?;
        let pieces = self.kept.file.chunks(limits::MODEL_PIECE);
        Ok(Response::new(stream(pieces.map(|data| wire::ModelPiece { data: data.to_vec() }).collect())))
    }

    async fn remove_model(
        &self,
        _: Request<wire::RemoveModelRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        self.refused()?;
        Ok(Response::new(ModelPlaces::default().into()))
    }

    async fn distrust_key(
        &self,
        request: Request<wire::DistrustKeyRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        self.refused()?;
        self.asked.lock().unwrap().distrusted.push(request.into_inner().key);
        Ok(Response::new(ModelPlaces::default().into()))
    }

    async fn list_lessons(
        &self,
        _: Request<wire::ListLessonsRequest>,
    ) -> Result<Response<Self::ListLessonsStream>, Status> {
        Ok(Response::new(stream(vec![self.kept.lessons.clone().into()])))
    }
}
