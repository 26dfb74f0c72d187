//! The house's own rules: imports go one way, files stay short, unsafe code has one room, links lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

struct Source {
    /// Below src/.
    path: PathBuf,
    /// Without comment lines.
    code: String,
    lines: usize,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
                let path = path.strip_prefix(root().join("src")).unwrap().to_owned();
                found.push(Source { path, code, lines: text.lines().count() });
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found
}

/// The rooms, in lib.rs's order.
fn rooms() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    lib.lines().filter_map(|l| Some(l.strip_prefix("pub mod ")?.split_once(';')?.0.to_owned())).collect()
}

/// The first name of every path below `prefix`: `crate::a::B` and `crate::{a::B, c}` give a, and a and c.
fn mentions<'c>(code: &'c str, prefix: &str) -> Vec<&'c str> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.extend(rest.split(|c: char| !is_word(c)).next());
            continue;
        };
        let (mut depth, mut begins) = (1, 0);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' => {}
                _ => continue,
            }
            if depth == 0 || (depth == 1 && c == ',') {
                found.extend(group[begins..i].trim().split(|c: char| !is_word(c)).next());
                begins = i + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn a_room_imports_only_from_the_rooms_above_it() {
    let rooms = rooms();
    assert!(rooms.len() > 10, "lib.rs lists the rooms: {rooms:?}");
    let order = |name: &str| rooms.iter().position(|r| r == name);
    let mut wrong = Vec::new();
    for source in sources() {
        let first = source.path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let Some(own) = order(first) else { continue }; // lib.rs, main.rs
        for name in mentions(&source.code, "crate::") {
            if order(name).is_some_and(|other| other > own) {
                wrong.push(format!("src/{} imports from {name}, which stands below {first}", source.path.display()));
            }
        }
        // Table destinations relay their outbox through the topic destination, never the other way.
        let table = ["destination::", "super::"].iter().any(|p| mentions(&source.code, p).contains(&"table"));
        if source.path.starts_with("destination/topic") && table {
            wrong.push(format!("src/{} imports from destination/table", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short() {
    let mut sources = sources();
    let long: Vec<_> =
        sources.iter().filter(|s| s.lines > 500).map(|s| format!("{}: {}", s.path.display(), s.lines)).collect();
    assert!(long.is_empty(), "over 500 lines: {}", long.join(", "));
    sources.sort_by_key(|s| s.lines);
    let median = sources[sources.len() / 2].lines;
    assert!(median < 250, "the median file has {median} lines");
}

#[test]
fn unsafe_code_lives_in_the_kafka_room_alone() {
    let elsewhere = sources().into_iter().filter(|s| !s.path.starts_with("kafka"));
    let wrong: Vec<_> = elsewhere.filter(|s| s.code.split(|c: char| !is_word(c)).any(|w| w == "unsafe")).collect();
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(|s| &s.path).collect::<Vec<_>>());
}

/// The Markdown files of a folder; `deep`: and of those in it.
fn documents_in(folder: &Path, deep: bool, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path()) {
        if deep && path.is_dir() {
            documents_in(&path, deep, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

#[test]
fn links_in_the_documents_lead_to_files() {
    let mut wrong = Vec::new();
    let mut documents = Vec::new();
    for place in [".", "docs", "examples", "deploy"] {
        documents_in(&root().join(place), place != ".", &mut documents);
    }
    assert!(documents.len() > 8, "{documents:?}");
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") && !document.parent().unwrap().join(path).exists() {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere: {}", wrong.join(", "));
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::{a::{B, C}, d::E,\n f};\nuse crate::g::h; let x = crate::i::J;";
    assert_eq!(mentions(code, "crate::"), ["a", "d", "f", "g", "i"]);
}
