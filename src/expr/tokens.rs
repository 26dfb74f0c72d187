//! The tokens of an expression: the byte ranges that diagnostics point at, and a bound on nesting before the parser recurses.
//!
//! The parser notes for each node the place of one token (an operator, an opening bracket, a name); ranges grow from there.

use std::ops::Range;

/// As coarse as ranges and nesting need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name that is not a keyword.
    Name,
    Number,
    Text,
    Open,
    Close,
    /// Operators, commas, dots, the words `in`, `true`, `false`, `null`.
    Other,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub span: Range<usize>,
    pub kind: Kind,
    /// For a bracket, the index of its partner.
    pub partner: Option<usize>,
}

#[derive(Debug)]
pub(super) struct Tokens<'s> {
    pub source: &'s str,
    pub all: Vec<Token>,
}

impl<'s> Tokens<'s> {
    /// Any text has tokens, also one that is no expression: what CEL does not know is `Other`.
    pub fn new(source: &'s str) -> Tokens<'s> {
        let mut all: Vec<Token> = Vec::new();
        let mut open = Vec::new();
        let mut at = 0;
        while let Some((kind, start, end)) = next(source.as_bytes(), at) {
            let mut partner = None;
            match kind {
                Kind::Open => open.push(all.len()),
                Kind::Close => {
                    partner = open.pop();
                    if let Some(p) = partner {
                        all[p].partner = Some(all.len());
                    }
                }
                _ => {}
            }
            all.push(Token { span: start..end, kind, partner });
            at = end;
        }
        Tokens { source, all }
    }

    pub fn text(&self, token: &Token) -> &'s str {
        self.source.get(token.span.clone()).unwrap_or_default()
    }

    /// The index of the token that begins at a byte.
    pub fn at(&self, start: usize) -> Option<usize> {
        self.all.binary_search_by_key(&start, |t| t.span.start).ok()
    }

    /// The range with the parentheses around it that only group.
    pub fn grouped(&self, span: &Range<usize>) -> Range<usize> {
        let mut span = span.clone();
        loop {
            let first = self.all.partition_point(|t| t.span.start < span.start);
            let after = self.all.partition_point(|t| t.span.start < span.end);
            let Some(open) = first.checked_sub(1).and_then(|i| self.all.get(i)) else { return span };
            let called = first.checked_sub(2).and_then(|i| self.all.get(i)).is_some_and(|t| t.kind == Kind::Name);
            if called || open.partner != Some(after) || self.text(open) != "(" {
                return span;
            }
            span = open.span.start..self.all[after].span.end;
        }
    }

    /// The token at which the expression nests deeper than `most` levels, if it does.
    ///
    /// Counts an upper bound: a chain of left-associative operators nests as deep as it is long; `&&`, `||` and commas
    /// begin a new chain.
    pub fn deeper_than(&self, most: usize) -> Option<Range<usize>> {
        let mut levels = vec![Level::default()];
        for token in &self.all {
            let text = self.text(token);
            let inside = levels.len() > 1;
            let top = levels.last_mut()?;
            match token.kind {
                Kind::Open => {
                    top.chain += 1;
                    levels.push(Level::default());
                }
                Kind::Close if inside => {
                    let inner = levels.pop().map_or(0, |l| l.depth());
                    levels.last_mut()?.chain += inner;
                }
                Kind::Other if matches!(text, "&&" | "||" | ",") => top.reset(),
                Kind::Other if text == "?" => {
                    top.reset();
                    top.choices += 1;
                }
                Kind::Other => top.chain += 1,
                _ => {}
            }
            if levels.iter().map(Level::depth).sum::<usize>() > most {
                return Some(token.span.clone());
            }
        }
        None
    }
}

/// One level of brackets: the chain being counted, the longest before it, and the `?` that nest to the right.
#[derive(Default)]
struct Level {
    chain: usize,
    longest: usize,
    choices: usize,
}

impl Level {
    fn reset(&mut self) {
        self.longest = self.longest.max(self.chain);
        self.chain = 0;
    }
    fn depth(&self) -> usize {
        self.longest.max(self.chain) + self.choices
    }
}

/// The token that begins at or after `at`.
fn next(source: &[u8], mut at: usize) -> Option<(Kind, usize, usize)> {
    loop {
        match source.get(at)? {
            b if b.is_ascii_whitespace() => at += 1,
            b'/' if source.get(at + 1) == Some(&b'/') => at = run(source, at, |b| b != b'\n'),
            _ => break,
        }
    }
    let first = *source.get(at)?;
    let (kind, end) = match first {
        b'(' | b'[' | b'{' => (Kind::Open, at + 1),
        b')' | b']' | b'}' => (Kind::Close, at + 1),
        b'"' | b'\'' => (Kind::Text, quoted(source, at, false)),
        b'0'..=b'9' => (Kind::Number, number(source, at)),
        b'.' if source.get(at + 1).is_some_and(u8::is_ascii_digit) => (Kind::Number, number(source, at)),
        b if b.is_ascii_alphabetic() || b == b'_' => word(source, at),
        _ => (Kind::Other, operator(source, at)),
    };
    Some((kind, at, end))
}

fn run(source: &[u8], from: usize, keep: impl Fn(u8) -> bool) -> usize {
    source.iter().skip(from).position(|b| !keep(*b)).map_or(source.len(), |n| from + n)
}

/// Digits, point, exponent and suffix; whether they are a number is the parser's to say.
fn number(source: &[u8], at: usize) -> usize {
    let end = run(source, at, |b| b.is_ascii_alphanumeric() || b == b'.');
    // An exponent may have a sign: `1e-3`.
    let hex = source.get(at + 1).is_some_and(|b| *b == b'x');
    let exponent = !hex && matches!(source.get(end.wrapping_sub(1)), Some(b'e' | b'E'));
    if exponent && matches!(source.get(end), Some(b'+' | b'-')) {
        run(source, end + 1, |b| b.is_ascii_alphanumeric())
    } else {
        end
    }
}

/// A name, a keyword, or the prefix of a literal: `r''`, `b""`, `br''`.
fn word(source: &[u8], at: usize) -> (Kind, usize) {
    let end = run(source, at, |b| b.is_ascii_alphanumeric() || b == b'_');
    match (&source[at..end], source.get(end)) {
        (b"r" | b"R", Some(b'"' | b'\'')) | (b"br" | b"bR" | b"Br" | b"BR", Some(b'"' | b'\'')) => {
            (Kind::Text, quoted(source, end, true))
        }
        (b"b" | b"B", Some(b'"' | b'\'')) => (Kind::Text, quoted(source, end, false)),
        (b"in" | b"true" | b"false" | b"null", _) => (Kind::Other, end),
        _ => (Kind::Name, end),
    }
}

/// To the end of a literal in one or three quotes, or of the source where it is not closed.
fn quoted(source: &[u8], at: usize, raw: bool) -> usize {
    let quote = source[at];
    let triple = source.get(at + 1) == Some(&quote) && source.get(at + 2) == Some(&quote);
    let closing: &[u8] = if triple { &[quote; 3] } else { &[quote] };
    let mut i = at + closing.len();
    while let Some(&b) = source.get(i) {
        if b == b'\\' && !raw {
            i += 2;
        } else if source.get(i..).is_some_and(|rest| rest.starts_with(closing)) {
            return i + closing.len();
        } else {
            i += 1;
        }
    }
    source.len()
}

fn operator(source: &[u8], at: usize) -> usize {
    let two = source.get(at..at + 2).unwrap_or_default();
    if matches!(two, b"==" | b"!=" | b"<=" | b">=" | b"&&" | b"||" | b"<>") {
        return at + 2;
    }
    // A character outside ASCII is one token, so that every range ends between characters.
    run(source, at + 1, |b| (0x80..0xc0).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        let tokens = Tokens::new(source);
        tokens.all.iter().map(|t| tokens.text(t)).collect()
    }

    #[test]
    fn tokens_are_those_of_cel() {
        assert_eq!(words("a.b(1)>=2 // note"), ["a", ".", "b", "(", "1", ")", ">=", "2"]);
        assert_eq!(words("'a\\'b'+\"c\""), ["'a\\'b'", "+", "\"c\""]);
        assert_eq!(words("r'\\'+b'x'"), ["r'\\'", "+", "b'x'"]);
        assert_eq!(words("1e-3-0x1e-2"), ["1e-3", "-", "0x1e", "-", "2"]);
        assert_eq!(words("'''a'b'''x"), ["'''a'b'''", "x"]);
        assert_eq!(words("é < ü"), ["é", "<", "ü"]);
    }

    #[test]
    fn parentheses_that_group_belong_to_their_operand_and_those_of_calls_do_not() {
        let tokens = Tokens::new("((a)) + f(b)");
        assert_eq!(tokens.grouped(&(2..3)), 0..5);
        assert_eq!(tokens.grouped(&(10..11)), 10..11);
    }

    #[test]
    fn nesting_counts_brackets_chains_and_choices() {
        for deep in ["(", "a+", "a ? b : ", "a.", "-"] {
            assert!(Tokens::new(&deep.repeat(500)).deeper_than(400).is_some(), "{deep}");
            assert!(Tokens::new(&deep.repeat(50)).deeper_than(120).is_none(), "{deep}");
        }
        assert!(Tokens::new(&"a == 1 || ".repeat(500)).deeper_than(5).is_none());
    }
}
