//! deploy/kafka: each example of TLS and SASL carries a record through a real broker that asks for it.

use crate::{
    harness::{Project, start_kafka_with},
    shipped::root,
    tools::{installed, run},
};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{fs, net::TcpListener, path::Path, sync::LazyLock, time::Duration};

/// A broker with a listener for each way in; one for all tests.
struct Secured {
    plain: String,
    /// By the example's name: the address that asks for it.
    listeners: Vec<(&'static str, String)>,
    /// Holds ca.pem, client.pem and client.key.
    tls: std::path::PathBuf,
    _service: crate::harness::Service,
}

const WAYS: [(&str, &str, &str); 4] = [
    ("tls", "TLS", "SSL"),
    ("mutual-tls", "MUTUAL", "SSL"),
    ("sasl-scram", "SCRAM", "SASL_SSL"),
    ("sasl-plain", "PLAIN", "SASL_SSL"),
];

static BROKER: LazyLock<Secured> = LazyLock::new(|| {
    let tls = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tls");
    let _ = fs::remove_dir_all(&tls);
    certificates(&tls);
    let free: Vec<_> = WAYS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses: Vec<String> = free.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    drop(free);
    let mut protocols = String::from("listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT");
    for (_, name, protocol) in WAYS {
        protocols += &format!(",{name}:{protocol}");
    }
    let folder = tls.display();
    let module = "org.apache.kafka.common.security";
    let properties = format!(
        "{protocols}
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.mutual.ssl.client.auth=required
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.plain.sasl.enabled.mechanisms=PLAIN
listener.name.plain.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_pointsman=\"secret\";
"
    );
    let listeners: Vec<String> = WAYS.iter().zip(&addresses).map(|((_, name, _), a)| format!("{name}://{a}")).collect();
    let user = "SCRAM-SHA-512=[name=pointsman,password=secret]";
    let service = start_kafka_with(&listeners, &properties, &["--add-scram", user]).ready(|port| {
        let client: BaseConsumer = quiet(&format!("127.0.0.1:{port}")).create().unwrap();
        client.fetch_metadata(None, Duration::from_secs(1)).is_ok()
    });
    let plain = format!("127.0.0.1:{}", service.port);
    Secured { plain, listeners: WAYS.iter().map(|w| w.0).zip(addresses).collect(), tls, _service: service }
});

/// An authority, and what it has signed for the broker and for a client.
fn certificates(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let openssl = |words: &str| run(installed("openssl", "openssl").current_dir(folder).args(words.split(' ')));
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    for who in ["broker", "client"] {
        openssl(&format!("req -newkey rsa:2048 -nodes -subj /CN={who} -keyout {who}.key -out {who}.csr"));
        openssl(&format!(
            "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {who}.pem"
        ));
    }
    let [key, certificate] = ["broker.key", "broker.pem"].map(|f| fs::read_to_string(folder.join(f)).unwrap());
    fs::write(folder.join("broker.pem"), key + &certificate).unwrap();
}

fn quiet(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config
}

const SCHEMA: &str = r#"{"type":"record","name":"Event","namespace":"secured","fields":[{"name":"id","type":"long"}]}"#;

/// A route between two topics of the broker, through the example of this name.
fn project(way: &'static str) -> Project {
    let example = fs::read_to_string(root().join(format!("deploy/kafka/{way}.toml"))).unwrap();
    let (input, output) = (format!("{way}-in"), format!("{way}-out"));
    let (_, address) = BROKER.listeners.iter().find(|(name, _)| *name == way).unwrap();
    Project::new(&format!(
        "version = 1\napp = \"{way}\"\n{example}\n[routes.r]\ntopic = \"{input}\"\nformat = \"json\"\n\
         schema = \"secured.Event\"\ndlq = \"discard\"\n\
         destination = {{ topic = \"{output}\", format = \"json\" }}\n"
    ))
    .file("schemas/event.avsc", SCHEMA)
    .variable("KAFKA_BOOTSTRAP_SERVERS", address)
    .variable("KAFKA_TLS", BROKER.tls.to_str().unwrap())
    .variable("KAFKA_PASSWORD", "secret")
}

fn topics(way: &str) {
    let admin: AdminClient<DefaultClientContext> = quiet(&BROKER.plain).create().unwrap();
    let names = [format!("{way}-in"), format!("{way}-out")];
    let topics = names.each_ref().map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1)));
    crate::harness::block_on(admin.create_topics(&topics, &AdminOptions::new())).unwrap();
    let producer: BaseProducer = quiet(&BROKER.plain).create().unwrap();
    producer.send(BaseRecord::<str, str>::to(&names[0]).payload(r#"{"id": 7}"#)).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn delivered(way: &str) -> i64 {
    let consumer: BaseConsumer = quiet(&BROKER.plain).set("group.id", "watermarks").create().unwrap();
    let (low, high) = consumer.fetch_watermarks(&format!("{way}-out"), 0, Duration::from_secs(30)).unwrap();
    high - low
}

#[test]
fn each_example_carries_a_record() {
    let examples = fs::read_dir(root().join("deploy/kafka")).unwrap().count();
    assert_eq!(examples, WAYS.len(), "each example is tried");
    for (way, _, _) in WAYS {
        topics(way);
        project(way).run(&["run", "--until-caught-up"]).ok();
        // The record and the marker of its transaction.
        assert_eq!(delivered(way), 2, "{way}");
    }
}
