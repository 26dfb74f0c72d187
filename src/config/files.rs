//! The main file and those it includes: names are global, settings stand in the main file alone.

use super::{
    context::Context,
    document::{self, Entry, Kind, Table},
    keys,
    problem::{Place, Problem},
    section::{Section, text, wrong_type},
};
use crate::schema::utf8;
use std::path::{Path, PathBuf};

/// Every file as it was read; the main one first.
pub(super) struct Files {
    tables: Vec<(Table, Place)>,
    /// Some file is not TOML.
    pub broken: bool,
}

/// Why the main file could not be read at all.
pub(super) fn read(cx: &Context<'_>, path: &Path) -> Result<Files, std::io::Error> {
    let mut files = Files { tables: Vec::new(), broken: false };
    files.parse(cx, path, std::fs::read(path)?);
    for included in includes(cx, &files.tables[0].0, path) {
        match std::fs::read(&included.0) {
            Ok(bytes) => files.parse(cx, &included.0, bytes),
            Err(e) => {
                let message = format!("cannot read `{}`: {e}", included.0.display());
                let help = match included.0.is_dir() {
                    true => "of a folder, name the files in it: `include = [\"routes/*.toml\"]`",
                    false => "the file is there: look at who may read it",
                };
                cx.report(Problem::error("unreadable-include", included.1, message).help(help));
            }
        }
    }
    Ok(files)
}

/// The files that `include` names, each once, in the order of its patterns.
fn includes(cx: &Context<'_>, main: &Table, path: &Path) -> Vec<(PathBuf, Place)> {
    let Some(value) = main.get("include") else { return Vec::new() };
    let Kind::Array(patterns) = &value.kind else {
        wrong_type(cx, value, "a list of paths", "write `include = [\"routes/*.toml\"]`");
        return Vec::new();
    };
    let mut found: Vec<(PathBuf, Place)> = Vec::new();
    for pattern in patterns {
        let Some(typed) = text(cx, pattern) else { continue };
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let whole = format!("{}/{typed}", glob::Pattern::escape(&folder.to_string_lossy()));
        let paths = match glob::glob(&whole) {
            Ok(paths) => paths,
            Err(e) => {
                let message = format!("`{typed}` is no pattern of paths: {}", e.msg);
                cx.report(Problem::error("bad-include", pattern.place, message));
                continue;
            }
        };
        let mut any = false;
        for file in paths.flatten() {
            any = true;
            let file = file.strip_prefix(".").map(Path::to_owned).unwrap_or(file);
            if !same_file(&file, path) && !found.iter().any(|(p, _)| *p == file) {
                found.push((file, pattern.place));
            }
        }
        if !any {
            cx.report(
                Problem::error("empty-include", pattern.place, format!("no file matches `{typed}`"))
                    .help("patterns begin at the folder of this file"),
            );
        }
    }
    found
}

/// Whether two paths, however they are written, lead to one file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

impl Files {
    fn parse(&mut self, cx: &Context<'_>, path: &Path, bytes: Vec<u8>) {
        let text = match utf8(bytes) {
            Ok(text) => text,
            Err((text, found)) => {
                let file = cx.add_source(path, text);
                let place = Place { file, start: found.span.start as u32, end: found.span.end as u32 };
                cx.report(Problem::error(found.code, place, found.message).help(found.help));
                self.broken = true;
                self.tables.push((Table::default(), place));
                return;
            }
        };
        let file = cx.add_source(path, text);
        let (table, problems) = document::parse(cx.sources().get(file).map_or("", |s| &s.text), file);
        self.broken |= !problems.is_empty();
        problems.into_iter().for_each(|p| cx.report(p));
        self.tables.push((table, Place { file, start: 0, end: 0 }));
    }

    pub(super) fn main<'a>(&'a self, cx: &'a Context<'a>) -> Section<'a> {
        let (table, place) = &self.tables[0];
        Section { cx, table, what: "the file".into(), place: *place }
    }

    /// Refuses unknown top-level keys, settings in included files, and versions other than 1.
    pub(super) fn check_shape(&self, cx: &Context<'_>) {
        for (i, (table, place)) in self.tables.iter().enumerate() {
            let section = Section { cx, table, what: "the file".into(), place: *place };
            if i == 0 {
                section.only(&keys::FILE);
                section.require("version", "write `version = 1` as the first line");
            } else {
                included_only(&section);
            }
            match section.value("version").map(|v| (v, &v.kind)) {
                None | Some((_, Kind::Integer(1))) => {}
                Some((value, _)) => cx.report(
                    Problem::error("unknown-version", value.place, "this version of routes.toml is not known")
                        .help("write `version = 1`"),
                ),
            }
        }
    }

    /// The entries of a section of names, of all files; a name that stands twice is reported.
    pub(super) fn named(&self, cx: &Context<'_>, section: &str) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = Vec::new();
        for (table, _) in &self.tables {
            let Some(value) = table.get(section) else { continue };
            let Kind::Table(names) = &value.kind else {
                wrong_type(cx, value, "a table", &format!("write `[{section}.NAME]`, in single brackets"));
                continue;
            };
            for entry in &names.entries {
                match entries.iter().find(|e| e.key == entry.key) {
                    None => entries.push(entry),
                    Some(first) => cx.report(
                        Problem::error(
                            "duplicate-name",
                            entry.key_place,
                            format!("`{section}.{}` stands in two files", entry.key),
                        )
                        .also(first.key_place, "here for the first time")
                        .help("names are global: rename one"),
                    ),
                }
            }
        }
        entries
    }
}

fn included_only(section: &Section<'_>) {
    for entry in &section.table.entries {
        let key = entry.key.as_str();
        if keys::INCLUDED.keys.contains(&key) {
            continue;
        }
        if keys::FILE.keys.contains(&key) {
            let message = format!("`{key}` stands in an included file");
            section.cx.report(
                Problem::error("setting-in-include", entry.key_place, message)
                    .help(format!("`{key}` holds for all files: move it into the main one")),
            );
        } else {
            Section { table: &Table { entries: vec![entry.clone()] }, ..section.clone() }.only(&keys::INCLUDED);
        }
    }
}
