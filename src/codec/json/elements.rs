//! The values of a JSON text, where they stand: an array's elements, an object's member.

use super::{Refusal, tokens::Tokens};
use crate::failure::Failure;
use std::ops::Range;

/// Where each element of an array stands, or the one value that the text is otherwise. The whole text is proven to be
/// JSON; the elements are not looked at further. No more than `most` + 1 are looked for: a caller with a limit learns that
/// it is passed, without paying for what comes after.
///
/// # Errors
/// `malformed-json` or `too-deep`: the text is no JSON.
pub fn elements(json: &str, most: usize) -> Result<Vec<Range<usize>>, Failure> {
    split(json, most).map_err(|refusal| *refusal)
}

fn split(json: &str, most: usize) -> Result<Vec<Range<usize>>, Refusal> {
    let (mut tokens, mut buffer, mut found) = (Tokens::new(json), String::new(), Vec::new());
    let array = tokens.take(b'[');
    let mut open = !array || !tokens.take(b']');
    while open {
        tokens.peek();
        let start = tokens.at();
        tokens.skip(usize::from(array), &mut buffer)?;
        found.push(start..tokens.at());
        if found.len() > most {
            return Ok(found);
        }
        open = array && tokens.more(b']', "`,` or `]`")?;
    }
    match tokens.peek() {
        None => Ok(found),
        Some(_) => Err(tokens.malformed("the end")),
    }
}

/// The value of an object's member of this name (the last one), as it is written; `None` where there is none. A text that
/// is no object is the value itself. The whole text is proven to be JSON.
///
/// # Errors
/// `malformed-json` or `too-deep`: the text is no JSON.
pub fn member<'j>(json: &'j str, name: &str) -> Result<Option<&'j str>, Failure> {
    find(json, name).map_err(|refusal| *refusal)
}

fn find<'j>(json: &'j str, name: &str) -> Result<Option<&'j str>, Refusal> {
    let (mut tokens, mut buffer, mut found) = (Tokens::new(json), String::new(), None);
    if tokens.take(b'{') {
        let mut open = !tokens.take(b'}');
        while open {
            let named = tokens.string(&mut buffer)?.as_str() == name;
            tokens.expect(b':', "`:`")?;
            tokens.peek();
            let start = tokens.at();
            tokens.skip(1, &mut buffer)?;
            found = if named { Some(&json[start..tokens.at()]) } else { found };
            open = tokens.more(b'}', "`,` or `}`")?;
        }
    } else {
        tokens.skip(0, &mut buffer)?;
        found = Some(json);
    }
    match tokens.peek() {
        None => Ok(found),
        Some(_) => Err(tokens.malformed("the end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(json: &str) -> Vec<&str> {
        elements(json, 10).unwrap().into_iter().map(|r| &json[r]).collect()
    }

    #[test]
    fn elements_keep_their_bytes() {
        assert_eq!(
            texts(" [ {\"a\" : [1, 2]} ,\n\"x]\", -1.50e3,[ ] ] "),
            ["{\"a\" : [1, 2]}", "\"x]\"", "-1.50e3", "[ ]"]
        );
        assert_eq!(texts(" {\"a\":1}\n"), ["{\"a\":1}"]);
        assert!(texts("[]").is_empty());
    }

    #[test]
    fn what_is_no_json_is_refused_as_a_whole() {
        for text in ["", "[", "[1,]", "[1 2]", "{\"a\"}", "[1] 2", "{} {}", "[{\"a\":1},{\"b\"", "nul", "[01]"] {
            assert_eq!(elements(text, 10).unwrap_err().code, "malformed-json", "{text}");
        }
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(elements(&deep, 10).unwrap_err().code, "too-deep");
    }

    #[test]
    fn a_member_keeps_its_bytes() {
        let json = " {\"a\" : {\"b\": 1}, \"b\" :\n1.50e3, \"\\u0063\": [ ], \"a\": null } ";
        let found = ["a", "b", "c", "d"].map(|name| member(json, name).unwrap());
        assert_eq!(found, [Some("null"), Some("1.50e3"), Some("[ ]"), None]);
        assert_eq!((member("{}", "a").unwrap(), member(" 7 ", "a").unwrap()), (None, Some(" 7 ")));
        for text in ["", "{", "{\"a\":1", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{\"a\":1} 2", "01"] {
            assert_eq!(member(text, "a").unwrap_err().code, "malformed-json", "{text}");
        }
    }

    #[test]
    fn the_search_ends_behind_the_limit() {
        assert_eq!(elements("[1,2,3,4", 2).unwrap().len(), 3);
    }
}
