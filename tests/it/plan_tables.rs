//! `plan` and `apply` of databases: pending, failing and changed migrations, missing rights, tables that do not fit.

use crate::{
    harness::{Message, Project, message, produce, read_topic},
    plan_all::{PAYMENT, Scene, TABLE, head, routes},
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

#[test]
fn a_migration_that_fails_in_the_middle_leaves_the_ones_before_it_and_is_done_once_mended() {
    let scene = Scene::new("plan_middle");
    let file = |name: &str, sql: &str| std::fs::write(scene.project.folder.join("migrations").join(name), sql).unwrap();
    file("2_broken.sql", "CREATE TABLE kept_nothing (id INTEGER); SELECT nonsense;");
    file("3_last.sql", "CREATE TABLE last (id INTEGER);");
    let failed = scene.project.run(&["apply", "--only", "tables", "--yes"]);
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stdout.contains("done books: apply migration 1_payments"), "{}", failed.stdout);
    assert!(failed.stdout.contains("failed books: apply migration 2_broken"), "{}", failed.stdout);
    assert!(failed.stdout.contains("nonsense") && failed.stdout.contains("help: correct the migration's SQL"));
    assert!(failed.stdout.contains("error: applied 1 of 6"), "{}", failed.stdout);
    let tables = |name: &str| scene.database.count(&format!("pg_tables WHERE tablename = '{name}'"));
    assert_eq!((tables("payments"), tables("kept_nothing"), tables("last")), (1, 0, 0));

    file("2_broken.sql", "CREATE TABLE kept_nothing (id INTEGER);");
    let mended = scene.project.run(&["apply", "--only", "tables", "--yes"]).ok();
    assert!(!mended.stdout.contains("1_payments") && mended.stdout.contains("3_last"), "{}", mended.stdout);
    scene.project.run(&["plan", "--only", "tables", "--exit-code"]).ok();

    file("1_payments.sql", "CREATE TABLE other (id INTEGER);");
    let changed = scene.project.run(&["plan", "--only", "tables"]);
    assert_eq!(changed.code, Some(1));
    assert!(changed.stdout.contains("migration 1") && changed.stdout.contains("as it was"), "{}", changed.stdout);
}

#[test]
fn a_user_without_the_right_to_make_tables_is_told_before_and_a_later_grant_is_enough() {
    let scene = Scene::new("plan_rights");
    let user = &scene.app;
    scene.database.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'x'"));
    let url = scene.database.url.replace("postgres@", &format!("{user}:x@"));
    let project = Project::new(&(head(user, &scene.registry.url, &url) + &routes(user)))
        .file("schemas/payment.avsc", PAYMENT)
        .file("migrations/1_payments.sql", TABLE);
    for command in [&["plan", "--only", "tables"][..], &["apply", "--only", "tables", "--yes"]] {
        let refused = project.run(command);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let words = format!("user {user} may not make tables in schema public");
        assert!(refused.stdout.contains(&words), "{}", refused.stdout);
    }
    scene.database.execute(&format!("GRANT CREATE ON SCHEMA public TO {user}"));
    project.run(&["apply", "--only", "tables", "--yes"]).ok();
    project.run(&["plan", "--only", "tables", "--exit-code"]).ok();
    scene.database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}"));
}

#[test]
fn a_table_that_does_not_take_the_rows_is_a_finding_with_the_sql_that_mends_it() {
    let scene = Scene::new("plan_unfit");
    let path = scene.project.folder.join("migrations/1_payments.sql");
    std::fs::write(path, "CREATE TABLE payments (id TEXT PRIMARY KEY);").unwrap();
    // Before the migration nothing can be said of the table; after it, it can.
    let applied = scene.project.run(&["apply", "--only", "tables", "--yes"]);
    assert_eq!(applied.code, Some(1), "{applied:?}");
    for output in [applied.stdout, scene.project.run(&["plan", "--only", "tables"]).stdout] {
        assert!(
            output.contains("has no column `amount`") && output.contains("ADD COLUMN \"amount\" INTEGER"),
            "{output}"
        );
    }
}

#[test]
fn a_sqlite_file_is_made_by_apply_and_not_by_plan() {
    let scene = Scene::new("plan_sqlite");
    let project =
        Project::new(&(head(&scene.app, &scene.registry.url, "sqlite://data/books.db") + &routes(&scene.app)))
            .file("schemas/payment.avsc", PAYMENT)
            .file("migrations/1_payments.sql", TABLE);
    let planned = project.run(&["plan", "--only", "tables"]).ok();
    assert!(planned.stdout.contains("apply migration 1_payments"), "{}", planned.stdout);
    assert!(planned.stdout.contains("make table dead_letters"), "{}", planned.stdout);
    assert!(!project.folder.join("data").exists(), "looking makes nothing");
    project.run(&["apply", "--only", "tables", "--yes"]).ok();
    project.run(&["plan", "--only", "tables", "--exit-code"]).ok();
    assert!(project.folder.join("data/books.db").exists());
}

/// `run` would stand on it, or wait for it.
#[test]
fn a_sqlite_file_that_this_user_may_not_write_is_a_finding() {
    let routes = "version = 1\napp = \"a\"\nkafka = { bootstrap_servers = \"localhost:1\" }\n\
                  [databases.books]\nurl = \"sqlite://data/new/books.db\"\nmigrations = \"migrations\"\n\
                  [routes.stored]\ntopic = \"in\"\nformat = \"json\"\nschema = \"shop.Payment\"\ndlq = \"discard\"\n\
                  destination = { database = \"books\", table = \"payments\", key_columns = [\"id\"] }\n";
    let project = Project::new(routes).file("schemas/payment.avsc", PAYMENT).file("migrations/1_payments.sql", TABLE);
    let set = |path: &str, mode: u32| {
        fs::set_permissions(project.folder.join(path), Permissions::from_mode(mode)).unwrap();
    };
    // Whom nothing is forbidden looks as another user.
    let root = fs::metadata(&project.folder).unwrap().uid() == 0;
    let before = if root { "exec setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "exec" };
    let plan = || project.spawn_in_shell(before, &["plan", "--only", "tables"]).wait();
    let finding = |what: &str| {
        let planned = plan();
        assert_eq!(planned.code, Some(1), "{what}: {planned:?}");
        assert!(planned.stdout.contains(what), "{what} is missing in {}", planned.stdout);
    };
    fs::create_dir(project.folder.join("data")).unwrap();
    set("data", 0o555);
    finding("data: Permission denied");
    set("data", 0o777);
    plan().ok();

    project.run(&["apply", "--only", "tables", "--yes"]).ok();
    // SQLite's log may be among them.
    let found = fs::read_dir(project.folder.join("data/new")).unwrap().map(|file| file.unwrap().file_name());
    let files: Vec<String> = found.map(|name| format!("data/new/{}", name.to_str().unwrap())).collect();
    assert!(files.contains(&"data/new/books.db".to_owned()), "{files:?}");
    files.iter().for_each(|file| set(file, 0o666));
    set("data/new", 0o555);
    finding("data/new: Permission denied");
    set("data/new", 0o777);
    plan().ok();
    for file in &files {
        set(file, 0o444);
        finding(&format!("{file}: Permission denied"));
        set(file, 0o666);
    }
}

#[test]
fn tables_that_cannot_be_looked_at_after_a_migration_are_told_with_3() {
    let scene = Scene::new("plan_after");
    let user = &scene.app;
    let name = scene.database.url.rsplit_once('/').unwrap().1;
    scene.database.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'x'; ALTER DATABASE {name} OWNER TO {user}"));
    let url = scene.database.url.replace("postgres@", &format!("{user}:x@"));
    let project = Project::new(&(head(user, &scene.registry.url, &url) + &routes(user)))
        .file("schemas/payment.avsc", PAYMENT)
        .file("migrations/1_payments.sql", TABLE);
    project.run(&["apply", "--only", "tables", "--yes"]).ok();
    // From its commit on, nobody but a superuser gets in.
    let closes = format!("ALTER DATABASE {name} CONNECTION LIMIT 0;");
    let project = project.file("migrations/2_closes.sql", &closes);
    let applied = project.run(&["apply", "--only", "tables", "--yes"]);
    assert_eq!(applied.code, Some(3), "{applied:?}");
    assert!(applied.stdout.contains("done books: apply migration 2_closes"), "{}", applied.stdout);
    assert!(
        applied.stdout.contains("error: ") && applied.stdout.contains("too many connections"),
        "{}",
        applied.stdout
    );
    scene.database.execute(&format!("ALTER DATABASE {name} OWNER TO postgres; DROP OWNED BY {user}; DROP ROLE {user}"));
}

/// docs/operating.md names the grants that the routes' user needs: with these and no others rows are inserted, updated and
/// deleted, and letters reach their table and their topic.
#[test]
fn the_grants_of_the_document_are_enough() {
    let scene = Scene::new("grants");
    let (user, name) = (&scene.app, scene.database.url.rsplit_once('/').unwrap().1);
    let document = include_str!("../../docs/operating.md");
    let (_, grants) = document.split_once("```sql\nGRANT ").unwrap();
    let grants = format!("GRANT {}", grants.split_once("```").unwrap().0);
    let grants =
        grants.replace("TO routes", &format!("TO {user}")).replace("DATABASE shop", &format!("DATABASE {name}"));
    let input = format!("{user}_in");
    let routes = |letters: &str, keys: &str| {
        format!(
            "[routes.{letters}]\ntopic = \"{input}\"\nformat = \"json\"\nkey = \"string\"\nschema = \"shop.Payment\"\n{keys}"
        )
    };
    let rows = "destination = { database = \"books\", table = \"orders\", key_columns = [\"id\"], on_tombstone = \"delete\" }\n";
    let routes = format!("[topics.{input}]\n")
        + &routes("kept", &format!("dlq = {{ database = \"books\", table = \"dead_letters\" }}\n{rows}"))
        + &routes("sent", &format!("dlq = \"{user}_dlq\"\n{rows}"));
    let project = |database: &str| {
        Project::new(&(head(user, &scene.registry.url, database) + &routes))
            .file("schemas/payment.avsc", PAYMENT)
            .file("migrations/1_orders.sql", &TABLE.replace("payments", "orders"))
    };
    project(&scene.database.url).run(&["apply", "--yes"]).ok();
    scene.database.execute(&format!(
        "REVOKE ALL ON DATABASE {name} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;
        CREATE ROLE {user} LOGIN PASSWORD 'x'; GRANT CONNECT ON DATABASE {name} TO {user}; {grants}"
    ));

    let paid = |id: &str, amount: &str| message(id, format!(r#"{{"id":"{id}","amount":{amount}}}"#));
    let gone = Message { value: None, ..paid("b", "0") };
    produce(&input, [paid("a", "1"), paid("b", "2"), paid("c", "\"?\"")]);
    let limited = project(&scene.database.url.replace("postgres@", &format!("{user}:x@")));
    limited.run(&["run", "--until-caught-up"]).ok();
    produce(&input, [paid("a", "3"), gone]);
    limited.run(&["run", "--until-caught-up"]).ok();
    let rows = scene.database.rows("SELECT id, amount FROM orders");
    assert_eq!(rows, [serde_json::json!({ "id": "a", "amount": 3 })]);
    assert_eq!(scene.database.count("dead_letters"), 1);
    assert_eq!(read_topic(&format!("{user}_dlq")).len(), 1);
    for command in [&["plan", "--exit-code"][..], &["apply", "--yes"]] {
        limited.run(command).ok();
    }
    scene.database.execute(&format!("REVOKE UPDATE, DELETE ON orders FROM {user}"));
    let refused = limited.run(&["plan"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    // Once, though both routes write to it.
    let words = format!("user {user} may not UPDATE, DELETE in table `orders`");
    assert_eq!(refused.stdout.matches(&words).count(), 1, "{refused:?}");
    assert!(refused.stdout.contains(&format!("GRANT UPDATE, DELETE ON \"orders\" TO \"{user}\";")), "{refused:?}");
    scene.database.execute(&format!("REVOKE INSERT ON dead_letters, pointsman_outbox FROM {user}"));
    let refused = limited.run(&["plan"]);
    for table in ["dead_letters", "pointsman_outbox"] {
        let words = format!("user {user} may not INSERT in table `{table}`");
        assert!(refused.stdout.contains(&words), "{refused:?}");
    }
    scene.database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}"));
}
