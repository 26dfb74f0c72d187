//! `generate` to an HTTP collector: a plain server of the test's own answers as one would.

use crate::harness::{Project, block_on, wait_until};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

type Answer = dyn Fn(usize, &HeaderMap, &str) -> Response + Send + Sync;

/// Every body that was answered with a success.
struct Collector {
    url: String,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    /// `answer` is told the number of the request, from 0.
    fn start(answer: Box<Answer>) -> Collector {
        let taken: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, asked) = (taken.clone(), Arc::new(Mutex::new(0)));
        let answer: Arc<Answer> = answer.into();
        let handler = move |headers: HeaderMap, body: Bytes| async move {
            let body = String::from_utf8_lossy(&body).into_owned();
            let number = {
                let mut asked = asked.lock().unwrap();
                *asked += 1;
                *asked - 1
            };
            let response = answer(number, &headers, &body);
            if response.status().is_success() {
                kept.lock().unwrap().push(body);
            }
            response
        };
        let listener = block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        let router = Router::new().route("/events", post(handler));
        block_on(async { drop(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })) });
        Collector { url, taken }
    }

    fn lines(&self) -> Vec<String> {
        self.taken.lock().unwrap().iter().flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}

#[test]
fn batches_are_posted_and_a_busy_collector_is_asked_again_when_it_says() {
    let before: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken_before = before.clone();
    let collector = Collector::start(Box::new(move |number, headers, body| {
        assert_eq!(headers["authorization"], "Bearer secret");
        assert_eq!(headers["content-type"], "application/x-ndjson");
        assert!(body.lines().count() <= 40);
        match number {
            1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
            2 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
            // The brokers went away in the middle: the first two records are in the topic already.
            3 => {
                taken_before.lock().unwrap().extend(body.lines().take(2).map(str::to_owned));
                let body = r#"{"accepted":[0,1]}"#;
                (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], body).into_response()
            }
            _ => StatusCode::ACCEPTED.into_response(),
        }
    }));
    let project = Project::shipped();
    let to = ["generate", "processed-events", "--count", "250", "--batch", "40", "--token", "secret", "--to"];
    let finished = project.run(&[&to[..], &[&collector.url]].concat()).ok();
    assert!(finished.stderr.contains("  250 acknowledged"), "{}", finished.stderr);
    let mut sent: Vec<String> = collector.lines();
    sent.extend(before.lock().unwrap().drain(..));
    let same = project.run(&["generate", "processed-events", "--count", "250"]).ok();
    let mut expected: Vec<String> = same.stdout.lines().map(str::to_owned).collect();
    sent.sort();
    expected.sort();
    assert_eq!(sent, expected, "each record once, the same as to the standard output");
}

#[test]
fn what_a_collector_refuses_is_counted_by_its_reason() {
    // As a collector does: what is no JSON is 400; of a batch, what fits is taken.
    let collector = Collector::start(Box::new(|_, _, body| {
        let fits = |line: &&str| !line.contains("\"guest\"") && line.contains("\"user_id\"");
        if serde_json::from_str::<serde_json::Value>(body.lines().next().unwrap()).is_err() {
            return StatusCode::BAD_REQUEST.into_response();
        }
        let accepted = body.lines().filter(fits).count();
        if accepted == body.lines().count() {
            return StatusCode::ACCEPTED.into_response();
        }
        (StatusCode::UNPROCESSABLE_ENTITY, format!("{{\"accepted\":{accepted}}}")).into_response()
    }));
    let project = Project::shipped();
    let faults = ["--invalid", "30%", "--faults", "missing-field,truncated", "--seed", "4"];
    let to = ["generate", "processed-events", "--count", "300", "--batch", "10", "--to", &collector.url];
    let finished = project.run(&[&to[..], &faults].concat());
    let told = &finished.stderr;
    assert!(told.contains("with a fault: ") && told.contains(" truncated"), "{told}");
    assert!(
        told.contains(" refused: 400 Bad Request") && told.contains(" refused: 422 Unprocessable Entity"),
        "{told}"
    );
    assert_eq!(finished.code, Some(0), "it refused no more than was made bad: {told}");
}

#[test]
fn a_rate_is_kept_towards_a_collector_too() {
    let collector = Collector::start(Box::new(|_, _, _| StatusCode::ACCEPTED.into_response()));
    let to = ["generate", "processed-events", "--count", "40", "--rate", "100", "--batch", "5", "--to", &collector.url];
    let finished = Project::shipped().run(&to).ok();
    assert!(finished.stderr.contains("  40 acknowledged"), "{}", finished.stderr);
}

#[test]
fn a_collector_that_says_no_for_good_ends_it() {
    let collector =
        Collector::start(Box::new(|_, _, _| (StatusCode::UNAUTHORIZED, "{\"title\":\"no token\"}").into_response()));
    let finished = Project::shipped().run(&["generate", "shop.Event", "--to", &collector.url, "--count", "5"]);
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("401 Unauthorized: no token"), "{}", finished.stderr);
    assert!(finished.stderr.contains("--token"), "{}", finished.stderr);
}

#[test]
fn a_collector_that_nobody_is_behind_is_waited_for_aloud_and_every_record_is_counted() {
    let project = Project::shipped();
    // No service has port 1.
    let generating =
        project.spawn(&["generate", "processed-events", "--to", "http://127.0.0.1:1/x", "--count", "1000"]);
    wait_until("it tells what it waits for", Duration::from_secs(30), || {
        generating.stderr().contains("waits up to 60 s for http://127.0.0.1:1/x")
    });
    generating.signal("INT");
    let finished = generating.wait();
    let told = &finished.stderr;
    assert_eq!(finished.code, Some(3), "{told}");
    assert_eq!(told.matches("waits up to").count(), 1, "{told}");
    let count = |end: &str| {
        let line = told.lines().find(|l| l.contains(end)).unwrap_or_else(|| panic!("{end} is missing in\n{told}"));
        line.split_whitespace().next().unwrap().replace(',', "").parse::<u64>().unwrap()
    };
    assert_eq!(count(" of processed-events (seed 1)"), count(" not acknowledged"), "{told}");
    assert_eq!(count("  0 acknowledged"), 0);
}
