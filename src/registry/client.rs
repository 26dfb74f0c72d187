//! The client of a schema registry. What a schema id means never changes, so it is asked once.

use super::{
    refusal::{Refusal, RegisterError, refusal},
    subjects::Asker,
};
use crate::{
    config,
    failure::{Cause, Setback},
    schema::Schema,
};
use native_tls::{Certificate, TlsConnector, TlsConnectorBuilder};
use schema_registry_converter::{
    async_impl::schema_registry::{SrSettings, get_schema_by_id, get_schema_by_subject_and_version, post_schema},
    error::SRCError,
    schema_registry_common::{RegisteredReference, RegisteredSchema, SchemaType, SuppliedSchema},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most schemas that one may refer to, directly and through others.
const MAX_REFERENCES: usize = 1000;

/// What the registry says about a schema id.
#[derive(Clone, Debug)]
pub enum Answer {
    Schema(Arc<Schema>),
    /// It does not know the id, or a schema that this one refers to, now: it may be replicated a moment later. In words.
    Unknown(Arc<str>),
    /// It knows the id, and no Avro record can be read with it: why.
    Unusable(Arc<str>),
}

/// Why a schema that the registry has cannot be read, in words.
pub(super) enum Unread {
    /// One that it refers to is not there, now.
    Missing(String),
    Unusable(String),
}

impl Unread {
    pub(super) fn why(self) -> String {
        match self {
            Unread::Missing(why) | Unread::Unusable(why) => why,
        }
    }
}

/// A connection to a schema registry; cheap to clone, its cache is shared.
#[derive(Clone)]
pub struct Client {
    pub(super) settings: SrSettings,
    /// For what the library below does not ask.
    pub(super) asker: Asker,
    /// As it may be shown: without user and password.
    pub(super) url: Arc<str>,
    /// Answers that never change.
    known: Arc<Mutex<HashMap<u32, Answer>>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

impl Client {
    /// Where it is, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Nothing is asked yet. A user makes it basic authentication; a password without a user is a bearer token.
    /// Several URLs stand with commas between them and are tried in order.
    ///
    /// # Errors
    /// A URL that is none, or a file of certificates that cannot be read.
    pub fn new(registry: &config::Registry) -> Result<Client, Setback> {
        let mut urls = Vec::new();
        let (mut user, mut password) = (registry.user.clone(), registry.password.clone());
        for text in registry.url.split(',').map(str::trim) {
            let url = Url::parse(text)?;
            user = user.or(url.user);
            password = password.or(url.password);
            urls.push(url.base);
        }
        let shown: Arc<str> = urls.join(",").into();
        let mut builder = SrSettings::new_builder(urls.first().cloned().unwrap_or_default());
        for url in &urls[1..] {
            builder.add_url(url.clone());
        }
        match (&user, &password) {
            (Some(user), password) => {
                builder.set_basic_authorization(user, password.as_deref());
            }
            (None, Some(token)) => {
                builder.set_token_authorization(token);
            }
            (None, None) => {}
        }
        let impossible = |e: &dyn std::fmt::Display| {
            stand(format!("no connection to schema registry {shown} can be made: {e}"), "check [schema_registry]")
        };
        // Both clients have one connector: each would read all of the system's certificates, which takes milliseconds.
        let tls = tls(registry)?.build().map_err(|e| impossible(&e))?;
        let http = || reqwest::Client::builder().connect_timeout(TIMEOUT).tls_backend_preconfigured(tls.clone());
        let settings = builder.set_timeout(TIMEOUT).build_with(http()).map_err(|e| impossible(&e))?;
        let http = http().timeout(TIMEOUT).build().map_err(|e| impossible(&e))?;
        let asker = Asker { http, urls, user, password };
        Ok(Client { settings, asker, url: shown, known: Arc::default() })
    }

    /// The schema of this id, with the schemas that it refers to resolved into it.
    ///
    /// # Errors
    /// The registry did not answer, or not as a registry does.
    pub async fn schema(&self, id: u32) -> Result<Answer, Setback> {
        if let Some(answer) = self.known().get(&id) {
            return Ok(answer.clone());
        }
        let registered = match get_schema_by_id(id, &self.settings).await {
            Ok(registered) => registered,
            Err(e) => {
                return match self.refusal(&e) {
                    Refusal::NotFound => {
                        Ok(Answer::Unknown(format!("the registry does not know schema id {id}").into()))
                    }
                    other => Err(other.setback()),
                };
            }
        };
        let answer = match self.whole(registered).await? {
            Ok(schema) => Answer::Schema(Arc::new(schema)),
            Err(Unread::Missing(why)) => return Ok(Answer::Unknown(format!("schema {id} {why}").into())),
            Err(Unread::Unusable(why)) => Answer::Unusable(format!("schema {id} {why}").into()),
        };
        self.known().insert(id, answer.clone());
        Ok(answer)
    }

    /// Registers a whole schema under a subject; the id it has there, also if it was registered before.
    ///
    /// # Errors
    /// The subject's compatibility level or the registry's idea of a schema refuses it, or the environment does.
    pub async fn register(&self, subject: &str, text: &str) -> Result<u32, RegisterError> {
        match post_schema(&self.settings, encoded(subject), supplied(text)).await {
            Ok(registered) => Ok(registered.id),
            Err(e) => Err(self.refusal(&e).registering(subject)),
        }
    }

    /// Parses a schema together with everything it refers to; the inner error is the schema's own fault.
    pub(super) async fn whole(&self, registered: RegisteredSchema) -> Result<Result<Schema, Unread>, Setback> {
        let unusable = |why: String| Ok(Err(Unread::Unusable(why)));
        if registered.schema_type != SchemaType::Avro {
            return unusable(format!("is not Avro but {:?}", registered.schema_type));
        }
        let mut texts: Vec<String> = Vec::new();
        let mut seen = BTreeSet::new();
        let mut wanted: Vec<RegisteredReference> = registered.references;
        while let Some(r) = wanted.pop() {
            if !seen.insert((r.subject.clone(), r.version)) {
                continue;
            }
            if seen.len() > MAX_REFERENCES {
                return unusable(format!("refers to more than {MAX_REFERENCES} schemas"));
            }
            let found = get_schema_by_subject_and_version(&self.settings, &encoded(&r.subject), Some(r.version)).await;
            let Some(found) = self.found(found)? else {
                let why = format!("refers to version {} of subject {}, which is not there", r.version, r.subject);
                return Ok(Err(Unread::Missing(why)));
            };
            texts.push(found.schema);
            wanted.extend(found.references);
        }
        let references: Vec<&str> = texts.iter().map(String::as_str).collect();
        Ok(Schema::parse_with(&registered.schema, &references).map_err(|problems| {
            let error = problems.iter().find(|p| p.is_error());
            let error = error.map(ToString::to_string).unwrap_or_default();
            Unread::Unusable(format!("is not a schema that Avro allows: {error}"))
        }))
    }

    /// `None` where the registry says that there is no such subject, version or schema.
    pub(super) fn found<T>(&self, answer: Result<T, SRCError>) -> Result<Option<T>, Setback> {
        match answer {
            Ok(found) => Ok(Some(found)),
            Err(e) => match self.refusal(&e) {
                Refusal::NotFound => Ok(None),
                other => Err(other.setback()),
            },
        }
    }

    pub(super) fn refusal(&self, e: &SRCError) -> Refusal {
        refusal(&self.url, e)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Answer>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The system's certificates and the registry's own.
fn tls(registry: &config::Registry) -> Result<TlsConnectorBuilder, Setback> {
    let mut tls = TlsConnector::builder();
    if let Some(ca) = &registry.ca {
        let unreadable = |e: &dyn std::fmt::Display| {
            stand(
                format!("certificates in {} cannot be read: {e}", ca.display()),
                "set [schema_registry] ca to a PEM file",
            )
        };
        let pem = std::fs::read(ca).map_err(|e| unreadable(&e))?;
        let certificates = Certificate::stack_from_pem(&pem).map_err(|e| unreadable(&e))?;
        if certificates.is_empty() {
            return Err(unreadable(&"it holds none (\"-----BEGIN CERTIFICATE-----\")"));
        }
        for certificate in certificates {
            tls.add_root_certificate(certificate);
        }
    }
    Ok(tls)
}

fn supplied(text: &str) -> SuppliedSchema {
    SuppliedSchema::new(None, SchemaType::Avro, text.to_owned())
}

fn stand(message: String, help: &str) -> Setback {
    Setback::stand(Cause::Registry, message, help)
}

/// A subject as one segment of a path. The library below escapes only slashes, which are none any more then.
pub(super) fn encoded(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for b in subject.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// A registry's URL, apart from the credentials that may stand in it.
struct Url {
    base: String,
    user: Option<String>,
    password: Option<String>,
}

impl Url {
    fn parse(text: &str) -> Result<Url, Setback> {
        let wrong = |why: &str| {
            let shown = text.rsplit('@').next().unwrap_or_default();
            stand(
                format!("the schema registry's URL {shown} {why}"),
                "set [schema_registry] url to such as http://localhost:8081",
            )
        };
        let mut url = reqwest::Url::parse(text).map_err(|e| wrong(&format!("is none: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("does not begin with http:// or https:// and a host"));
        }
        let user = Some(decoded(url.username())).filter(|u| !u.is_empty());
        let password = url.password().map(decoded);
        // Neither fails for a URL with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Url { base: url.as_str().trim_end_matches('/').to_owned(), user, password })
    }
}

/// Percent-decoded; bytes that are not UTF-8 afterwards stay as they were.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(b) = bytes.get(i) {
        let hex = text.get(i + 1..i + 3).filter(|_| *b == b'%').and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(hex.unwrap_or(*b));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(url: &str) -> config::Registry {
        config::Registry {
            url: url.into(),
            user: None,
            password: None,
            ca: None,
            unknown_id_grace: Duration::from_secs(30),
        }
    }

    #[test]
    fn credentials_in_the_url_are_used_and_never_shown() {
        let client = Client::new(&registry("https://me:s%3Fcret@registry:8081/, http://b:1")).unwrap();
        assert_eq!(&*client.url, "https://registry:8081,http://b:1");
        assert!(!format!("{client:?}").contains("cret"));
        assert_eq!(decoded("s%3Fcret%"), "s?cret%");
    }

    #[test]
    fn a_url_that_is_none_is_told_without_its_password() {
        for bad in ["registry:8081", "http://", "ftp://me:secret@x", "me:secret@x"] {
            let e = Client::new(&registry(bad)).unwrap_err();
            assert!(e.help.contains("[schema_registry] url") && !e.message.contains("secret"), "{e}");
        }
        let ca = config::Registry { ca: Some("missing.pem".into()), ..registry("https://x") };
        assert!(Client::new(&ca).unwrap_err().message.contains("missing.pem"));
    }

    #[test]
    fn a_file_of_certificates_that_holds_none_is_told() {
        let ca = config::Registry { ca: Some("Cargo.toml".into()), ..registry("https://x") };
        let e = Client::new(&ca).unwrap_err();
        assert!(e.message.contains("Cargo.toml cannot be read: it holds none"), "{e}");
    }

    #[test]
    fn a_subject_is_one_segment_of_the_path() {
        assert_eq!(encoded("a/b c%ü-value"), "a%2Fb%20c%25%C3%BC-value");
    }
}
