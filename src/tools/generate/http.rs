//! Records to a collector: POSTs of newline-delimited JSON.

use super::{Generated, Tally, Target, show};
use crate::{
    failure::{Cause, Setback},
    generate::{Fault, stream::Expect},
};
use reqwest::{Client, StatusCode, Url, header};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, task::JoinSet, time::sleep};

/// Records of a request, where nobody says otherwise.
pub(super) const BATCH: u64 = 100;
/// Requests under way at once.
const REQUESTS: usize = 4;
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a collector may say "not now", or nothing at all, to one request.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait where the collector does not say.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Http {
    handle: Handle,
    poster: Arc<Poster>,
    batch: u64,
    lines: Vec<u8>,
    count: u64,
    under_way: JoinSet<Result<Answer, Setback>>,
    tally: Tally,
}

struct Poster {
    client: Client,
    url: Url,
    /// As it may be told: without user and password.
    shown: String,
    token: Option<String>,
    stop: Arc<AtomicBool>,
    /// That nobody answers has been told.
    told: AtomicBool,
}

/// What became of a request's records.
#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    accepted: u64,
    refused: u64,
    why: String,
}

/// What to do about an answer.
enum Step {
    Done(Answer),
    /// Later; these have been taken already, by their numbers in the request.
    Again {
        pause: Duration,
        why: String,
        accepted: Vec<u64>,
    },
    Give(Setback),
}

impl Http {
    /// Nothing is sent yet.
    pub fn open(
        url: &str,
        token: Option<&str>,
        batch: u64,
        handle: &Handle,
        stop: Arc<AtomicBool>,
    ) -> Result<Http, Setback> {
        let stand = |message: String, help: &str| Setback::stand(Cause::Host, message, help);
        let url = Url::parse(url).map_err(|e| {
            let url = url.rsplit('@').next().unwrap_or_default();
            stand(format!("{url} is no URL: {e}"), "write --to http://host:port/path")
        })?;
        let mut shown = url.clone();
        // Neither fails for a URL with a host.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        let client = Client::builder().timeout(TIMEOUT).build();
        let client = client.map_err(|e| stand(format!("no HTTP client can be made: {e}"), ""))?;
        Ok(Http {
            handle: handle.clone(),
            poster: Arc::new(Poster {
                client,
                url,
                shown: shown.into(),
                token: token.map(str::to_owned),
                stop,
                told: AtomicBool::new(false),
            }),
            batch,
            lines: Vec::new(),
            count: 0,
            under_way: JoinSet::new(),
            tally: Tally::default(),
        })
    }

    /// Where it sends to, in words.
    pub fn place(&self) -> &str {
        &self.poster.shown
    }

    /// Sends what has been collected.
    fn post(&mut self) -> Result<(), Setback> {
        if self.count > 0 {
            let (lines, count) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.count));
            self.request(lines, "application/x-ndjson", count)?;
        }
        Ok(())
    }

    fn request(&mut self, body: Vec<u8>, kind: &'static str, count: u64) -> Result<(), Setback> {
        self.wait_for(REQUESTS - 1)?;
        let poster = self.poster.clone();
        self.under_way.spawn_on(async move { poster.post(body, kind, count).await }, &self.handle);
        Ok(())
    }

    /// Waits until at most so many requests are under way.
    fn wait_for(&mut self, most: usize) -> Result<(), Setback> {
        while self.under_way.len() > most {
            let Some(joined) = self.handle.block_on(self.under_way.join_next()) else { break };
            let answer = joined.map_err(|e| Setback::stand(Cause::Host, format!("a request broke off: {e}"), ""))??;
            self.count(answer);
        }
        Ok(())
    }

    fn count(&mut self, answer: Answer) {
        self.tally.acknowledged += answer.accepted;
        if answer.refused > 0 {
            *self.tally.refused.entry(answer.why).or_default() += answer.refused;
        }
    }
}

impl Target for Http {
    fn send(&mut self, record: &Generated) -> Result<(), Setback> {
        if let Expect::Dead { fault: Fault::Truncated | Fault::NotJson, .. } = record.expect {
            // What is no JSON would take its neighbours' request with it.
            return self.request(record.value.clone(), "application/json", 1);
        }
        self.lines.extend_from_slice(&record.value);
        self.lines.push(b'\n');
        self.count += 1;
        if self.count >= self.batch { self.post() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Setback> {
        self.post()?;
        self.wait_for(0)
    }

    fn idle(&mut self, time: Duration) -> Result<(), Setback> {
        let until = Instant::now() + time;
        while let Some(joined) = self.under_way.try_join_next() {
            let answer = joined.map_err(|e| Setback::stand(Cause::Host, format!("a request broke off: {e}"), ""))??;
            self.count(answer);
        }
        // A timer is made inside the runtime or not at all.
        self.handle.block_on(async { sleep(until.saturating_duration_since(Instant::now())).await });
        Ok(())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl Poster {
    async fn post(&self, mut body: Vec<u8>, kind: &'static str, count: u64) -> Result<Answer, Setback> {
        let begun = Instant::now();
        let mut before = 0;
        loop {
            let count = count - before;
            let mut request = self.client.post(self.url.clone()).header(header::CONTENT_TYPE, kind).body(body.clone());
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            let (pause, why) = match request.send().await {
                Ok(response) => match self.step(response, count).await {
                    Step::Done(answer) => return Ok(Answer { accepted: before + answer.accepted, ..answer }),
                    Step::Give(setback) => return Err(setback),
                    Step::Again { pause, why, accepted } => {
                        before += accepted.len() as u64;
                        body = without(&body, &accepted);
                        (pause, why)
                    }
                },
                Err(error) => {
                    let why = chain(&error);
                    if !self.told.swap(true, Ordering::Relaxed) {
                        show::say(&format!("waits up to {} s for {}: {why}", PATIENCE.as_secs(), self.shown));
                    }
                    (PAUSE, why)
                }
            };
            let stopped = self.stop.load(Ordering::Relaxed);
            if stopped || begun.elapsed() + pause > PATIENCE {
                let message = format!("{} did not take {}: {why}", self.shown, show::records(count));
                return Err(Setback::stand(Cause::Host, message, "is the collector up? `pointsman collect` runs one"));
            }
            sleep(pause).await;
        }
    }

    async fn step(&self, response: reqwest::Response, count: u64) -> Step {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let text = if status.is_success() { String::new() } else { response.text().await.unwrap_or_default() };
        let what = format!("{status}{}", words(&text));
        match status {
            _ if status.is_success() => Step::Done(Answer { accepted: count, ..Answer::default() }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let accepted = listed(&text).into_iter().filter(|i| *i < count).collect();
                Step::Again { pause: retry_after.map_or(PAUSE, Duration::from_secs), why: what, accepted }
            }
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
                let accepted = accepted(&text).min(count);
                Step::Done(Answer { accepted, refused: count - accepted, why: status.to_string() })
            }
            _ => {
                let help = match status {
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                        "give one of its tokens: --token, or POINTSMAN_TOKEN"
                    }
                    StatusCode::NOT_FOUND => "the path has to be the collector's: [collectors.NAME] path",
                    StatusCode::PAYLOAD_TOO_LARGE => "send fewer records at once: --batch",
                    _ => "",
                };
                Step::Give(Setback::stand(Cause::Host, format!("{} answers {what}", self.shown), help))
            }
        }
    }
}

/// How many records a problem says were accepted in spite of it: a number, or a list of theirs.
fn accepted(text: &str) -> u64 {
    let problem: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    problem["accepted"].as_u64().unwrap_or_else(|| listed(text).len() as u64)
}

/// The numbers of the accepted records, where a problem lists them.
fn listed(text: &str) -> Vec<u64> {
    let problem: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    problem["accepted"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect()
}

/// The lines of a body but those of these numbers.
fn without(body: &[u8], numbers: &[u64]) -> Vec<u8> {
    let lines = body.split_inclusive(|b| *b == b'\n').enumerate();
    lines.filter(|(i, _)| !numbers.contains(&(*i as u64))).flat_map(|(_, line)| line.iter().copied()).collect()
}

/// What a problem says in words.
fn words(text: &str) -> String {
    let problem: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let said = problem["detail"].as_str().or(problem["title"].as_str());
    said.map(|said| format!(": {said}")).unwrap_or_default()
}

/// An error with its causes: reqwest's own words leave them out.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
