//! Who may send, how often, and from which pages: bearer tokens, rates, CORS.

use super::problem::Problem;
use crate::config::bearer_tokens;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::{
    collections::HashMap,
    fs, io,
    net::IpAddr,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

/// How often the file of tokens is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Clients whose rate is remembered; beyond that, those that have been quiet are forgotten.
const CLIENTS: usize = 16_384;

/// Whom a rate is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// A token, by its hash.
    Token(u64),
    Address(IpAddr),
}

/// The bearer tokens of a file, read again when it has changed.
#[derive(Debug)]
pub(super) struct Tokens {
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    tokens: Vec<Vec<u8>>,
    /// Of the file as it was read; `None` where it could not be.
    mark: Option<Mark>,
    looked: Instant,
}

/// What changes when a file is written or replaced.
type Mark = (SystemTime, u64);

impl Tokens {
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub fn open(file: PathBuf) -> io::Result<Tokens> {
        let (tokens, mark) = read(&file)?;
        Ok(Tokens { known: Mutex::new(Known { tokens, mark: Some(mark), looked: Instant::now() }), file })
    }

    /// The client that a request's token stands for.
    pub fn check(&self, headers: &HeaderMap) -> Result<Client, Problem> {
        let challenge = |error: &str, why: &str| {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", why);
            problem.header(header::WWW_AUTHENTICATE, format!("Bearer realm=\"pointsman\"{error}"))
        };
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(challenge("", "send a token: `Authorization: Bearer TOKEN`"));
        };
        let token = value.as_bytes().split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let Some((_, token)) = token else {
            return Err(challenge("", "the authorization is no bearer token: `Authorization: Bearer TOKEN`"));
        };
        let token = token.trim_ascii();
        let mut known = lock(&self.known);
        self.refresh(&mut known);
        // Every token is compared in full: how long it takes says nothing of how much of one was right.
        if known.tokens.iter().fold(false, |found, t| found | same(t, token)) {
            Ok(Client::Token(hash(token)))
        } else {
            Err(challenge(", error=\"invalid_token\"", "the token is not known here"))
        }
    }

    /// Reads the file again where it has changed. One that cannot be read, or holds none, leaves the tokens as they were.
    fn refresh(&self, known: &mut Known) {
        if known.looked.elapsed() < LOOK {
            return;
        }
        known.looked = Instant::now();
        if known.mark.is_some() && mark(&self.file).ok() == known.mark {
            return;
        }
        let file = self.file.display();
        match read(&self.file) {
            Ok((tokens, mark)) => {
                tracing::info!(tokens = tokens.len(), "the tokens of {file} were read again");
                (known.tokens, known.mark) = (tokens, Some(mark));
            }
            Err(e) if known.mark.take().is_some() => {
                tracing::error!("tokens cannot be read any more ({e}): those that were in {file} go on to count");
            }
            Err(_) => {}
        }
    }
}

fn mark(file: &PathBuf) -> io::Result<Mark> {
    let facts = fs::metadata(file)?;
    Ok((facts.modified()?, facts.len()))
}

/// # Errors
/// The file cannot be read, or holds no token.
fn read(file: &PathBuf) -> io::Result<(Vec<Vec<u8>>, Mark)> {
    // The mark first: a file that changes meanwhile is read once more.
    let mark = mark(file)?;
    let text = fs::read(file)?;
    let tokens: Vec<Vec<u8>> = bearer_tokens(&text).map(<[u8]>::to_vec).collect();
    if tokens.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds no token: nobody could send anything"));
    }
    Ok((tokens, mark))
}

fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differences) == 0
}

fn hash(token: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(token);
    hasher.finish()
}

/// A bucket of requests for each client: it holds a second's worth, and fills as time passes.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    buckets: Mutex<HashMap<Client, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    pub fn new(per_second: u32) -> Rates {
        Rates { per_second: f64::from(per_second), buckets: Mutex::default() }
    }

    /// Takes one request out of the client's bucket.
    pub fn check(&self, client: Client, now: Instant) -> Result<(), Problem> {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= CLIENTS && !buckets.contains_key(&client) {
            // A bucket that is full again says nothing.
            buckets.retain(|_, b| now.duration_since(b.at) < Duration::from_secs(1));
            if buckets.len() >= CLIENTS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(client).or_insert(Bucket { left: self.per_second, at: now });
        let gained = now.duration_since(bucket.at).as_secs_f64() * self.per_second;
        *bucket = Bucket { left: (bucket.left + gained).min(self.per_second), at: now };
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        let why = format!("a client may send {} requests a second: put more events into one", self.per_second);
        Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", why).retry_after(1))
    }
}

/// The origins whose pages may send.
#[derive(Debug)]
pub(super) struct Cors(pub Vec<String>);

impl Cors {
    /// The origin that an answer allows.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.0.iter().any(|o| o == "*") {
            return Some(HeaderValue::from_static("*"));
        }
        self.0.iter().any(|o| o.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// Lets the page that asked read the answer.
    pub fn allow(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        // A cache must not give one origin's answer to another.
        answer.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.allowed(asked) {
            // Beacons ask for it always. A collector knows no cookies, so it opens nothing; browsers refuse it for `*`.
            if origin != "*" {
                answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
        }
    }

    /// Answers a browser's question before it posts.
    pub fn preflight(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if self.allowed(asked).is_none() {
            return;
        }
        let says: [(HeaderName, &str); 3] = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, content-encoding, traceparent, tracestate",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ];
        answer.extend(says.map(|(name, value)| (name, HeaderValue::from_static(value))));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_send_a_seconds_worth_at_once_and_then_at_its_rate() {
        let (rates, now) = (Rates::new(2), Instant::now());
        let (one, other) = (Client::Token(1), Client::Address([127, 0, 0, 1].into()));
        assert!(rates.check(one.clone(), now).is_ok() && rates.check(one.clone(), now).is_ok());
        let problem = rates.check(one.clone(), now).unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.code), (429, "too-many-requests"));
        assert!(rates.check(other, now).is_ok(), "each client has its own");
        assert!(rates.check(one.clone(), now + Duration::from_millis(500)).is_ok());
        assert!(rates.check(one, now + Duration::from_millis(600)).is_err());
    }

    #[test]
    fn clients_without_end_take_no_memory_without_end() {
        let (rates, now) = (Rates::new(1), Instant::now());
        for n in 0..100_000 {
            assert!(rates.check(Client::Token(n), now).is_ok());
        }
        assert!(lock(&rates.buckets).len() <= CLIENTS);
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(same(b"secret", b"secret"));
        for other in [&b"secre"[..], b"secrets", b"", b"Secret"] {
            assert!(!same(b"secret", other));
        }
    }
}
