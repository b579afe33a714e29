//! What a person on this host may ask and order of the node's models.

mod seats;

use smartfw_core::record::Lesson;
use smartfw_learn::{ModelFile, Signer};
use smartfw_proto::{
    convert::distrusted,
    limits,
    view::{ModelImported, ModelPlaces, ModelRow},
    wire::{self, models_server::Models as Wire},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    cluster::{audit::Caller, of_root},
    lists,
    service::{Service, ending},
};
use crate::models::{Models, ModelsError};
use seats::Seats;

/// The service.
#[derive(Clone)]
pub struct ModelsService {
    service: Service,
    seats: Seats,
}

impl ModelsService {
    /// For the models of this node.
    pub fn new(service: Service) -> Self {
        Self { service, seats: Seats::default() }
    }

    /// Files are read and written without holding up the runtime.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Models) -> Result<T, ModelsError> + Send + 'static,
    ) -> Result<T, Status> {
        let models = self.service.models.clone();
        let done = tokio::task::spawn_blocking(move || work(&models)).await.map_err(|_| ending())?;
        done.map_err(|why| refused(&why))
    }

    async fn import(&self, mut pieces: Streaming<wire::ImportModelPiece>) -> Result<ModelImported, Status> {
        let _seat = self.seats.import()?;
        let (head, bytes) = seats::gather(&mut pieces, seats::PATIENCE).await?;
        self.with(move |models| {
            let file = ModelFile::read(bytes).map_err(ModelsError::NoModel)?;
            models.import(&file, head)
        })
        .await
    }
}

type Stream<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl Wire for ModelsService {
    type ExportModelStream = Stream<wire::ModelPiece>;
    type ListLessonsStream = Stream<wire::LessonChunk>;

    async fn list_models(
        &self,
        _: Request<wire::ListModelsRequest>,
    ) -> Result<Response<wire::ModelList>, Status> {
        let _seat = self.seats.read()?;
        let rows: Vec<ModelRow> = self.with(Models::list).await?;
        Ok(Response::new(rows.into()))
    }

    async fn use_model(
        &self,
        request: Request<wire::UseModelRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        let (caller, name) = (Caller::of(&request, &self.service.uplink), request.into_inner().name);
        let used = self.with(move |models| models.use_(&name)).await;
        caller.ended("use_model", used, placed).map(|places| Response::new(places.into()))
    }

    async fn shadow_model(
        &self,
        request: Request<wire::ShadowModelRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        let (caller, name) = (Caller::of(&request, &self.service.uplink), request.into_inner().name);
        let shadowed = self.with(move |models| models.shadow(name.as_deref())).await;
        caller.ended("shadow_model", shadowed, placed).map(|places| Response::new(places.into()))
    }

    async fn import_model(
        &self,
        request: Request<Streaming<wire::ImportModelPiece>>,
    ) -> Result<Response<wire::ModelImported>, Status> {
        // Whoever it comes from decides what is dropped.
        of_root(&request, "import models")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let taken = self.import(request.into_inner()).await;
        let taken = caller.ended("import_model", taken, |taken| taken.name.clone())?;
        Ok(Response::new(taken.into()))
    }

    async fn export_model(
        &self,
        request: Request<wire::ExportModelRequest>,
    ) -> Result<Response<Self::ExportModelStream>, Status> {
        let (name, seat) = (request.into_inner().name, self.seats.read()?);
        let file = self.with(move |models| models.export(&name)).await?;
        let pieces = file.as_bytes().chunks(limits::MODEL_PIECE).map(<[u8]>::to_vec).collect();
        Ok(Response::new(seats::give(pieces, seat, seats::PATIENCE)))
    }

    async fn remove_model(
        &self,
        request: Request<wire::RemoveModelRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        let (caller, name) = (Caller::of(&request, &self.service.uplink), request.into_inner().name);
        let what = name.clone();
        let removed = self.with(move |models| models.remove(&name)).await;
        caller.ended("remove_model", removed, |_| what).map(|places| Response::new(places.into()))
    }

    async fn distrust_key(
        &self,
        request: Request<wire::DistrustKeyRequest>,
    ) -> Result<Response<wire::ModelPlaces>, Status> {
        of_root(&request, "say whose models are believed")?;
        let caller = Caller::of(&request, &self.service.uplink);
        let signer = Signer(distrusted(request.into_inner())?);
        let done = self.with(move |models| models.distrust(signer)).await;
        caller.ended("distrust_key", done, |_| signer.to_string()).map(|places| Response::new(places.into()))
    }

    async fn list_lessons(
        &self,
        _: Request<wire::ListLessonsRequest>,
    ) -> Result<Response<Self::ListLessonsStream>, Status> {
        let lessons = self.service.ask(|agent, _| agent.lessons().cloned().collect::<Vec<Lesson>>()).await?;
        Ok(Response::new(lists::chunks(lessons, limits::CHUNK, |lessons| wire::LessonChunk { lessons })))
    }
}

fn placed(places: &ModelPlaces) -> String {
    let name = |place: &Option<String>| place.clone().unwrap_or_else(|| "none".to_owned());
    format!("in use {}, shadow {}", name(&places.used), name(&places.shadow))
}

/// What was asked for wrongly, and what the host refuses.
fn refused(why: &ModelsError) -> Status {
    match why {
        ModelsError::Io { .. } | ModelsError::Key(_) => Status::failed_precondition(why.to_string()),
        _ => Status::invalid_argument(why.to_string()),
    }
}
