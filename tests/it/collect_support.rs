//! A collector of a test's own: `pointsman collect` over a topic of its own, and a client.

use crate::harness::{Message, Project, Running, block_on, bootstrap_servers, create_topic, unique, wait_until};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use std::time::Duration;

pub const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"shop","doc":"What a visitor did.","fields":[
  {"name":"id","type":"long"},
  {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["view","purchase"]}},
  {"name":"quantity","type":["null","int"],"default":null},
  {"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}],"default":null},
  {"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[
    {"name":"sku","type":"string"},{"name":"count","type":"int"}]}},"default":[]}]}"#;

/// A running collector.
pub struct Collecting {
    pub project: Project,
    pub running: Running,
    /// Where events are posted to.
    pub url: String,
    /// Where /metrics, /health and /ready are.
    pub pages: String,
    pub topic: String,
}

/// An answer with its body as JSON, null where there is none.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The status and the problem's code.
    pub fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert!(!self.body["detail"].as_str().unwrap().is_empty() && self.body["title"].is_string(), "{self:?}");
        (self.status, self.body["code"].as_str().unwrap())
    }
}

/// The configuration of a collector `shop` on a free port; `keys` are added to it, `more` stands behind it.
pub fn config(servers: &str, topic: &str, keys: &str, more: &str) -> String {
    format!(
        r#"version = 1
app = "{topic}"
[kafka]
bootstrap_servers = "{servers}"
[http]
listen = "127.0.0.1:0"
[validators.event]
schema = "shop.Event"
[validators.event.rules]
counted = "!has(quantity) || quantity > 0"
priced = {{ check = "kind != 'purchase' || has(price)", message = "a purchase has a price" }}
[collectors.shop]
listen = "127.0.0.1:0"
topic = "{topic}"
validator = "event"
{keys}
{more}
"#
    )
}

impl Collecting {
    /// A collector that takes events, over a new topic with three partitions.
    pub fn start(keys: &str, more: &str) -> Collecting {
        Collecting::start_with(keys, more, |project| project)
    }

    /// The same, with more in its project.
    pub fn start_with(keys: &str, more: &str, prepare: impl FnOnce(Project) -> Project) -> Collecting {
        let topic = unique("collect");
        create_topic(&topic, 3, &[]);
        let project = Project::new(&config(&bootstrap_servers(), &topic, keys, more));
        let collecting = Collecting::launch(prepare(project.file("schemas/event.avsc", SCHEMA)), topic);
        collecting.wait_until_ready();
        collecting
    }

    /// A collector that may still wait for its broker.
    pub fn launch(project: Project, topic: String) -> Collecting {
        let running = project.spawn(&["collect"]);
        Collecting::of(project, running, topic)
    }

    /// The same, of a `pointsman collect` that runs already.
    pub fn of(project: Project, mut running: Running, topic: String) -> Collecting {
        let mut pages = None;
        wait_until("the collector listens", Duration::from_secs(60), || {
            assert!(running.runs(), "{}", running.stderr());
            pages = logged(&running, "pages: /metrics, /health, /ready");
            pages.is_some()
        });
        let pages = pages.unwrap();
        let mut url = String::new();
        wait_until("/health tells of the collector", Duration::from_secs(60), || {
            let health = get(&format!("{pages}/health"));
            url = health.body["collectors"][0]["url"].as_str().unwrap_or_default().to_owned();
            !url.is_empty()
        });
        Collecting { project, running, url, pages, topic }
    }

    pub fn wait_until_ready(&self) {
        let ready = format!("{}/ready", self.pages);
        wait_until("the collector is ready", Duration::from_secs(60), || get(&ready).status == 200);
    }

    /// Posts a body of this content type.
    pub fn post(&self, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send(&[("content-type", content_type)], body)
    }

    pub fn json(&self, body: &str) -> Answer {
        self.post("application/json", body)
    }

    /// Posts a body with these headers alone.
    pub fn send(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        request(reqwest::Method::POST, &self.url, headers, body)
    }

    /// `host:port` of the collector.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    pub fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.pages);
        block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
    }
}

/// The `url` of the log line with this message.
fn logged(running: &Running, message: &str) -> Option<String> {
    let lines = running.stderr();
    let lines = lines.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    lines.filter(|l| l["message"] == message).find_map(|l| Some(l["url"].as_str()?.to_owned()))
}

pub fn get(url: &str) -> Answer {
    request(reqwest::Method::GET, url, &[], Vec::new())
}

pub fn request(method: reqwest::Method, url: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    block_on(async {
        let mut request = reqwest::Client::new().request(method, url).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json = headers.get(CONTENT_TYPE).is_some_and(|t| t.to_str().unwrap().contains("json"));
        let body = if json && !text.is_empty() { serde_json::from_str(&text).unwrap() } else { Value::Null };
        Answer { status, headers, body }
    })
}

/// The values of messages, as text, sorted.
pub fn values(messages: &[Message]) -> Vec<String> {
    let mut values: Vec<String> =
        messages.iter().map(|m| String::from_utf8(m.value.clone().unwrap()).unwrap()).collect();
    values.sort();
    values
}
