//! What a collector says of itself in /openapi.json, held against what it does.

use crate::{
    collect_support::Collecting,
    tools::{python, run},
};
use std::process::Command;

/// schemathesis makes requests from the description, good ones and bad ones, and looks for answers that are not in it: other
/// statuses, types or bodies, faults of the server, and bad requests that pass. That a good event may break a rule is left out:
/// no schema says what CEL does.
#[test]
fn schemathesis_finds_nothing_that_the_description_does_not_say() {
    let c = Collecting::start_with("auth = { tokens = \"tokens\" }", "", |p| p.file("tokens", "secret\n"));
    let mut schemathesis = Command::new(python(&["schemathesis==4.32.5"]).join("schemathesis"));
    schemathesis.args(["run", &format!("http://{}/openapi.json", c.address())]).current_dir(&c.project.folder);
    schemathesis.args(["--header", "Authorization: Bearer secret", "--continue-on-failure", "--seed", "1"]);
    schemathesis.args(["--max-examples", "200", "--exclude-checks", "positive_data_acceptance"]);
    run(&mut schemathesis);
}
