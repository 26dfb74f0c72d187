//! A schema registry of a test's own: the one that Pointsman ships, as its users start it.

use super::{block_on, wait_until};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A running registry, kept in memory; it ends with this value.
pub struct Registry {
    child: Child,
    pub url: String,
}

impl Registry {
    pub fn start() -> Registry {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["registry", "--listen", &free.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Registry { child, url: format!("http://{free}") };
        let subjects = format!("{}/subjects", registry.url);
        wait_until("the registry answers", Duration::from_secs(20), || block_on(reqwest::get(&subjects)).is_ok());
        registry
    }

    /// Its table in routes.toml.
    pub fn table(&self) -> String {
        format!("[schema_registry]\nurl = \"{}\"\n", self.url)
    }

    /// Registers a schema; its id.
    pub fn register(&self, subject: &str, schema: &str) -> u32 {
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let answer: serde_json::Value = block_on(async {
            let body = serde_json::json!({ "schema": schema });
            reqwest::Client::new().post(url).json(&body).send().await.unwrap().json().await.unwrap()
        });
        answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")) as u32
    }

    /// Sets a setting: `/config/{subject}` or `/mode`, and the body.
    pub fn set(&self, path: &str, body: serde_json::Value) {
        let url = format!("{}{path}", self.url);
        let answer = block_on(async { reqwest::Client::new().put(url).json(&body).send().await.unwrap() });
        assert!(answer.status().is_success(), "{path}: {answer:?}");
    }

    /// The subject's newest schema.
    pub fn latest(&self, subject: &str) -> String {
        let url = format!("{}/subjects/{subject}/versions/latest", self.url);
        let answer: serde_json::Value = block_on(async { reqwest::get(url).await.unwrap().json().await.unwrap() });
        answer["schema"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
