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

/// Two builds of one tag at a time, as bake does them, get in each other's way; a pull would fetch somebody else's image.
#[test]
fn one_service_builds_the_image_and_all_others_wait_for_it() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let ours: Vec<_> = services.iter().filter(|(_, s)| s["image"] == "pointsman").collect();
    let builders: Vec<_> = ours.iter().filter(|(_, s)| s["build"].is_object()).map(|(name, _)| *name).collect();
    assert_eq!(builders, ["registry"]);
    let waits_for = |name: &str| services[name]["depends_on"].as_object().into_iter().flatten().map(|(other, _)| other);
    for (name, service) in ours {
        assert_eq!(service["pull_policy"], "never", "{name}");
        let mut before = vec![name];
        while let Some(next) = before.iter().flat_map(|n| waits_for(n)).find(|n| !before.contains(n)) {
            before.push(next);
        }
        assert!(before.contains(&builders[0]), "{name} starts without waiting for {}", builders[0]);
    }
}

#[test]
fn postgres_is_not_healthy_while_its_image_still_makes_the_databases() {
    let test = &compose()["services"]["postgres"]["healthcheck"]["test"];
    let test: Vec<_> = test.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(test.windows(2).any(|w| w == ["--host", "127.0.0.1"]), "{test:?}");
}
