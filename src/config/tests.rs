//! Good configurations and the plans they become. Bad ones: tests/check.

use super::{testing::Folder, *};
use crate::{
    expr::Place as At,
    schema::{Kind, Schema},
};
use std::time::Duration;

const HEAD: &str = r#"
version = 1
app = "shop"
kafka = { bootstrap_servers = "localhost:9092" }
schema_registry = { url = "http://localhost:8081" }
databases.shop.url = "sqlite://data/shop.db"
validators.order.schema = "shop.Order"
"#;

/// The plan of a file that begins with [`HEAD`].
fn plan(text: &str) -> Plan {
    Folder::new(&[("routes.toml", &format!("{HEAD}{text}"))]).plan()
}

fn table(branch: &Branch, i: usize) -> &TableDestination {
    match &branch.destinations[i] {
        Destination::Table(t) => t,
        Destination::Topic(t) => panic!("{} is a topic", t.topic),
    }
}

fn topic(branch: &Branch) -> &TopicDestination {
    match &branch.destinations[0] {
        Destination::Topic(t) => t,
        Destination::Table(t) => panic!("{} is a table", t.table),
    }
}

fn names(view: &crate::expr::View) -> Vec<&str> {
    view.fields.iter().map(|f| f.name.as_str()).collect()
}

#[test]
fn a_route_says_little_and_the_rest_is_default() {
    let plan =
        plan("[routes.orders]\ntopic = 'orders'\nvalidator = 'order'\ndlq = 'dead'\ndestination = 'orders.out'\n");
    let [route] = &plan.routes[..] else { panic!() };
    assert_eq!((route.name.as_str(), route.group.as_str()), ("orders", "shop.orders"));
    assert_eq!(route.topics, ["orders"]);
    assert_eq!((route.format, route.key, route.delivery), (Format::Avro, KeyFormat::Bytes, Delivery::ExactlyOnce));
    assert_eq!((&route.start, route.on_position_lost), (&Start::Earliest, OnPositionLost::Stop));
    assert_eq!((route.workers, route.breaker), (1, None));
    assert_eq!(route.retry.max, Duration::from_secs(30));
    assert_eq!(route.dlq, Dlq::Topic("dead".into()));
    assert!(matches!(route.otherwise, Otherwise::DeadLetter));
    let [lane] = &route.lanes[..] else { panic!() };
    let [branch] = &lane.branches[..] else { panic!() };
    assert!(lane.when_raw.is_none() && lane.filter.is_none() && branch.when.is_none() && branch.name.is_empty());
    let to = topic(branch);
    assert_eq!((to.format, to.on_tombstone, &to.record_key), (Format::Avro, OnTombstone::Forward, &None));
    assert_eq!(to.schema_text, lane.validator.schema.to_json(), "untouched fields keep their schema");
}

#[test]
fn every_key_of_a_route_reaches_the_plan() {
    let plan = plan(
        r#"
        [defaults]
        dlq = { topic = "{route}.dlq" }
        retry = { initial = "1s", max = "1m", give_up_after = "1h" }
        breaker = { share = 0.25, min = 10, window = "30s" }
        [routes.orders]
        topic = ["orders", "orders.eu"]
        format = "json"
        key = "long"
        group = "mine"
        start = 2026-01-31T00:00:00Z
        on_position_lost = "earliest"
        where_raw = "value.state != 'test'"
        validator = "order"
        where = "paid"
        delivery = "at-least-once"
        workers = 3
        commit_interval = "250ms"
        fk_wait = "5s"
        destination = { topic = "out", format = "json", partition = "same", record_key = "order_id", headers = { drop = ["x"], set = { source = "'shop'" } }, on_tombstone = "filter" }
        [routes.quiet]
        topic = "orders"
        schema = "shop.Order"
        start = { group = "old" }
        breaker = false
        dlq = "discard"
        destination = "quiet.out"
        "#,
    );
    let [route, quiet] = &plan.routes[..] else { panic!() };
    assert_eq!(route.topics, ["orders", "orders.eu"]);
    assert_eq!((route.format, route.key, route.group.as_str()), (Format::Json, KeyFormat::Long, "mine"));
    assert_eq!(route.start, Start::Time(1_769_817_600_000));
    assert_eq!((route.on_position_lost, route.delivery), (OnPositionLost::Earliest, Delivery::AtLeastOnce));
    assert_eq!((route.workers, route.commit_interval), (3, Duration::from_millis(250)));
    assert_eq!((route.fk_wait, route.retry.give_up_after), (Duration::from_secs(5), Some(Duration::from_secs(3600))));
    assert_eq!(route.breaker, Some(Breaker { share: 0.25, min: 10, window: Duration::from_secs(30) }));
    assert_eq!(route.dlq, Dlq::Topic("orders.dlq".into()));
    assert!(route.where_raw.is_some() && route.lanes[0].filter.is_some());
    let to = topic(&route.lanes[0].branches[0]);
    assert_eq!((to.format, to.same_partition, to.on_tombstone), (Format::Json, true, OnTombstone::Filter));
    assert_eq!((&to.record_key, &to.drop_headers[..]), (&Some(vec![0]), &["x".to_owned()][..]));
    assert_eq!(to.set_headers[0].0, "source");
    assert_eq!((&quiet.start, quiet.breaker, &quiet.dlq), (&Start::Group("old".into()), None, &Dlq::Discard));
    assert_eq!(quiet.lanes[0].validator.name, "shop.Order");
}

#[test]
fn rules_and_sets_keep_the_order_of_the_text() {
    let plan = plan(
        r#"
        [validators.order.rules]
        z = "quantity > 0"
        a = { check = "total > 0.00", message = "words", on_fail = "warn" }
        [enrichers.net]
        drop = "debug"
        rename = { placed_at = "at", quantity = "count" }
        set = { total = "total * 2", extra = "count + 1" }
        [routes.orders]
        topic = "orders"
        validator = "order"
        enricher = "net"
        dlq = "stop"
        destination = "out"
        "#,
    );
    let lane = &plan.routes[0].lanes[0];
    let rules = &lane.validator.rules;
    assert_eq!((rules[0].name.as_str(), rules[0].source.as_str(), rules[0].warn), ("z", "quantity > 0", false));
    assert_eq!((rules[1].name.as_str(), rules[1].message.as_deref(), rules[1].warn), ("a", Some("words"), true));
    let sets: Vec<_> = lane.enrichers[0].sets.iter().map(|s| (s.field.as_str(), s.added)).collect();
    assert_eq!(sets, [("total", 0), ("extra", 1)]);
    let branch = &lane.branches[0];
    let expected =
        ["order_id", "customer", "count", "total", "paid", "state", "at", "updated_at", "address", "items", "extra"];
    assert_eq!(names(&branch.view), expected, "replaced in place, added at the end");
    assert_eq!(branch.view.get("count").unwrap().place, At::Body(2));
    assert_eq!(branch.view.get("total").unwrap().place, At::Added(0));
    let derived = topic(branch);
    let record = derived.schema.record().unwrap();
    assert_eq!(record.name.0, "shop.Order");
    assert_eq!(record.fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(Schema::parse(&derived.schema_text).unwrap().to_json(), derived.schema_text);
}

#[test]
fn a_written_schema_takes_its_fields_by_name_and_defaults_for_the_rest() {
    let plan = plan(
        "[routes.orders]\ntopic = 'orders'\nvalidator = 'order'\ndlq = 'stop'\ndestination = { topic = 'out', schema = 'shop.Shipment' }\n",
    );
    let branch = &plan.routes[0].lanes[0].branches[0];
    let written = topic(branch).schema.record().unwrap();
    assert_eq!(written.name.0, "shop.Shipment");
    // In an order of its own, and one that the record lacks.
    let found: Vec<_> = written.fields.iter().map(|f| branch.view.get(&f.name).is_some()).collect();
    assert_eq!(found, [true, true, true, true, false]);
}

#[test]
fn columns_are_fields_paths_and_expressions() {
    let plan = plan(
        r#"
        [routes.orders]
        topic = "orders"
        key = "string"
        validator = "order"
        dlq = { database = "shop", table = "audit.dead" }
        [[routes.orders.destinations]]
        database = "shop"
        table = "orders"
        key_columns = ["order_id"]
        newer_by = "placed_at"
        on_tombstone = "delete"
        columns = { "*" = true, address = false, items = false, debug = false, updated_at = false, city = "address.city", twice = "quantity * 2" }
        [[routes.orders.destinations]]
        database = "shop"
        table = "items"
        for_each = "items"
        key_columns = ["order_id", "line"]
        on_conflict = "ignore"
        columns = { "*" = true, order_id = "order_id", sku = false, cost = "item.price * item.line" }
        "#,
    );
    let route = &plan.routes[0];
    let dead = TableName { schema: Some("audit".into()), table: "dead".into() };
    assert_eq!(route.dlq, Dlq::Table { database: "shop".into(), table: dead });
    let branch = &route.lanes[0].branches[0];
    let orders = table(branch, 0);
    let columns: Vec<_> = orders.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["order_id", "customer", "quantity", "total", "paid", "state", "placed_at", "city", "twice"]);
    assert!(matches!(&orders.columns[3].value, ColumnValue::Field { view: 3, path } if path.is_empty()));
    let city = &orders.columns[7];
    assert!(matches!(&city.value, ColumnValue::Field { view: 8, path } if path[..] == [0]));
    assert!(city.schema.nullable(city.node).is_some(), "an address may be null, and so may its city");
    assert!(matches!(orders.columns[8].value, ColumnValue::Expr(_)));
    assert_eq!((orders.on_conflict, orders.newer_by.as_deref()), (OnConflict::Update, Some("placed_at")));
    assert_eq!(orders.on_tombstone, OnTombstone::Delete);
    let items = table(branch, 1);
    let columns: Vec<_> = items.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["line", "price", "order_id", "cost"]);
    assert!(matches!(&items.columns[0].value, ColumnValue::Item { path } if path[..] == [0]));
    let each = items.for_each.as_ref().unwrap();
    assert_eq!((each.view, each.path.len()), (9, 0));
    assert!(matches!(each.schema.kind(each.item), Kind::Record(r) if r.name.0 == "shop.Item"));
    assert_eq!(items.on_tombstone, OnTombstone::Filter, "its neighbour decides");
    assert_eq!(items.on_conflict, OnConflict::Ignore);
}

#[test]
fn cases_before_decoding_are_lanes_and_cases_after_it_are_branches() {
    let plan = plan(
        r#"
        [enrichers.a.set]
        a = "1"
        [enrichers.b.set]
        b = "a + 1"
        [routes.raw]
        topic = "mixed"
        format = "json"
        validator = "order"
        enricher = "a"
        dlq = "stop"
        otherwise = { database = "shop", table = "unknown" }
        [[routes.raw.cases]]
        name = "order"
        when_raw = "has(value.order_id)"
        enricher = "b"
        destination = { database = "shop", table = "orders", columns = { b = true } }
        [[routes.raw.cases]]
        name = "shipment"
        when_raw = "has(value.carrier)"
        schema = "shop.Shipment"
        destination = { database = "shop", table = "shipments" }
        [routes.typed]
        topic = "orders"
        validator = "order"
        enricher = "a"
        dlq = "stop"
        otherwise = "filter"
        destination = "rest"
        [[routes.typed.cases]]
        name = "open"
        when = "state == 'open' && a == 1"
        enricher = "b"
        destination = "open"
        [[routes.typed.cases]]
        name = "rest"
        when = "true"
        "#,
    );
    let [raw, typed] = &plan.routes[..] else { panic!() };
    assert_eq!(raw.lanes.len(), 2);
    assert!(raw.lanes.iter().all(|l| l.when_raw.is_some() && l.branches.len() == 1 && l.branches[0].when.is_none()));
    assert_eq!(raw.lanes.iter().map(|l| l.branches[0].name.as_str()).collect::<Vec<_>>(), ["order", "shipment"]);
    assert_eq!(
        (raw.lanes[0].validator.name.as_str(), raw.lanes[1].validator.name.as_str()),
        ("order", "shop.Shipment")
    );
    let added = |e: &[Enricher]| e.iter().flat_map(|e| &e.sets).map(|s| s.added).collect::<Vec<_>>();
    assert_eq!((added(&raw.lanes[0].enrichers), added(&raw.lanes[0].branches[0].enrichers)), (vec![0], vec![1]));
    assert!(matches!(&raw.otherwise, Otherwise::Apart(Dlq::Table { table, .. }) if table.table == "unknown"));
    let [lane] = &typed.lanes[..] else { panic!() };
    assert!(lane.when_raw.is_none() && lane.branches.iter().all(|b| b.when.is_some()));
    assert!(matches!(typed.otherwise, Otherwise::Filter));
    assert_eq!(lane.branches.iter().map(|b| topic(b).topic.as_str()).collect::<Vec<_>>(), ["open", "rest"]);
    assert_eq!(added(&lane.branches[0].enrichers), [1]);
    assert!(lane.branches[1].view.get("b").is_none());
}

#[test]
fn variables_secrets_and_paths_are_those_of_the_file_that_names_them() {
    let main = "version = 1\napp = 'a'\ninclude = ['parts/*.toml']\n\
        kafka = { bootstrap_servers = '${HOSTS:-a:9092,b:9092}', properties = { sasl.password = '${PASSWORD}', 'linger.ms' = 5 } }\n";
    let part = "[databases.shop]\nurl = 'sqlite://shop.db'\nuser = '$${PASSWORD}'\npassword = '${file:secret}'\nmigrations = '.'\n";
    let folder = Folder::new(&[("routes.toml", main), ("parts/db.toml", part), ("parts/secret", "pw\n")]);
    let plan = folder.load().plan.unwrap();
    assert_eq!(plan.kafka.bootstrap_servers, "a:9092,b:9092");
    assert_eq!(plan.kafka.properties["sasl.password"], "secret");
    assert_eq!(plan.kafka.properties["linger.ms"], "5");
    let shop = &plan.databases["shop"];
    assert_eq!(shop.url, format!("sqlite://{}", folder.0.join("parts/shop.db").display()));
    assert_eq!((shop.user.as_deref(), shop.password.as_deref()), (Some("${PASSWORD}"), Some("pw")));
    assert_eq!(shop.migrations.as_deref(), Some(folder.0.join("parts/.").as_path()));
}

/// What is told of a file, without the pieces of its text.
fn told(text: &str) -> Vec<(&'static str, String)> {
    let loaded = Folder::new(&[("routes.toml", text)]).load();
    loaded.problems.into_iter().map(|p| (p.code, format!("{}; {}", p.message, p.help))).collect()
}

#[test]
fn what_a_variable_holds_and_who_logs_in_is_never_told() {
    let env = |name: &str| {
        Some(match name {
            "KAFKA" => "SASL_SSL://user:hunter2@127.0.0.1:19092".to_owned(),
            "REGISTRY" => "http//root:hunter2@localhost:8081".to_owned(),
            "DATABASE" => "postgres//root:hunter2@localhost/x".to_owned(),
            _ => "hunter2".to_owned(),
        })
    };
    let text = HEAD
        .replace("localhost:9092", "${KAFKA}")
        .replace("http://localhost:8081", "${REGISTRY}")
        .replace("sqlite://data/shop.db", "${DATABASE}")
        + "databases.other.url = '${OTHER}'\nhttp.listen = '${OTHER}'\n";
    let folder = Folder::new(&[("routes.toml", &text)]);
    let loaded = load(&folder.0.join("routes.toml"), Options { strict: true, env: &env, properties: None }).unwrap();
    let shown: Vec<String> = loaded.problems.iter().map(|p| diagnostics::human(p, &loaded.sources, false)).collect();
    let shown = shown.join("\n");
    for code in ["[bad-address]", "[bad-url]", "[unknown-database-kind]"] {
        assert!(shown.contains(code), "{code}: {shown}");
    }
    assert!(!shown.contains("hunter2") && !shown.contains("root"), "{shown}");
}

#[test]
fn an_address_with_a_scheme_or_a_user_is_no_broker_s() {
    for (servers, help) in [
        ("SASL_SSL://a:9092", "security.protocol"),
        ("a:9092,ssl://b:9092", "security.protocol"),
        ("user:hunter2@a:9092", "sasl.username"),
    ] {
        let found = told(&HEAD.replace("localhost:9092", servers));
        let (_, said) = found.iter().find(|(code, _)| *code == "bad-address").unwrap_or_else(|| panic!("{servers}"));
        assert!(said.contains(help) && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_postgres_url_is_judged_before_it_is_used() {
    for (url, why) in [
        ("postgres://me:hunter2@localhost:543199/x", "port"),
        ("postgres://me:hunter2@local host/x", "host"),
        ("postgres://localhost/x?sslmode=perhaps", "unknown value \"perhaps\" for `ssl_mode`"),
    ] {
        let found = told(&HEAD.replace("sqlite://data/shop.db", url));
        let (_, said) = found.iter().find(|(code, _)| *code == "bad-url").unwrap_or_else(|| panic!("{url}: {found:?}"));
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    }
    assert!(
        !told(&HEAD.replace("sqlite://data/shop.db", "postgres://me@[::1]:5432/x?sslmode=disable"))
            .iter()
            .any(|(code, _)| *code == "bad-url")
    );
}

#[test]
fn certificates_that_are_not_there_are_told() {
    let registry = "url = \"http://localhost:8081\"";
    let found = told(&HEAD.replace(registry, &format!("{registry}, ca = \"nope.pem\"")));
    assert!(found.iter().any(|(code, said)| *code == "missing-file" && said.contains("nope.pem")), "{found:?}");
}
