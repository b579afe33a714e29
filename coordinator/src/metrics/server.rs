//! Serves the page, one request a connection.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

/// Connections at once: there is one Prometheus, and perhaps a person.
const CONNECTIONS: usize = 16;

/// A connection is closed after this long: it asks one question.
const PATIENCE: Duration = Duration::from_secs(10);

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve metrics on {address}: {source}; choose another --metrics ADDR:PORT, or \"off\"")]
pub struct MetricsError {
    /// Where it should have been.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Serves `page` at `/metrics` until the runtime ends.
///
/// # Errors
/// When the address cannot be had.
pub async fn serve(
    address: SocketAddr,
    page: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<SocketAddr, MetricsError> {
    let failed = |source| MetricsError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tokio::spawn(accept(listener, page));
    Ok(bound)
}

async fn accept(listener: TcpListener, page: Arc<dyn Fn() -> String + Send + Sync>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(seat) = seats.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await; // out of file descriptors: do not spin
            continue;
        };
        let page = page.clone();
        tokio::spawn(async move {
            let _seat = seat;
            let service = service_fn(move |request| answer(request, page.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, connection).await {
                tracing::debug!(%error, "metrics connection");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    page: Arc<dyn Fn() -> String + Send + Sync>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match tokio::task::spawn_blocking(move || page()).await {
            // It looks at every node.
            Ok(text) => (StatusCode::OK, text),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the page failed\n".to_owned()),
        },
        (&Method::GET, _) => (StatusCode::NOT_FOUND, "metrics are at /metrics\n".to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_page_is_at_its_path_and_nowhere_else() {
        let address =
            serve(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(|| "page\n".to_owned())).await.unwrap();
        let good = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(good.starts_with("HTTP/1.1 200") && good.ends_with("\r\n\r\npage\n"), "{good}");
        assert!(ask(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405"));
        let taken = serve(address, Arc::new(String::new)).await.unwrap_err().to_string();
        assert!(taken.contains("in use") && taken.contains("--metrics"), "{taken}");
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}
