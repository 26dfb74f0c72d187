//! librdkafka's own list of its properties, and its word on their values. Needs no broker.

use super::{client::Client, settings::Settings};
use crate::config::{Clients, Kafka, Properties, Property, Refusal};
use rdkafka::bindings as rd;
use rdkafka::{
    config::ClientConfig,
    error::KafkaError,
    types::{RDKafkaConfRes, RDKafkaType},
};
use std::{ffi::c_char, ptr, slice, sync::LazyLock};

/// What judges the properties of a configuration.
pub fn properties() -> &'static Properties {
    static PROPERTIES: LazyLock<Properties> = LazyLock::new(|| Properties { known: parse(&table()), judge, clients });
    &PROPERTIES
}

fn judge(name: &str, value: &str) -> Result<(), Refusal> {
    // To take this one, librdkafka loads the library: a check runs nobody's code.
    if name == "plugin.library.paths" {
        return Ok(());
    }
    if let Some(why) = misread(name, value) {
        return Err(Refusal::Value(why));
    }
    let mut alone = ClientConfig::new();
    alone.set(name, value);
    match alone.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)) => Err(Refusal::Unknown),
        Err(KafkaError::ClientConfig(_, reason, ..)) => Err(Refusal::Value(reason.trim_end().to_owned())),
        Err(other) => Err(Refusal::Value(other.to_string())),
    }
}

/// librdkafka reads the digits that a number begins with, as 32 bits: `64k` would be 64.
fn misread(name: &str, value: &str) -> Option<String> {
    let range = &properties().known.iter().find(|p| p.name == name)?.range;
    let (least, most) = range.split_once(" .. ")?;
    let (Ok(least), Ok(most)) = (least.parse::<f64>(), most.parse::<f64>()) else { return None };
    let digits = value.trim().strip_prefix(['-', '+']).unwrap_or(value.trim());
    // Some take words too, as `acks` does.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match value.trim().parse::<f64>() {
        Ok(n) if (least..=most).contains(&n) => None,
        Ok(n) => Some(format!("{n} is outside {range}")),
        Err(_) => Some(format!("`{value}` is no number")),
    }
}

/// Makes a consumer and a producer that know no broker: some settings are refused only beside others.
fn clients(kafka: &Kafka) -> Result<(), String> {
    let asks_for_tokens =
        |(name, value): (&String, &String)| name == "sasl.oauthbearer.method" && value.eq_ignore_ascii_case("oidc");
    // Such a client asks for its token as soon as it is made.
    if [&kafka.properties, &kafka.consumer, &kafka.producer].into_iter().flatten().any(asks_for_tokens) {
        return Ok(());
    }
    let settings = Settings::new(&Kafka { bootstrap_servers: String::new(), ..kafka.clone() }, "pointsman-check");
    let consumer = (settings.consumer("pointsman-check", "0"), RDKafkaType::RD_KAFKA_CONSUMER);
    let producer = (settings.producer(Some("pointsman-check")), RDKafkaType::RD_KAFKA_PRODUCER);
    for (config, kind) in [consumer, producer] {
        Client::new(&config, kind, 0).map_err(|fault| fault.message)?;
    }
    Ok(())
}

/// The table that CONFIGURATION.md of librdkafka is made of; empty where there is no memory for it.
fn table() -> String {
    let (mut text, mut length): (*mut c_char, usize) = (ptr::null_mut(), 0);
    // SAFETY: a stream that is open takes the table; `fclose` completes `text` and `length`, which describe memory that is
    // ours until `free`.
    unsafe {
        let stream = libc::open_memstream(&mut text, &mut length);
        if stream.is_null() {
            return String::new();
        }
        rd::rd_kafka_conf_properties_show(stream.cast());
        libc::fclose(stream);
        if text.is_null() {
            return String::new();
        }
        let table = String::from_utf8_lossy(slice::from_raw_parts(text.cast(), length)).into_owned();
        libc::free(text.cast());
        table
    }
}

/// Rows of `name | C/P | range | default | importance | description`; those that only code can set are left out.
fn parse(table: &str) -> Vec<Property> {
    let rows = table.lines().filter(|l| !l.contains("see dedicated API"));
    let rows = rows.filter_map(|line| {
        let mut cells = line.split('|').map(str::trim);
        let (name, clients, range) = (cells.next()?, cells.next()?, cells.next()?);
        let clients = match clients {
            "*" => Clients::All,
            "C" => Clients::Consumers,
            "P" => Clients::Producers,
            _ => return None,
        };
        Some(Property { name: name.to_owned(), clients, range: range.to_owned() })
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<&'static Property> {
        properties().known.iter().find(|p| p.name == name)
    }

    #[test]
    fn librdkafka_lists_its_properties() {
        assert!(properties().known.len() > 150, "{}", properties().known.len());
        let linger = known("linger.ms").unwrap();
        assert_eq!((linger.clients, linger.range.as_str()), (Clients::Producers, "0 .. 900000"));
        assert_eq!(known("fetch.min.bytes").unwrap().clients, Clients::Consumers);
        assert_eq!(known("security.protocol").unwrap().range, "plaintext, ssl, sasl_plaintext, sasl_ssl");
        // A topic's property, and one that only code can set.
        assert!(known("compression.level").is_some());
        assert_eq!(known("error_cb"), None);
    }

    #[test]
    fn settings_that_are_refused_together_are_found_without_a_broker() {
        let kafka = |pairs: &[(&str, &str)]| Kafka {
            bootstrap_servers: "localhost:9092".into(),
            properties: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ..Kafka::default()
        };
        let clients = properties().clients;
        let plain = ("sasl.mechanism", "PLAIN");
        let good = [("security.protocol", "SASL_SSL"), plain, ("sasl.username", "u"), ("sasl.password", "p")];
        assert_eq!(clients(&kafka(&good)), Ok(()));
        let bad: [(&[(&str, &str)], &str); 3] = [
            (&[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "PLAN")], "PLAN"),
            (&[("security.protocol", "SASL_SSL")], "GSSAPI"),
            (&[("max.in.flight.requests.per.connection", "9")], "max.in.flight"),
        ];
        for (pairs, words) in bad {
            let why = clients(&kafka(pairs)).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn librdkafka_judges_names_and_values() {
        let judge = properties().judge;
        assert_eq!(judge("linger.ms", "5"), Ok(()));
        assert_eq!(judge("SASL_mechanism", "PLAIN"), Err(Refusal::Unknown));
        for (name, value) in
            [("acks", "many"), ("fetch.min.bytes", "-1"), ("security.protocol", "tls"), ("log_cb", "x")]
        {
            assert!(matches!(judge(name, value), Err(Refusal::Value(_))), "{name}");
        }
        for (name, value) in [("batch.size", "64k"), ("message.max.bytes", "10000000000"), ("retries", "3.5x")] {
            let Err(Refusal::Value(why)) = judge(name, value) else { panic!("{name}") };
            assert!(why.contains("no number") || why.contains("outside"), "{why}");
        }
        for (name, value) in
            [("acks", "all"), ("queue.buffering.backpressure.threshold", "1"), ("retry.backoff.ms", " 5")]
        {
            assert_eq!(judge(name, value), Ok(()), "{name}");
        }
        assert_eq!(judge("plugin.library.paths", "/tmp/evil.so"), Ok(()));
    }
}
