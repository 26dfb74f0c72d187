//! The demo as a stranger runs it: with nothing else on the machine.

use crate::harness::{Project, block_on};
use sqlx::{Connection, SqliteConnection};

#[test]
fn the_demo_accounts_for_every_record_and_leaves_its_rows() {
    let project = Project::new("").variable("POINTSMAN_LOG", "");
    let folder = project.folder.clone();
    let project = project.variable("TMPDIR", folder.to_str().unwrap());
    let finished = project.run(&["demo"]);
    let told = format!("{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(finished.code, Some(0), "{told}");
    assert!(finished.stdout.contains("Every record is accounted for"), "{told}");

    // Its last line is shortened there, and says how long it took.
    let (_, shown) = include_str!("../../README.md").split_once("What the demo prints in the end").unwrap();
    let shown = shown.split_once("```text\n").unwrap().1.split_once("  …\n").unwrap().0;
    assert!(finished.stdout.contains(shown), "README.md shows\n{shown}\nand the demo prints\n{told}");

    let figures = |route: &str| -> Vec<u64> {
        let line = finished.stdout.lines().find(|l| l.split_whitespace().next() == Some(route));
        let line = line.unwrap_or_else(|| panic!("no line of {route}: {told}"));
        line.split_whitespace().filter_map(|w| w.replace(',', "").parse().ok()).collect()
    };
    let routes = ["processed-events", "enriched-events", "stored-orders", "sales", "job-states"];
    for route in routes {
        let [consumed, delivered, filtered, dead] = figures(route)[..] else { panic!("{route}: {told}") };
        assert_eq!(consumed, 4_000, "{route}: {told}");
        assert_eq!(consumed, delivered + filtered + dead, "{route}: {told}");
        assert!(dead > 0, "{route}: {told}");
    }
    let delivered = figures("processed-events")[1];
    assert_eq!(figures("stored-events"), [delivered, delivered, 0, 0], "the second route reads what the first writes");
    assert_eq!(figures("all")[0], 20_000 + delivered);

    let count = |database: &str, sql: &'static str| -> u64 {
        let url = format!("sqlite://{}", folder.join("pointsman-demo-1/data").join(database).display());
        block_on(async {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap() as u64
        })
    };
    let states = "SELECT (SELECT count(*) FROM failed) + (SELECT count(*) FROM completed)
                       + (SELECT count(*) FROM in_progress)";
    assert_eq!(count("jobs.db", states), figures("job-states")[1]);
    assert_eq!(count("jobs.db", "SELECT count(*) FROM dead_letters"), figures("job-states")[3]);
    let sales = "SELECT (SELECT count(*) FROM opportunities) + (SELECT count(*) FROM projects)
                      + (SELECT count(*) FROM unidentified)";
    assert_eq!(count("crm.db", sales), figures("sales")[1]);
    let events = count("shop.db", "SELECT count(*) FROM events");
    assert!(events <= delivered && events > delivered * 9 / 10, "{events} of {delivered}: a few were sent twice");
    assert!(count("shop.db", "SELECT count(*) FROM order_items") >= count("shop.db", "SELECT count(*) FROM orders"));
}
