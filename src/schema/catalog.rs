//! The catalog: every .avsc below a folder, read as one body of types that refer to each other by full name.

use super::{
    arena::{NodeId, Schema},
    link::Linked,
    parse::{Reader, Source},
    problem::{Problem, utf8},
    read::nesting,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The named types of a folder of schemas.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    files: Vec<(PathBuf, String)>,
    types: BTreeMap<String, Entry>,
    /// Files named *.json, which are not read.
    passed_over: Vec<PathBuf>,
}

#[derive(Clone, Debug)]
struct Entry {
    file: usize,
    /// `None` where the type, or one it uses, has a problem.
    schema: Option<Arc<Schema>>,
}

/// A problem of a file of the catalog.
#[derive(Clone, Debug)]
pub struct FileProblem {
    pub path: PathBuf,
    /// The file's text, which the problem's span is a range of; `None` where the file cannot be read.
    pub text: Option<String>,
    pub problem: Problem,
}

impl Catalog {
    /// Reads every .avsc below the folder, in the order of their paths. A file holds one type or an array of types; types
    /// may refer to each other across files, in circles too. Every problem comes back, warnings among them.
    pub fn load(dir: &Path) -> (Catalog, Vec<FileProblem>) {
        let mut paths = Vec::new();
        let mut problems = Vec::new();
        if let Err((folder, error)) = find(dir, &mut BTreeSet::new(), &mut paths) {
            let help = match error.kind() {
                io::ErrorKind::PermissionDenied => "let this user read it",
                _ => "this folder should hold schemas, one .avsc file each",
            };
            problems.push(unreadable(&folder, &error, help));
        }
        paths.sort();
        let (paths, passed_over) =
            paths.into_iter().partition::<Vec<_>, _>(|p| p.extension().is_some_and(|e| e == "avsc"));
        let mut files = Vec::new();
        for path in paths {
            match fs::read(&path).map(utf8) {
                Ok(Ok(text)) => files.push((path, text)),
                Ok(Err((text, problem))) => problems.push(FileProblem { path, text: Some(text), problem }),
                Err(error) => {
                    let help = match error.kind() {
                        io::ErrorKind::PermissionDenied => "let this user read it",
                        _ if path.is_symlink() => "it is a link that leads to no file: mend it, or take it away",
                        _ => "each .avsc in this folder is read: take it away where it is no schema",
                    };
                    problems.push(unreadable(&path, &error, help));
                }
            }
        }
        let (catalog, found) = Catalog::of(files);
        problems.extend(found);
        (Catalog { passed_over, ..catalog }, problems)
    }

    /// The catalog of texts that are at hand already.
    pub fn of(files: Vec<(PathBuf, String)>) -> (Catalog, Vec<FileProblem>) {
        let mut reader = Reader::default();
        for (path, text) in &files {
            reader.read(Source { text, label: path.display().to_string(), reference: false });
        }
        let linked = reader.link();
        let mut named: Vec<(String, NodeId)> = reader.named.iter().map(|(name, id)| (name.clone(), *id)).collect();
        named.sort();
        let mut types = BTreeMap::new();
        for (name, id) in named {
            let file = reader.drafts[id.0 as usize].place.text;
            let schema = take(&mut reader, &linked, id);
            types.insert(name, Entry { file, schema });
        }
        let mut problems: Vec<(usize, Problem)> = std::mem::take(&mut reader.problems);
        problems.sort_by_key(|(file, p)| (*file, p.span.start, p.span.end));
        let problems = problems.into_iter().map(|(file, problem)| {
            let (path, text) = files[file].clone();
            FileProblem { path, text: Some(text), problem }
        });
        let problems = problems.collect();
        (Catalog { files, types, passed_over: Vec::new() }, problems)
    }

    /// The type of this full name as a schema of its own; `None` where there is none, or it has a problem.
    pub fn get(&self, full_name: &str) -> Option<Arc<Schema>> {
        self.types.get(full_name)?.schema.clone()
    }

    /// How many files were read.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// The full names of all types, those with problems too, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The file that defines this type, also where it has a problem: a name without a source is unknown.
    pub fn source(&self, full_name: &str) -> Option<(&Path, &str)> {
        let (path, text) = &self.files[self.types.get(full_name)?.file];
        Some((path, text))
    }

    /// A file that defines this type, by its own name or its text, and is not read since it is named *.json.
    pub fn passed_over(&self, full_name: &str) -> Option<&Path> {
        let short = full_name.rsplit('.').next().unwrap_or_default();
        let quoted = [format!("\"{short}\""), format!("\"{full_name}\"")];
        let defines = |path: &&PathBuf| {
            path.file_stem().is_some_and(|stem| stem.eq_ignore_ascii_case(short))
                || fs::read_to_string(path).is_ok_and(|text| quoted.iter().any(|q| text.contains(q)))
        };
        self.passed_over.iter().find(defines).map(PathBuf::as_path)
    }
}

fn take(reader: &mut Reader<'_>, linked: &Linked, id: NodeId) -> Option<Arc<Schema>> {
    if !linked.usable(id) {
        return None;
    }
    let schema = linked.arena.try_subschema(id);
    let refusal = match schema {
        Ok(schema) => return Some(Arc::new(schema)),
        Err(refusal) => refusal,
    };
    let place = &reader.drafts[id.0 as usize].place;
    reader.problems.push((place.text, nesting(refusal, place.span.clone())));
    None
}

/// Each folder once: a link may lead back up. Hidden names are not the team's: editors' locks and copies, and the folders
/// that Kubernetes keeps behind the links of a mounted ConfigMap. An error comes with its folder.
fn find(dir: &Path, known: &mut BTreeSet<PathBuf>, paths: &mut Vec<PathBuf>) -> Result<(), (PathBuf, io::Error)> {
    let here = |error| (dir.to_owned(), error);
    if !known.insert(fs::canonicalize(dir).map_err(here)?) {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(here)? {
        let entry = entry.map_err(here)?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            find(&path, known, paths)?;
        } else if path.extension().is_some_and(|e| e == "avsc" || e == "json") {
            paths.push(path);
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error, help: &str) -> FileProblem {
    let message = format!("cannot read {}: {error}", path.display());
    let problem = Problem::error(0..0, "unreadable", message).help(help);
    FileProblem { path: path.to_owned(), text: None, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(files: &[(&str, &str)]) -> (Catalog, Vec<String>) {
        let (catalog, problems) = Catalog::of(files.iter().map(|(p, t)| (p.into(), (*t).to_owned())).collect());
        let show = |p: &FileProblem| {
            let text = p.text.as_ref().unwrap();
            format!("{} at {} {}: {}", p.problem.code, p.path.display(), &text[p.problem.span.clone()], p.problem)
        };
        (catalog, problems.iter().map(show).collect())
    }

    #[test]
    fn types_refer_to_each_other_across_files_in_any_order_and_in_circles() {
        let (catalog, problems) = catalog(&[
            (
                "a.avsc",
                r#"{"type":"record","name":"shop.A","fields":[{"name":"b","type":["null","B"]},{"name":"c","type":"other.C"}]}"#,
            ),
            (
                "b.avsc",
                r#"{"type":"record","name":"B","namespace":"shop","fields":[{"name":"a","type":["null","shop.A"]}]}"#,
            ),
            ("c.avsc", r#"[{"type":"enum","name":"other.C","symbols":["X"]},{"type":"fixed","name":"D","size":2}]"#),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(catalog.names().collect::<Vec<_>>(), ["D", "other.C", "shop.A", "shop.B"]);
        let a = catalog.get("shop.A").unwrap();
        assert_eq!(Schema::parse(&a.to_json()).unwrap().to_json(), a.to_json(), "each is self-contained");
        assert!(a.to_json().contains(r#""symbols":["X"]"#));
        assert_eq!(catalog.source("other.C").unwrap().0, Path::new("c.avsc"));
    }

    /// As Kubernetes mounts a ConfigMap; beside it what editors leave.
    #[cfg(unix)]
    #[test]
    fn hidden_files_and_folders_are_passed_over() {
        let dir = std::env::temp_dir().join(format!("pointsman-hidden-{}", std::process::id()));
        fs::create_dir_all(dir.join("..2026_1")).unwrap();
        fs::write(dir.join("..2026_1/F.avsc"), r#"{"type":"fixed","name":"F","size":1}"#).unwrap();
        std::os::unix::fs::symlink("..2026_1", dir.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/F.avsc", dir.join("F.avsc")).unwrap();
        std::os::unix::fs::symlink("nobody@nowhere", dir.join(".#F.avsc")).unwrap();
        let (catalog, problems) = Catalog::load(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(catalog.names().collect::<Vec<_>>(), ["F"]);
    }

    #[test]
    fn a_type_in_two_files_is_told_with_both_places() {
        let text = "\n{\"type\":\"fixed\",\"name\":\"F\",\"size\":1}";
        let (_, problems) = catalog(&[("a.avsc", text), ("b.avsc", text)]);
        assert_eq!(
            problems,
            [
                r#"duplicate-type at b.avsc "F": the type `F` is already defined on line 2 of a.avsc (help: to use that definition, write its name: "F")"#
            ]
        );
    }

    #[test]
    fn a_problem_leaves_the_types_that_do_not_need_it() {
        let (catalog, problems) = catalog(&[
            ("bad.avsc", r#"{"type":"record","name":"Bad","fields":[{"name":"x","type":"shop.Ordr"}]}"#),
            ("broken.avsc", "{"),
            ("good.avsc", r#"{"type":"record","name":"shop.Order","fields":[]}"#),
            (
                "user.avsc",
                r#"{"type":"array","items":{"type":"record","name":"User","fields":[{"name":"bad","type":"Bad"}]}}"#,
            ),
        ]);
        assert_eq!(
            problems,
            [
                r#"unknown-type at bad.avsc "shop.Ordr": there is no type `shop.Ordr` (help: did you mean "shop.Order"?)"#,
                "malformed-json at broken.avsc {: the file ends where a key in double quotes should stand",
            ]
        );
        assert!(catalog.get("shop.Order").is_some());
        assert!(catalog.get("Bad").is_none() && catalog.get("User").is_none());
        assert!(catalog.source("User").is_some() && catalog.source("Nobody").is_none());
    }

    #[test]
    fn a_folder_is_read_with_its_folders() {
        let dir = std::env::temp_dir().join(format!("pointsman-catalog-{}", std::process::id()));
        fs::create_dir_all(dir.join("inner")).unwrap();
        fs::write(dir.join("inner/f.avsc"), r#"{"type":"fixed","name":"F","size":1}"#).unwrap();
        fs::write(dir.join("notes.txt"), "{").unwrap();
        fs::write(dir.join("latin1.avsc"), [0xe9]).unwrap();
        let (catalog, problems) = Catalog::load(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(catalog.names().collect::<Vec<_>>(), ["F"]);
        assert_eq!(problems.iter().map(|p| p.problem.code).collect::<Vec<_>>(), ["not-utf8"]);
        let (_, problems) = Catalog::load(&dir);
        assert!(problems[0].problem.message.contains("cannot read"), "{:?}", problems[0]);
    }
}
