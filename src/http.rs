//! Everything that listens: bind with a message that names a busy address, limits, graceful stop.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};

/// The largest request body that is read, in bytes; a larger one is answered with 413.
pub const BODY_LIMIT: usize = 8 << 20;
/// The largest request line with its headers, in bytes.
const HEAD_LIMIT: usize = 64 << 10;
/// How long a client may take to send its headers, and how long a request may take altogether.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at a time; further ones wait to be accepted.
const CONNECTIONS: usize = 1024;
/// How long requests that are being answered may take once the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Who sent a request, among its extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// What happened; names the address.
    pub message: String,
    /// What to do about it; names the setting.
    pub help: String,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.help)
    }
}

impl std::error::Error for BindError {}

/// A bound address, not served yet: so that a busy port is known before anything else starts.
#[derive(Debug)]
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

/// Binds `host:port`; port 0 takes a free one. `setting` is where the address comes from, for the error message:
/// "`[http] listen`", "`--listen`".
///
/// # Errors
/// The address is busy, not this machine's, not permitted, or not an address.
pub async fn bind(address: &str, setting: &str) -> Result<Listener, BindError> {
    let bound = match TcpListener::bind(address).await {
        Ok(inner) => inner.local_addr().map(|address| Listener { inner, address }),
        Err(e) => Err(e),
    };
    bound.map_err(|e| refusal(address, setting, &e))
}

fn refusal(address: &str, setting: &str, e: &io::Error) -> BindError {
    let (message, help) = match e.kind() {
        io::ErrorKind::AddrInUse => (
            format!("address {address} is in use"),
            format!("end the process that listens there, or set {setting} to a free port"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("address {address} is not one of this machine"),
            format!("set {setting} to an address of this machine, or to 0.0.0.0 for all of them"),
        ),
        io::ErrorKind::PermissionDenied => {
            (format!("address {address} is not permitted to this user"), format!("set {setting} to a port above 1023"))
        }
        _ => (
            format!("cannot listen on {address}: {e}"),
            format!("set {setting} to an address and a port, such as 127.0.0.1:9187"),
        ),
    };
    BindError { message, help }
}

impl Listener {
    /// The address with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as the beginning of a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until `stop` is ready; requests that are being answered then are finished, within a few seconds.
    pub async fn serve(self, app: Router, stop: impl Future<Output = ()>) {
        let app = app.layer(DefaultBodyLimit::max(BODY_LIMIT)).layer(middleware::from_fn(in_time));
        let service = TowerToHyperService::new(app);
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, self.inner.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let service = service.clone();
                    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                        request.extensions_mut().insert(Peer(peer));
                        service.call(request)
                    });
                    let connection = server.serve_connection(TokioIo::new(stream), service);
                    let connection = graceful.watch(connection);
                    tokio::spawn(async move {
                        let _place = place;
                        // A client that breaks off is its own matter.
                        let _ = connection.await;
                    });
                }
                Err(e) => {
                    // Out of file descriptors, mostly: others may become free.
                    tracing::warn!(address = %self.address, "cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.inner);
        // At the timeout the answers that are left are given up.
        let _ = tokio::time::timeout(STOP_TIMEOUT, graceful.shutdown()).await;
    }
}

/// A request whose body trickles in does not hold its connection for ever.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(f: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f)
    }

    #[test]
    fn a_busy_address_is_named_with_the_setting_that_helps() {
        block_on(async {
            let first = bind("127.0.0.1:0", "[http] listen").await.unwrap();
            let address = first.address().to_string();
            let e = bind(&address, "[http] listen").await.unwrap_err();
            assert_eq!(
                e.to_string(),
                format!(
                    "address {address} is in use: end the process that listens there, or set [http] listen to a free port"
                )
            );
            for (bad, said) in [("192.0.2.1:80", "not one of this machine"), ("nonsense", "cannot listen on nonsense")]
            {
                let e = bind(bad, "--listen").await.unwrap_err();
                assert!(e.message.contains(said) && e.help.contains("--listen"), "{e}");
            }
        });
    }

    #[test]
    fn stopping_finishes_the_answer_that_is_under_way_and_frees_the_port() {
        block_on(async {
            let (begun, mut beginning) = tokio::sync::mpsc::channel::<()>(1);
            let release = Arc::new(tokio::sync::Notify::new());
            let held = release.clone();
            let app = Router::new().route(
                "/",
                axum::routing::get(move || async move {
                    let _ = begun.send(()).await;
                    held.notified().await;
                    "done"
                }),
            );
            let listener = bind("127.0.0.1:0", "x").await.unwrap();
            let (url, address) = (listener.url(), listener.address());
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let server = tokio::spawn(listener.serve(app, async {
                let _ = stopped.await;
            }));
            let client = tokio::spawn(async move { reqwest::get(url).await.unwrap().text().await.unwrap() });
            beginning.recv().await.unwrap();
            stop.send(()).unwrap();
            release.notify_one();
            assert_eq!(client.await.unwrap(), "done");
            server.await.unwrap();
            bind(&address.to_string(), "x").await.unwrap();
        });
    }
}
