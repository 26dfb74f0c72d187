//! A request's body: read within a time, a size and a budget, and unpacked.

use super::problem::Problem;
use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, StatusCode, header},
};
use flate2::{bufread::GzDecoder, read::MultiGzDecoder};
use std::{
    io::{self, Read},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How long a client may take over a body.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// A step of unpacking, in bytes.
const STEP: usize = 64 << 10;

/// How many bytes of requests may be in memory at a time.
#[derive(Debug)]
pub(super) struct Budget {
    used: Arc<AtomicUsize>,
    whole: usize,
}

/// Bytes taken out of the budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: usize,
    used: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Budget {
    /// Room for several of the largest requests.
    pub fn new(largest: usize) -> Budget {
        Budget { used: Arc::default(), whole: largest.saturating_mul(8).max(64 << 20) }
    }

    /// The bytes that are taken at the moment.
    pub fn used(&self) -> Arc<AtomicUsize> {
        self.used.clone()
    }

    pub fn nothing(&self) -> Held {
        Held { bytes: 0, used: self.used.clone() }
    }

    /// Takes `bytes` more. It never waits: requests that hold a part each and wait for the rest would wait for ever.
    pub fn take(&self, held: &mut Held, bytes: usize) -> Result<(), Problem> {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.whole);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            let why = "the collector holds as many bytes as it may: send the request again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why).retry_after(1));
        }
        held.bytes += bytes;
        Ok(())
    }
}

/// The body as its sender meant it: read to its end and unpacked.
pub(super) async fn read(
    mut body: Body,
    headers: &HeaderMap,
    limit: usize,
    budget: &Budget,
    held: &mut Held,
) -> Result<Vec<u8>, Problem> {
    let packed = encoding(headers)?;
    let read = tokio::time::timeout(READ_TIMEOUT, gather(&mut body, limit, budget, held)).await;
    let bytes = match read {
        Ok(read) => read?,
        Err(_) => {
            let why = format!("the body did not arrive within {} seconds", READ_TIMEOUT.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", why));
        }
    };
    if bytes.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "empty-body", "the request has no body: send an event"));
    }
    if packed { unpack(&bytes, limit, budget, held) } else { Ok(bytes) }
}

/// Whether the body is packed.
fn encoding(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let first = encodings.next().map(|v| String::from_utf8_lossy(v.as_bytes()).trim().to_ascii_lowercase());
    match (first.as_deref(), encodings.next()) {
        (None | Some("" | "identity"), None) => Ok(false),
        (Some("gzip" | "x-gzip"), None) => Ok(true),
        (first, _) => {
            let why =
                format!("content-encoding {:?} is not understood: send gzip, or nothing", first.unwrap_or_default());
            let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown-encoding", why);
            Err(problem.header(header::ACCEPT_ENCODING, "gzip"))
        }
    }
}

async fn gather(body: &mut Body, limit: usize, budget: &Budget, held: &mut Held) -> Result<Vec<u8>, Problem> {
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = chunk(body).await {
        let chunk = chunk.map_err(|e| {
            Problem::new(StatusCode::BAD_REQUEST, "body-broken-off", format!("the body cannot be read: {e}"))
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        budget.take(held, chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The next bytes of a body; trailers are passed over.
async fn chunk(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        match frame.map(|f| f.into_data()) {
            Ok(Ok(data)) => return Some(Ok(data)),
            Ok(Err(_trailers)) => {}
            Err(e) => return Some(Err(e)),
        }
    }
}

fn too_large(limit: usize) -> Problem {
    let why = format!("a body may have {limit} bytes, packed and unpacked: send fewer events at a time");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", why)
}

/// Unpacks step by step, so that a small body that unpacks to a huge one is noticed before it is in memory.
fn unpack(packed: &[u8], limit: usize, budget: &Budget, held: &mut Held) -> Result<Vec<u8>, Problem> {
    let mut reader = MultiGzDecoder::new(packed);
    let (mut bytes, mut step) = (Vec::new(), vec![0; STEP]);
    loop {
        match reader.read(&mut step) {
            Ok(0) if bytes.is_empty() => {
                let why = "the body unpacks to nothing: send an event";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "empty-body", why));
            }
            Ok(0) => return Ok(bytes),
            Ok(n) if bytes.len() + n > limit => return Err(too_large(limit)),
            Ok(n) => {
                budget.take(held, n)?;
                bytes.extend_from_slice(&step[..n]);
            }
            Err(e) => {
                let why = after_the_end(packed).unwrap_or_else(|| match e.kind() {
                    io::ErrorKind::UnexpectedEof => "the gzip body ends before its end".to_owned(),
                    _ => format!("the body is no gzip, as its content-encoding says: {e}"),
                });
                return Err(Problem::new(StatusCode::BAD_REQUEST, "bad-gzip", why));
            }
        }
    }
}

/// What follows a gzip body that is whole, in words, where that is no further member.
fn after_the_end(packed: &[u8]) -> Option<String> {
    let mut first = GzDecoder::new(packed);
    io::copy(&mut first, &mut io::sink()).ok()?;
    match first.into_inner() {
        [] | [0x1f, 0x8b, ..] => None,
        [_] => Some("1 byte follows the end of the gzip body: send nothing after it".to_owned()),
        more => Some(format!("{} bytes follow the end of the gzip body: send nothing after it", more.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(packed: &[u8], limit: usize) -> Result<Vec<u8>, (u16, &'static str)> {
        let budget = Budget::new(1 << 20);
        let mut held = budget.nothing();
        let result = unpack(packed, limit, &budget, &mut held).map_err(|p| (p.status.as_u16(), p.code));
        drop(held);
        assert_eq!(budget.used().load(Ordering::Relaxed), 0);
        result
    }

    #[test]
    fn gzip_is_unpacked_in_members_and_never_beyond_the_limit() {
        let packed = gzip(b"[1,2]");
        assert_eq!(unpacked(&packed, 5), Ok(b"[1,2]".to_vec()));
        assert_eq!(unpacked(&packed, 4), Err((413, "body-too-large")));
        assert_eq!(unpacked(&[gzip(b"a"), gzip(b"b")].concat(), 5), Ok(b"ab".to_vec()));
        assert_eq!(unpacked(&gzip(b""), 5), Err((400, "empty-body")));
        for cut in 1..packed.len() {
            assert_eq!(unpacked(&packed[..cut], 5).unwrap_err(), (400, "bad-gzip"), "{cut}");
        }
        assert_eq!(unpacked(b"{\"id\":1}", 50), Err((400, "bad-gzip")));
        let bomb = gzip(&vec![b' '; 100 << 20]);
        assert!(bomb.len() < 1 << 20);
        assert_eq!(unpacked(&bomb, 1 << 20), Err((413, "body-too-large")));
    }

    #[test]
    fn the_budget_says_no_at_once_and_is_given_back() {
        let budget = Budget::new(1);
        let (mut one, mut other) = (budget.nothing(), budget.nothing());
        budget.take(&mut one, 60 << 20).unwrap();
        budget.take(&mut other, 4 << 20).unwrap();
        assert_eq!(budget.take(&mut other, 1).unwrap_err().status, 503);
        drop(one);
        budget.take(&mut other, 1).unwrap();
        assert_eq!(budget.used().load(Ordering::Relaxed), (4 << 20) + 1);
    }
}
