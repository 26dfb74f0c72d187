//! What a registry has under a subject, and whether it would take more.

use super::{
    client::{Client, Unread, encoded},
    refusal::{self, Refusal, RegisterError},
};
use crate::{
    failure::Setback,
    schema::{Schema, compatibility::Level},
};
use schema_registry_converter::{
    async_impl::schema_registry::{get_all_versions, get_schema_by_subject_and_version, perform_sr_call},
    schema_registry_common::SrCall,
};
use serde_json::{Value, json};

/// Where a subject has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub id: u32,
    pub version: u32,
}

/// One version of a subject.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: u32,
    pub version: u32,
    /// As it is registered.
    pub text: String,
    /// With what it refers to; in words why no Avro record can be read with it.
    pub schema: Result<Schema, String>,
}

/// What a registry says of a schema before it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub compatible: bool,
    /// In the registry's words; not every registry has some.
    pub reasons: Vec<String>,
}

impl Client {
    /// The place at which a subject has this schema; `None` if it does not have it.
    ///
    /// # Errors
    /// The registry did not answer, or not as a registry does.
    pub async fn place_of(&self, subject: &str, text: &str) -> Result<Option<Place>, Setback> {
        let body = json!({ "schema": text, "schemaType": "AVRO" }).to_string();
        let found = perform_sr_call(&self.settings, SrCall::PostForVersion(&encoded(subject), &body)).await;
        Ok(self.found(found)?.and_then(|raw| Some(Place { id: raw.id?, version: raw.version? })))
    }

    /// The versions of a subject; empty for a subject that is not there.
    ///
    /// # Errors
    /// The registry did not answer, or not as a registry does.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>, Setback> {
        let found = get_all_versions(&self.settings, encoded(subject)).await;
        Ok(self.found(found)?.unwrap_or_default())
    }

    /// One version of a subject, the newest where none is named; `None` where there is none.
    ///
    /// # Errors
    /// The registry did not answer, or not as a registry does.
    pub async fn version(&self, subject: &str, version: Option<u32>) -> Result<Option<Version>, Setback> {
        let found = get_schema_by_subject_and_version(&self.settings, &encoded(subject), version).await;
        let Some(found) = self.found(found)? else { return Ok(None) };
        let (id, version, text) = (found.id, found.version.unwrap_or_default(), found.schema.clone());
        let schema = self.whole(found).await?.map_err(Unread::why);
        Ok(Some(Version { id, version, text, schema }))
    }

    /// The level that a new version of the subject is held to: its own, or the registry's.
    ///
    /// # Errors
    /// The registry did not answer, or not as a registry does.
    pub async fn level(&self, subject: &str) -> Result<Level, Setback> {
        let name = self.setting("config", subject, "compatibilityLevel").await?;
        Ok(name.and_then(|name| name.parse().ok()).unwrap_or_default())
    }

    /// What may be done with the subject: `READWRITE`, `READONLY`, and what else the registry has.
    ///
    /// # Errors
    /// The registry did not answer, or not as a registry does.
    pub async fn mode(&self, subject: &str) -> Result<String, Setback> {
        let mode = self.setting("mode", subject, "mode").await?;
        Ok(mode.unwrap_or_else(|| "READWRITE".to_owned()))
    }

    /// Whether the subject's level would let this schema in; a new subject takes any.
    ///
    /// # Errors
    /// It is no schema to the registry, or the registry did not answer.
    pub async fn verdict(&self, subject: &str, text: &str) -> Result<Verdict, RegisterError> {
        let path = format!("compatibility/subjects/{}/versions?verbose=true", encoded(subject));
        let body = json!({ "schema": text, "schemaType": "AVRO" });
        let answer = match self.ask(&path, Some(&body)).await {
            Ok(answer) => answer,
            Err(Refusal::NotFound) => return Ok(Verdict { compatible: true, reasons: Vec::new() }),
            Err(refusal) => return Err(refusal.registering(subject)),
        };
        let no_registry = || RegisterError::Setback(refusal::no_registry(&self.url));
        let compatible = answer["is_compatible"].as_bool().ok_or_else(no_registry)?;
        let reasons = answer["messages"].as_array().into_iter().flatten();
        Ok(Verdict { compatible, reasons: reasons.filter_map(|r| r.as_str().map(str::to_owned)).collect() })
    }

    /// A setting of a subject, or the registry's own; `None` where the registry has no such settings.
    async fn setting(&self, kind: &str, subject: &str, key: &str) -> Result<Option<String>, Setback> {
        for path in [format!("{kind}/{}?defaultToGlobal=true", encoded(subject)), kind.to_owned()] {
            match self.ask(&path, None).await {
                Ok(answer) => {
                    if let Some(value) = answer[key].as_str() {
                        return Ok(Some(value.to_owned()));
                    }
                }
                // The subject has none of its own, or the registry has none at all.
                Err(Refusal::NotFound | Refusal::Said { status: 404 | 405, .. }) => {}
                Err(refusal) => return Err(refusal.setback()),
            }
        }
        Ok(None)
    }

    async fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let mut last = None;
        for url in &self.asker.urls {
            match self.ask_one(url, path, body).await {
                Err(refusal @ Refusal::Setback(_)) => last = Some(refusal),
                answered => return answered,
            }
        }
        Err(last.unwrap_or(Refusal::NotFound))
    }

    async fn ask_one(&self, url: &str, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let asker = &self.asker;
        let url = format!("{url}/{path}");
        let request = match body {
            Some(body) => asker.http.post(url).json(body).header("content-type", CONTENT_TYPE),
            None => asker.http.get(url),
        };
        let request = match (&asker.user, &asker.password) {
            (Some(user), password) => request.basic_auth(user, password.as_ref()),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        };
        let unanswered = |e| Refusal::Setback(refusal::unanswered(&self.url, &e));
        let response = request.header("accept", CONTENT_TYPE).send().await.map_err(unanswered)?;
        let status = response.status();
        if status.is_success() {
            return response.json().await.map_err(unanswered);
        }
        let said: Value = response.json().await.unwrap_or_default();
        let code = said["error_code"].as_i64().unwrap_or_default();
        let message = said["message"].as_str().unwrap_or_default();
        Err(refusal::said(&self.url, Some(status.as_u16()), Some((code, message))))
    }
}

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Requests of our own.
#[derive(Clone)]
pub(super) struct Asker {
    pub http: reqwest::Client,
    pub urls: Vec<String>,
    pub user: Option<String>,
    pub password: Option<String>,
}
