//! The way to the daemon: its control service over a Unix socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use smartfw_core::order::{Order, Refusal};
use smartfw_proto::{
    convert::answer_from_wire,
    limits,
    view::Answer,
    wire::{
        self, cluster_client::ClusterClient, control_client::ControlClient, feeds_client::FeedsClient,
        mirror_client::MirrorClient, models_client::ModelsClient,
    },
};
use tokio::net::UnixStream;
use tokio_stream::StreamExt as _;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint, Uri},
};

use crate::failure::Failure;

/// A daemon that lives answers within this, even while it loads a million blocks.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A person in need does not wait for a daemon that hangs: then the kernel is asked straight.
pub(crate) const SHORT: Duration = Duration::from_secs(5);
/// A socket that somebody listens on takes a caller at once.
const CONNECT: Duration = Duration::from_secs(5);

/// A daemon that was reached.
pub(crate) struct Daemon {
    client: ControlClient<Channel>,
    cluster: ClusterClient<Channel>,
    feeds: FeedsClient<Channel>,
    mirror: MirrorClient<Channel>,
    models: ModelsClient<Channel>,
    socket: PathBuf,
    patience: Duration,
}

impl Daemon {
    /// Connects to the daemon that listens at `socket`.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Failure> {
        // Tried by hand first: the transport hides why it could not.
        let probe = tokio::time::timeout(CONNECT, UnixStream::connect(socket)).await;
        let stream = match probe {
            Err(_) => return Err(Failure::unreachable(socket, "it does not take calls")),
            Ok(Err(error)) => return Err(Failure::unreachable(socket, &why(&error))),
            Ok(Ok(stream)) => stream,
        };
        let mut first = Some(stream);
        let path = socket.to_path_buf();
        let connector = tower::service_fn(move |_: Uri| {
            let (first, path) = (first.take(), path.clone());
            async move {
                let stream = match first {
                    Some(stream) => stream,
                    None => UnixStream::connect(path).await?,
                };
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://smartfw.local").connect_timeout(CONNECT);
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| Failure::unreachable(socket, &error.to_string()))?;
        let cluster = ClusterClient::new(channel.clone())
            .max_decoding_message_size(limits::MESSAGE)
            .max_encoding_message_size(limits::MESSAGE);
        let feeds = FeedsClient::new(channel.clone()).max_decoding_message_size(limits::MESSAGE);
        let mirror = MirrorClient::new(channel.clone()).max_decoding_message_size(limits::MESSAGE);
        let models = ModelsClient::new(channel.clone())
            .max_decoding_message_size(limits::MESSAGE)
            .max_encoding_message_size(limits::MESSAGE);
        let client = ControlClient::new(channel)
            .max_decoding_message_size(limits::MESSAGE)
            .max_encoding_message_size(limits::MESSAGE);
        Ok(Self { client, cluster, feeds, mirror, models, socket: socket.to_path_buf(), patience: PATIENCE })
    }

    /// The same daemon, for a caller who waits no longer than this.
    pub(crate) fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// One question, one answer.
    pub(crate) async fn ask<T, F>(
        &mut self,
        call: impl FnOnce(ControlClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let answer = self.patiently(call(self.client.clone())).await?;
        Ok(answer.map_err(|status| self.said(&status))?.into_inner())
    }

    /// One question about the cluster, one answer.
    pub(crate) async fn ask_cluster<T, F>(
        &mut self,
        call: impl FnOnce(ClusterClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let answer = self.patiently(call(self.cluster.clone())).await?;
        Ok(answer.map_err(|status| self.said(&status))?.into_inner())
    }

    /// One question about the mirror, one answer.
    pub(crate) async fn ask_mirror<T, F>(
        &mut self,
        call: impl FnOnce(MirrorClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let answer = self.patiently(call(self.mirror.clone())).await?;
        Ok(answer.map_err(|status| self.said(&status))?.into_inner())
    }

    /// One question about threat feeds, one answer.
    pub(crate) async fn ask_feeds<T, F>(
        &mut self,
        call: impl FnOnce(FeedsClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let answer = self.patiently(call(self.feeds.clone())).await?;
        Ok(answer.map_err(|status| self.said(&status))?.into_inner())
    }

    /// One question about the models, one answer.
    pub(crate) async fn ask_models<T, F>(
        &mut self,
        call: impl FnOnce(ModelsClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        let answer = self.patiently(call(self.models.clone())).await?;
        Ok(answer.map_err(|status| self.said(&status))?.into_inner())
    }

    async fn patiently<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(self.patience, wait).await.map_err(|_| {
            let why = format!("it did not answer within {} s", self.patience.as_secs());
            Failure::unreachable(&self.socket, &why)
        })
    }

    /// An order, and what it did.
    pub(crate) async fn submit(&mut self, order: Order) -> Result<Result<Answer, Refusal>, Failure> {
        let order = wire::Order::try_from(order)?;
        let answer = self.ask(async |mut client| client.submit(order).await).await?;
        Ok(answer_from_wire(answer)?)
    }

    /// The next message of a stream; `None` at its end.
    pub(crate) async fn next<T>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, Failure> {
        self.patiently(self.next_ever(stream)).await?
    }

    /// As `next`, of a stream on which nothing may come for days.
    pub(crate) async fn next_ever<T>(&self, stream: &mut Streaming<T>) -> Result<Option<T>, Failure> {
        stream.next().await.transpose().map_err(|status| self.said(&status))
    }

    /// All entries of a stream of chunks, given to `each` as they come.
    pub(crate) async fn each<W, D>(
        &self,
        mut stream: Streaming<W>,
        mut each: impl FnMut(D) -> Result<(), Failure>,
    ) -> Result<(), Failure>
    where
        Vec<D>: TryFrom<W, Error = smartfw_proto::ConvertError>,
    {
        while let Some(chunk) = self.next(&mut stream).await? {
            for entry in <Vec<D>>::try_from(chunk)? {
                each(entry)?;
            }
        }
        Ok(())
    }

    /// What it means that a stream which never ends has ended.
    pub(crate) fn gone(&self) -> Failure {
        Failure::unreachable(&self.socket, "it went away")
    }

    /// What a status means to a person. A daemon that went away in the middle is one that cannot be reached; only
    /// what it refused as wrong is the question's own fault.
    pub(crate) fn said(&self, status: &Status) -> Failure {
        // With a source it is the transport's word, not the daemon's.
        let transport = std::error::Error::source(status).is_some();
        match status.code() {
            Code::InvalidArgument => Failure::failed(status.message()),
            Code::Unimplemented => {
                Failure::Broken("the daemon does not know this command: it is older than smartfw-cli".into())
            }
            _ if transport || status.message().is_empty() => self.gone(),
            Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted => Failure::unreachable(&self.socket, status.message()),
            _ => Failure::Broken(status.message().to_owned()),
        }
    }
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        io::ErrorKind::PermissionDenied => "only root and the group smartfw may".to_owned(),
        _ => error.to_string(),
    }
}

/// Runs what needs the daemon.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?.block_on(work)
}
