//! Every problem of a JSON text: the slow path of a refusal that a person is to mend in one go.

use super::{
    super::{MAX_DEPTH, scan::join},
    Refusal,
    compile::Step,
    fail,
    read::{JsonReader, Walk},
    tokens::brief,
    union::{Class, Pick},
};
use crate::{failure::Failure, schema::NodeId};

impl JsonReader {
    /// What is wrong with a text that [`JsonReader::read`] refuses: each field that does not fit, in the order of the text,
    /// at most `most`. The search ends where the text ceases to be JSON.
    pub fn problems(&mut self, json: &[u8], most: usize) -> Vec<Failure> {
        let Ok(text) = std::str::from_utf8(json) else {
            return self.read(json, &mut Vec::new()).err().into_iter().collect();
        };
        let mut out = Vec::new();
        let root = self.root();
        let mut search = Search { walk: self.walk(text, &mut out), path: String::new(), found: Vec::new(), most };
        if search.value(root, 0).is_ok() && search.walk.tokens.peek().is_some() {
            let after = search.walk.tokens.malformed("the end");
            search.note(after);
        }
        let found = search.found;
        self.forget();
        found
    }
}

struct Search<'w, 'j> {
    walk: Walk<'w, 'j>,
    /// Where the value stands that is looked at.
    path: String,
    found: Vec<Failure>,
    most: usize,
}

/// The search has come to its end: enough was found, or the text is no JSON from here on.
struct End;

impl Search<'_, '_> {
    #[expect(clippy::boxed_local)] // refusals are boxed where they are made, since reading hands them up
    fn note(&mut self, refusal: Refusal) {
        if self.found.len() < self.most {
            let mut failure = *refusal;
            failure.field = join(&self.path, &failure.field);
            self.found.push(failure);
        }
    }

    fn value(&mut self, node: NodeId, depth: usize) -> Result<(), End> {
        if self.found.len() >= self.most {
            return Err(End);
        }
        let first = self.walk.tokens.peek();
        match self.walk.program.step(node) {
            Step::Record(index) if first == Some(b'{') && depth < MAX_DEPTH => self.record(index, depth),
            Step::Plain(super::super::shape::Shape::Array(item)) if first == Some(b'[') && depth < MAX_DEPTH => {
                self.array(item, depth)
            }
            Step::Union(index) => match self.branch(index, first) {
                Some(branch) => self.value(branch, depth),
                None => self.whole(node, depth),
            },
            _ => self.whole(node, depth),
        }
    }

    /// The branch that an object or array stands for without being named.
    fn branch(&mut self, index: usize, first: Option<u8>) -> Option<NodeId> {
        let class = match first {
            Some(b'{') if self.walk.wrapped(index).is_none() => Class::Object,
            Some(b'[') => Class::Array,
            _ => return None,
        };
        let union = &self.walk.program.unions[index];
        match union.natural(class) {
            Pick::One(branch) => Some(union.branches[branch]),
            Pick::None | Pick::Many => None,
        }
    }

    /// A value that has one problem or none.
    fn whole(&mut self, node: NodeId, depth: usize) -> Result<(), End> {
        let before = self.walk.tokens;
        let read = self.walk.value(node, depth);
        self.walk.rewind();
        let Err(refusal) = read else { return Ok(()) };
        self.note(refusal);
        self.walk.tokens = before;
        self.skip(depth, false)
    }

    /// Reads past a value; one that is no JSON is told, unless its problem has been.
    fn skip(&mut self, depth: usize, tell: bool) -> Result<(), End> {
        let Err(refusal) = self.walk.tokens.skip(depth, self.walk.buffer) else { return Ok(()) };
        if tell {
            self.note(refusal);
        }
        Err(End)
    }

    fn array(&mut self, item: NodeId, depth: usize) -> Result<(), End> {
        self.walk.tokens.take(b'[');
        let mut open = !self.walk.tokens.take(b']');
        let mut count = 0;
        while open {
            self.under(&format!("[{count}]"), |search| search.value(item, depth + 1))?;
            count += 1;
            open = self.more(b']', "`,` or `]`")?;
        }
        Ok(())
    }

    fn record(&mut self, index: usize, depth: usize) -> Result<(), End> {
        let program = self.walk.program;
        let fields = &program.records[index];
        let mut seen = vec![false; fields.all.len()];
        self.walk.tokens.take(b'{');
        let mut open = !self.walk.tokens.take(b'}');
        while open {
            let name = match self.walk.tokens.string(self.walk.buffer) {
                Ok(name) => name.as_str().to_owned(),
                Err(refusal) => return self.end(refusal),
            };
            if let Err(refusal) = self.walk.tokens.expect(b':', "`:`") {
                return self.end(refusal);
            }
            match fields.find(&name) {
                Some(i) if seen[i] => {
                    self.under(&name, |s| {
                        s.note(fail("duplicate-key", "the object has this key twice"));
                        s.skip(depth + 1, true)
                    })?;
                }
                Some(i) => {
                    seen[i] = true;
                    self.under(&name, |s| s.value(fields.all[i].node, depth + 1))?;
                }
                None => self.under(brief(&name).as_str(), |s| {
                    if s.walk.program.options.reject_unknown {
                        s.note(fail("unknown-field", fields.unknown(&name)));
                    }
                    s.skip(depth + 1, true)
                })?,
            }
            open = self.more(b'}', "`,` or `}`")?;
        }
        for (field, _) in fields.all.iter().zip(seen).filter(|(f, seen)| !seen && f.absent.is_none()) {
            let expected = self.walk.program.expected(field.node);
            self.under(&field.name, |s| {
                s.note(fail("missing-field", format!("the field is absent and has no default, expected {expected}")));
                Ok(())
            })?;
        }
        Ok(())
    }

    fn more(&mut self, close: u8, what: &str) -> Result<bool, End> {
        match self.walk.tokens.more(close, what) {
            Ok(more) => Ok(more),
            Err(refusal) => self.end(refusal),
        }
    }

    fn end<T>(&mut self, refusal: Refusal) -> Result<T, End> {
        self.note(refusal);
        Err(End)
    }

    fn under<T>(&mut self, piece: &str, inside: impl FnOnce(&mut Self) -> Result<T, End>) -> Result<T, End> {
        let outer = self.path.len();
        self.path = join(&self.path, piece);
        let result = inside(self);
        self.path.truncate(outer);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::JsonOptions, schema::Schema};

    const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[
        {"name":"id","type":"long"},
        {"name":"customer","type":"string"},
        {"name":"state","type":{"type":"enum","name":"State","symbols":["new","paid"]}},
        {"name":"address","type":["null",{"type":"record","name":"Address","fields":[
            {"name":"city","type":"string"},{"name":"zip","type":"string"}]}]},
        {"name":"items","type":{"type":"array","items":{"type":"record","name":"Item","fields":[
            {"name":"sku","type":"string"},{"name":"count","type":"int"}]}}}]}"#;

    fn problems(json: &str, reject_unknown: bool) -> Vec<String> {
        let options = JsonOptions { reject_unknown, ..JsonOptions::default() };
        let mut reader = JsonReader::compile(&Schema::parse(SCHEMA).unwrap(), options);
        let found = reader.problems(json.as_bytes(), 100);
        assert_eq!(found.is_empty(), reader.read(json.as_bytes(), &mut Vec::new()).is_ok(), "{json}");
        found.into_iter().map(|f| format!("{} {}", f.field, f.code)).collect()
    }

    #[test]
    fn every_field_is_told_at_once() {
        let json = r#"{"id":"7","state":"old","colour":1,"address":{"city":1},
            "items":[{"sku":"a","count":1},{"sku":2,"count":99999999999},3,{"sku":"b","count":2,"count":3}]}"#;
        let wanted = [
            "id wrong-type",
            "state unknown-symbol",
            "address.city wrong-type",
            "address.zip missing-field",
            "items[1].sku wrong-type",
            "items[1].count out-of-range",
            "items[2] wrong-type",
            "items[3].count duplicate-key",
            "customer missing-field",
        ];
        assert_eq!(problems(json, false), wanted);
        assert!(problems(json, true).contains(&"colour unknown-field".to_owned()));
    }

    #[test]
    fn a_good_value_has_none_and_the_search_ends_where_the_json_does() {
        assert!(problems(r#"{"id":7,"customer":"c","state":"new","items":[]}"#, true).is_empty());
        assert_eq!(problems(r#"{"id":"7","customer":}"#, false), ["id wrong-type", "customer malformed-json"]);
        assert_eq!(problems("", false), [" malformed-json"]);
        assert_eq!(problems("[]", false), [" wrong-type"]);
        assert_eq!(problems(r#"{"id":1"#, false), [" malformed-json"]);
    }

    #[test]
    fn no_more_are_gathered_than_asked_for() {
        let mut reader = JsonReader::compile(&Schema::parse(SCHEMA).unwrap(), JsonOptions::default());
        let items = vec!["1"; 1000].join(",");
        assert_eq!(reader.problems(format!(r#"{{"items":[{items}]}}"#).as_bytes(), 5).len(), 5);
    }
}
