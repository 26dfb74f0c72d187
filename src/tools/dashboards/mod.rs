//! `dashboards`: Grafana dashboards and Prometheus alert rules, written from routes.toml.

mod about;
mod alerts;
mod boards;
mod grafana;

use crate::config::Plan;
use about::About;
use grafana::{Dashboard, GENERATED};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where dashboards stand below the output folder, and where rules do.
const DASHBOARDS: &str = "grafana/dashboards";
const RULES: &str = "prometheus/pointsman.rules.yml";
/// The longest uid that Grafana takes.
const UID: usize = 40;

/// A file as it should be.
#[derive(Debug)]
pub struct Generated {
    /// Below the output folder.
    pub path: PathBuf,
    pub text: String,
}

/// How a file in the output folder differs from what the routes ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    Missing,
    Changed,
    /// Of a route or collector that is gone.
    Surplus,
}

impl Difference {
    pub const fn name(self) -> &'static str {
        match self {
            Difference::Missing => "missing",
            Difference::Changed => "changed",
            Difference::Surplus => "surplus",
        }
    }
}

/// The files of a plan: an overview, a dashboard for each route and collector, and the alert rules.
pub fn generate(plan: &Plan) -> Vec<Generated> {
    let routes: Vec<About> = plan.routes.iter().map(About::new).collect();
    let overview = boards::overview(&plan.app, uid(&plan.app, ""));
    let mut files = vec![dashboard("overview", &overview)];
    for about in &routes {
        files.push(dashboard(
            &format!("route-{}", about.name),
            &boards::route(&plan.app, about, uid(&plan.app, &about.name)),
        ));
    }
    for collector in &plan.collectors {
        let uid = uid(&plan.app, &format!("collector-{}", collector.name));
        files.push(dashboard(&format!("collector-{}", collector.name), &boards::collector(&plan.app, collector, uid)));
    }
    files.push(Generated { path: RULES.into(), text: alerts::rules(&plan.app, &routes) });
    files
}

/// What `write` would do to a folder: each file that is not as it should be.
///
/// # Errors
/// A file that is there cannot be read; the error names it.
pub fn differences(files: &[Generated], out: &Path) -> io::Result<Vec<(PathBuf, Difference)>> {
    let mut found = Vec::new();
    for file in files {
        match read(&out.join(&file.path))? {
            None => found.push((file.path.clone(), Difference::Missing)),
            Some(text) if text != file.text => found.push((file.path.clone(), Difference::Changed)),
            Some(_) => {}
        }
    }
    for path in written_earlier(out)? {
        if !files.iter().any(|f| f.path == path) {
            found.push((path, Difference::Surplus));
        }
    }
    Ok(found)
}

/// Makes the folder's files what they should be; dashboards of what is gone are removed. What was done.
///
/// # Errors
/// A file or folder cannot be read, written or removed; the error names it.
pub fn write(files: &[Generated], out: &Path) -> io::Result<Vec<(PathBuf, Difference)>> {
    let differences = differences(files, out)?;
    for (path, difference) in &differences {
        let target = out.join(path);
        if *difference == Difference::Surplus {
            fs::remove_file(&target).map_err(|e| naming(&target, &e))?;
            continue;
        }
        let file = files.iter().find(|f| f.path == *path).expect("what is missing or changed is one of the files");
        let folder = target.parent().expect("a path below a folder has a parent");
        fs::create_dir_all(folder).map_err(|e| naming(folder, &e))?;
        fs::write(&target, &file.text).map_err(|e| naming(&target, &e))?;
    }
    Ok(differences)
}

fn dashboard(name: &str, board: &Dashboard) -> Generated {
    Generated { path: Path::new(DASHBOARDS).join(format!("{name}.json")), text: format!("{:#}\n", board.json()) }
}

/// The same for the same names, whatever else changes; different for different ones.
fn uid(app: &str, route: &str) -> String {
    let whole = if route.is_empty() { format!("pointsman-{app}") } else { format!("pointsman-{app}-{route}") };
    let uid: String = whole.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    if uid == whole && uid.len() <= UID {
        return uid;
    }
    // FNV-1a: the standard library's hash may change with its version, and links with it.
    let hash = whole.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let short: String = uid.chars().take(UID - 9).collect();
    format!("{short}-{hash:08x}")
}

/// Dashboards of routes and collectors that an earlier call has written; what somebody else put there is not touched.
fn written_earlier(out: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = out.join(DASHBOARDS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(naming(&folder, &e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| naming(&folder, &e))?.file_name();
        let ours = |n: &str| (n.starts_with("route-") || n.starts_with("collector-")) && n.ends_with(".json");
        if name.to_str().is_some_and(ours) && read(&folder.join(&name))?.is_some_and(|text| text.contains(GENERATED)) {
            found.push(Path::new(DASHBOARDS).join(name));
        }
    }
    found.sort();
    Ok(found)
}

/// A file's text; `None` where there is none.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        // Not text, so not what we wrote.
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(Some(String::new())),
        Err(e) => Err(naming(path, &e)),
    }
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
