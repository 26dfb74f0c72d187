//! Configurations for unit tests, this room's and those below it.

use super::{Loaded, Options, Plan, diagnostics, load};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder with the schemas of tests/check, removed at the end of its test.
pub(crate) struct Folder(pub PathBuf);

impl Folder {
    /// With these files too, each at a path below it.
    pub(crate) fn new(files: &[(&str, &str)]) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pointsman-config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/schemas/shop");
        fs::create_dir_all(folder.0.join("schemas")).unwrap();
        for entry in fs::read_dir(shared).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.0.join("schemas").join(path.file_name().unwrap())).unwrap();
        }
        for (path, text) in files {
            let path = folder.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    /// Its routes.toml, strictly; the only variable is `PASSWORD`.
    pub(crate) fn load(&self) -> Loaded {
        let env = |name: &str| (name == "PASSWORD").then(|| "secret".to_owned());
        load(&self.0.join("routes.toml"), Options { strict: true, env: &env, properties: None }).unwrap()
    }

    /// Its plan, which has not even a warning, but for what it does not use: the texts share a head.
    pub(crate) fn plan(&self) -> Plan {
        let loaded = self.load();
        let told = loaded.problems.iter().filter(|p| p.code != "unused");
        let shown: Vec<String> = told.map(|p| diagnostics::human(p, &loaded.sources, false)).collect();
        assert!(shown.is_empty(), "{}", shown.join("\n"));
        loaded.plan.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
