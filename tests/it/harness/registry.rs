//! A schema registry of a test's own: the one that Pointsman ships, as its users start it.

use super::block_on;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// A running registry, kept in memory; it ends with this value.
pub struct Registry {
    child: Child,
    pub url: String,
}

impl Registry {
    pub fn start() -> Registry {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(["registry", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It listens once it says where.
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let url = said.split([' ', ',']).find(|word| word.starts_with("http://"));
        let url = url.unwrap_or_else(|| panic!("the registry says {said:?}")).to_owned();
        Registry { child, url }
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
