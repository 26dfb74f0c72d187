//! deploy/compose.yaml, as `docker compose` understands it.

use crate::{
    shipped::root,
    tools::{go, run},
};
use serde_json::Value;
use std::{fs, process::Command};

/// The file as `docker compose` understands it.
pub fn compose() -> Value {
    // The standalone program of Docker Compose; it needs no engine for this.
    let compose = go("cmd", "github.com/docker/compose/v2/cmd", "v2.32.4");
    let file = root().join("deploy/compose.yaml");
    let said = run(Command::new(compose).arg("--file").arg(file).args(["config", "--format", "json"]));
    serde_json::from_str(&said).unwrap()
}

#[test]
fn what_containers_mount_is_there() {
    let compose = compose();
    for (name, service) in compose["services"].as_object().unwrap() {
        for volume in service["volumes"].as_array().into_iter().flatten().filter(|v| v["type"] == "bind") {
            let source = volume["source"].as_str().unwrap();
            assert!(fs::exists(source).unwrap(), "{name} mounts {source}");
        }
        for (other, _) in service["depends_on"].as_object().into_iter().flatten() {
            assert!(compose["services"][other].is_object(), "{name} depends on {other}");
        }
    }
}
