//! Avro's names: what they may look like, how a short one becomes a full one, and which known one was meant.

use super::arena::Kind;

/// Names that no type may be given.
pub(super) const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

/// The other words that "type" takes.
pub(super) const COMPLEX: [&str; 5] = ["record", "enum", "fixed", "array", "map"];

pub(super) fn primitive(name: &str) -> Option<Kind> {
    Some(match name {
        "null" => Kind::Null,
        "boolean" => Kind::Boolean,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "string" => Kind::String,
        _ => return None,
    })
}

/// `[A-Za-z_][A-Za-z0-9_]*`: a field, a symbol, or one part of a full name.
pub(super) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Names with dots between them.
pub(super) fn is_full_name(text: &str) -> bool {
    text.split('.').all(is_name)
}

/// The part before the last dot; empty where there is none.
pub(super) fn namespace(full: &str) -> &str {
    full.rfind('.').map_or("", |dot| &full[..dot])
}

/// The full name of `name` as it reads inside `namespace`.
pub(super) fn qualify(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// The candidate that was most likely meant; `None` where none is near enough.
pub(super) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let short = |n: &str| n.rsplit('.').next().unwrap_or(n).to_lowercase();
    let wanted = short(name);
    let near = |c: &str| {
        let whole = strsim::normalized_damerau_levenshtein(name, c);
        whole.max(strsim::normalized_damerau_levenshtein(&wanted, &short(c)) - 0.01)
    };
    let scored = candidates.into_iter().map(|c| (near(c), c)).filter(|(score, _)| *score >= 0.65);
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, c)| c)
}
