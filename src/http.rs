//! Everything that listens: bind with a message that names a busy address, limits, graceful stop.

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{DefaultBodyLimit, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Handle, sync::Semaphore};

/// The largest request body that is read, in bytes; a larger one is answered with 413.
pub const BODY_LIMIT: usize = 8 << 20;
/// The largest request line with its headers, in bytes.
const HEAD_LIMIT: usize = 16 << 10;
/// How long a client may take to send its headers, and how long a request may take altogether.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may leave its answer unread.
#[cfg(target_os = "linux")]
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at a time, at most; further ones wait to be accepted. With their heads they take 256 MiB.
const CONNECTIONS: usize = 16 << 10;
/// What is read and thrown away of a body that was answered unread, in bytes, and for how long.
const DRAIN: usize = 64 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
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
            format!("set {setting} to an address of this machine and a port: HOST:PORT"),
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
        let app = app
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(middleware::from_fn(in_time))
            .layer(middleware::from_fn(to_its_end));
        let service = TowerToHyperService::new(app);
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LIMIT);
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(places()));
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
                    // hyper's timer runs while it reads a head. Without this a client that asks and never reads stays.
                    #[cfg(target_os = "linux")]
                    if let Err(e) =
                        rustix::net::sockopt::set_tcp_user_timeout(&stream, UNREAD_TIMEOUT.as_millis() as u32)
                    {
                        tracing::debug!(address = %self.address, "a connection without a timeout for writing: {e}");
                    }
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

/// How many connections are served at a time: of the files that the process may open, a quarter is left to brokers and
/// databases. The soft limit is raised first: it is for programs that use select(2), and we do not.
fn places() -> usize {
    let files = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).is_ok();
    let limit = if raised { files.maximum } else { files.current };
    let three_quarters = |limit: u64| usize::try_from(limit / 4 * 3).unwrap_or(CONNECTIONS);
    limit.map_or(CONNECTIONS, three_quarters).clamp(1, CONNECTIONS)
}

/// A request whose body trickles in does not hold its connection for ever.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    }
}

/// An answer that was given before its request was read ends the connection, and says so: a client would send its next
/// request behind the rest of this one.
async fn to_its_end(request: Request, next: Next) -> Response {
    let left = Arc::new(AtomicBool::new(false));
    let watched = |inner| Body::new(Watched { inner, ended: false, left: left.clone() });
    let mut response = next.run(request.map(watched)).await;
    if left.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A body that tells when it is let go unread. What is left of it is read for a while: a sender that is still writing
/// when the connection closes may never see the answer.
struct Watched {
    inner: Body,
    ended: bool,
    left: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        self.ended |= !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.ended || self.inner.is_end_stream() {
            return;
        }
        self.left.store(true, Ordering::Relaxed);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, drain(std::mem::take(&mut self.inner))));
        }
    }
}

async fn drain(mut body: Body) {
    let mut left = DRAIN;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            break;
        }
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

    #[test]
    fn an_answer_before_the_end_of_its_request_is_read_by_its_sender_and_ends_the_connection() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        block_on(async {
            let app = Router::new()
                .route("/refused", axum::routing::post(|| async { StatusCode::UNAUTHORIZED }))
                .route("/read", axum::routing::post(|body: Bytes| async move { body.len().to_string() }));
            let listener = bind("127.0.0.1:0", "x").await.unwrap();
            let address = listener.address();
            tokio::spawn(listener.serve(app, std::future::pending()));
            let post = async |path: &str, bytes: usize| {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {bytes}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                // All of it: the connection stays until the sender has had its say.
                stream.write_all(&vec![b'x'; bytes]).await.unwrap();
                let mut answer = vec![0; 1024];
                let got = stream.read(&mut answer).await.unwrap();
                String::from_utf8(answer[..got].to_vec()).unwrap().to_ascii_lowercase()
            };
            let refused = post("/refused", 20 << 20).await;
            assert!(refused.starts_with("http/1.1 401") && refused.contains("connection: close"), "{refused}");
            let read = post("/read", 1 << 20).await;
            assert!(read.starts_with("http/1.1 200") && !read.contains("connection: close"), "{read}");
        });
    }
}
