//! Source → [`Ast`]: the `cel` crate parses (with its macros left as calls), and every node gets its byte range.

use super::{Problem, problems, tokens::Kind, tokens::Tokens};
use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators as op};
use std::ops::Range;

/// Deeper nesting is refused before the parser, the checker and the compiled closures recurse.
const MAX_DEPTH: usize = 100;
/// Longer sources are refused: a rule of this size is a mistake, and the parser is not made for it.
const MAX_LENGTH: usize = 64 * 1024;

/// An expression as written.
#[derive(Clone, Debug)]
pub(super) struct Ast {
    pub span: Range<usize>,
    pub node: Node,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint,
    /// A literal with a point or an exponent: exact text beside the nearest double.
    Double {
        text: String,
        value: f64,
    },
    Str(String),
    Bytes(Vec<u8>),
    Name(String),
    Select {
        of: Box<Ast>,
        field: String,
        /// Where the field's name stands.
        at: Range<usize>,
    },
    Index(Box<Ast>, Box<Ast>),
    Not(Box<Ast>),
    Negate(Box<Ast>),
    And(Box<Ast>, Box<Ast>),
    Or(Box<Ast>, Box<Ast>),
    Choose(Box<[Ast; 3]>),
    Binary(Binary, Box<Ast>, Box<Ast>),
    Call {
        name: String,
        /// Where the function's name stands.
        at: Range<usize>,
        target: Option<Box<Ast>>,
        args: Vec<Ast>,
    },
    List(Vec<Ast>),
    /// Maps and message literals: CEL's, not ours.
    Unsupported(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
}

impl Binary {
    pub fn symbol(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Rem => "%",
            Binary::Eq => "==",
            Binary::Ne => "!=",
            Binary::Lt => "<",
            Binary::Le => "<=",
            Binary::Gt => ">",
            Binary::Ge => ">=",
            Binary::In => "in",
        }
    }
    fn of(name: &str) -> Option<Binary> {
        Some(match name {
            op::ADD => Binary::Add,
            op::SUBSTRACT => Binary::Sub,
            op::MULTIPLY => Binary::Mul,
            op::DIVIDE => Binary::Div,
            op::MODULO => Binary::Rem,
            op::EQUALS => Binary::Eq,
            op::NOT_EQUALS => Binary::Ne,
            op::LESS => Binary::Lt,
            op::LESS_EQUALS => Binary::Le,
            op::GREATER => Binary::Gt,
            op::GREATER_EQUALS => Binary::Ge,
            op::IN => Binary::In,
            _ => return None,
        })
    }
}

/// Parses one expression.
pub(super) fn parse(source: &str) -> Result<Ast, Problem> {
    let tokens = Tokens::new(source);
    if tokens.all.is_empty() {
        return Err(problems::syntax(0..source.len(), "an expression is expected here".into(), ""));
    }
    if source.len() > MAX_LENGTH {
        return Err(problems::too_long(0..source.len(), MAX_LENGTH));
    }
    if let Some(at) = tokens.deeper_than(MAX_DEPTH) {
        return Err(problems::too_deep(at, MAX_DEPTH));
    }
    on_a_deep_stack(|| {
        let parser = cel::Env::default().parser().max_recursion_depth(MAX_DEPTH as u16 * 2);
        match parser.parse_with_source_info(source) {
            Ok((tree, info)) => Ok(Convert { tokens: &tokens, info: &info }.ast(tree)),
            Err(errors) => Err(syntax_error(&tokens, &errors)),
        }
    })
    .unwrap_or_else(|| Err(problems::syntax(0..source.len(), NOT_AN_EXPRESSION.into(), "")))
}

const NOT_AN_EXPRESSION: &str = "this is not an expression";

/// The generated parser takes some fifty kilobytes of stack a level, more than a thread's usual two megabytes allow.
/// No input is known to make it panic; one that does is that expression's problem alone (`None`).
fn on_a_deep_stack<T: Send>(parse: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("parse".into()).stack_size(STACK);
        thread.spawn_scoped(scope, parse).ok()?.join().ok()
    })
}

/// The first error: those after it are mostly its consequences.
fn syntax_error(tokens: &Tokens<'_>, errors: &cel::ParseErrors) -> Problem {
    let source = tokens.source;
    let Some(error) = errors.errors.first() else {
        return problems::syntax(0..source.len(), NOT_AN_EXPRESSION.into(), "");
    };
    let at = byte_offset(source, error.pos);
    let token = tokens.all.iter().find(|t| t.span.end > at);
    let Some(token) = token else {
        let end = source.trim_end().len();
        let unclosed = tokens.all.iter().rev().find(|t| t.kind == Kind::Open && t.partner.is_none());
        return match unclosed {
            Some(open) => problems::syntax(open.span.clone(), format!("`{}` is not closed", tokens.text(open)), ""),
            None => problems::syntax(end..end, "the expression ends where an operand is expected".into(), ""),
        };
    };
    let text = tokens.text(token);
    if let Some(word) = error.msg.strip_prefix("reserved identifier: ") {
        let help = match word {
            "if" => "a choice is `condition ? this : that`".to_owned(),
            _ => format!("a field of this name is `this['{word}']`"),
        };
        return problems::syntax(token.span.clone(), format!("`{word}` is a word that CEL reserves"), &help);
    }
    if let Some(rest) = error.msg.strip_prefix("invalid ") {
        let what = rest.split(':').next().unwrap_or(rest);
        return problems::syntax(token.span.clone(), format!("`{text}` is not a valid {}", plain(what)), "");
    }
    let unclosed = token.kind == Kind::Text && tokens.all.last().is_some_and(|t| t.span == token.span);
    if matches!(text, "'" | "\"") || unclosed && error.msg.contains("token recognition") {
        return problems::syntax(token.span.clone(), "the string is not closed".into(), "");
    }
    match tokens.all.iter().position(|t| t.span == token.span).and_then(|i| habit(tokens, i)) {
        Some((at, help)) => problems::syntax(
            tokens.all[at].span.clone(),
            format!("unexpected `{}`", tokens.text(&tokens.all[at])),
            help,
        ),
        None => problems::syntax(token.span.clone(), format!("unexpected `{text}`"), ""),
    }
}

/// What is written so in other languages: the token that is none of CEL's, given the one that the parser stumbled at, and
/// what to write.
fn habit(tokens: &Tokens<'_>, stumbled: usize) -> Option<(usize, &'static str)> {
    const CHOICE: &str = "a choice is `condition ? this : that`";
    const PATTERN: &str = "write `x.matches('^A.*')`, or `x.startsWith('A')`, `x.endsWith('A')`, `x.contains('A')`";
    let text = |i: usize| tokens.all.get(i).map_or(String::new(), |t| tokens.text(t).to_ascii_lowercase());
    let before = |i: usize| i.checked_sub(1).map_or(String::new(), text);
    // Where `?` is not a choice's, the parser stumbles anywhere.
    let chains = |i: &usize| {
        let joined = tokens.all.get(i + 1).is_some_and(|next| next.span.start == tokens.all[*i].span.end);
        text(*i) == "?" && joined && matches!(&*text(i + 1), "?" | ".")
    };
    if let Some(at) = (0..tokens.all.len()).find(chains) {
        return Some((at, "what may be null gets a value by `x != null ? x : …`"));
    }
    if before(stumbled) == "not" {
        return Some((stumbled - 1, "write `!`"));
    }
    let (token, before, here, after) = (&tokens.all[stumbled], before(stumbled), text(stumbled), text(stumbled + 1));
    let help = match &*here {
        "=" if before == "!=" => "inequality is `!=`",
        "=" if after == ">" => "write `xs.all(x, …)`: a name, a comma and the condition",
        "=" if after == "~" => PATTERN,
        "=" => "equality is `==`",
        "and" | "&" => "write `&&`",
        "or" | "|" => "write `||`",
        "not" if after == "in" => "write `!(x in [1, 2])`",
        "not" => "write `!`",
        "in" if tokens.text(token) != "in" => "write `x in ['a', 'b']`",
        "is" if after == "not" => "write `x != null`",
        "is" => "write `x == null`",
        "like" | "ilike" | "rlike" | "matches" | "~" | "contains" | "startswith" | "endswith" => PATTERN,
        "between" => "write `x >= 1 && x <= 5`",
        "then" | "when" | "else" => CHOICE,
        "<>" => "write `!=`",
        ";" => "leave it out: an expression is one value",
        "," if opened_by_in(tokens, stumbled) => "a list has brackets: `x in [1, 2]`",
        "," if before.parse::<u64>().is_ok() && after.parse::<u64>().is_ok() => "a number has no commas",
        "$" if after == "." => "fields stand by name, without `$.`",
        "$" => "environment variables are not filled in here: an expression stands as it is written",
        "#" => "a comment begins with `//`",
        "`" => "a name has no quotes",
        number if token.kind == Kind::Number && number.ends_with(['s', 'm', 'h', 'd']) => {
            "a span of time is `duration('7d')`"
        }
        _ => {
            let count = |mark: &str| (0..tokens.all.len()).filter(|i| text(*i) == mark).count();
            let question = (0..tokens.all.len()).rev().find(|i| text(*i) == "?");
            return question.filter(|_| count("?") > count(":")).map(|at| (at, CHOICE));
        }
    };
    Some((stumbled, help))
}

/// Whether the innermost bracket around a token is the `(` of `in (`.
fn opened_by_in(tokens: &Tokens<'_>, token: usize) -> bool {
    let around = |i: &usize| tokens.all[*i].kind == Kind::Open && tokens.all[*i].partner.is_none_or(|p| p > token);
    let open = (0..token).rev().find(around).filter(|i| tokens.text(&tokens.all[*i]) == "(");
    open.and_then(|i| i.checked_sub(1)).is_some_and(|i| tokens.text(&tokens.all[i]) == "in")
}

/// What the parser calls a kind of literal, for people.
fn plain(what: &str) -> &str {
    match what {
        "int literal" => "64-bit integer",
        "uint literal" => "unsigned integer",
        "double literal" => "double",
        "string literal" => "string",
        "bytes literal" => "bytes literal",
        other => other,
    }
}

/// The byte of a line and column, both from 1, columns in characters.
fn byte_offset(source: &str, (line, column): (isize, isize)) -> usize {
    let Ok(line) = usize::try_from(line - 1) else { return 0 };
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = source.get(start..).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or(0);
    start + rest.char_indices().nth(column).map_or(rest.len(), |(i, _)| i)
}

/// The parser's tree as ours. Its macros are off, so that `has`, `all` and the others arrive as the calls that were written.
struct Convert<'t> {
    tokens: &'t Tokens<'t>,
    info: &'t SourceInfo,
}

impl Convert<'_> {
    fn ast(&self, e: IdedExpr) -> Ast {
        let token = self.token(e.id);
        let here = token.map_or(0..self.tokens.source.len(), |i| self.tokens.all[i].span.clone());
        match e.expr {
            Expr::Literal(value) => self.literal(value, token, here),
            Expr::Ident(name) => Ast { span: here, node: Node::Name(name) },
            Expr::Select(select) => {
                let of = self.ast(*select.operand);
                let at = self.span(token.map(|i| i + 1)).unwrap_or(here);
                let span = self.tokens.grouped(&of.span).start..at.end;
                Ast { span, node: Node::Select { of: Box::new(of), field: select.field, at } }
            }
            Expr::Call(call) => self.call(call, token, here),
            Expr::List(list) => Ast {
                span: self.bracketed(token).unwrap_or(here),
                node: Node::List(list.elements.into_iter().map(|e| self.ast(e)).collect()),
            },
            Expr::Map(_) => Ast { span: self.bracketed(token).unwrap_or(here), node: Node::Unsupported("a map") },
            Expr::Struct(_) => Ast { span: here, node: Node::Unsupported("a message") },
            Expr::Comprehension(_) | Expr::Unspecified => Ast { span: here, node: Node::Unsupported("this") },
        }
    }

    /// A sign that belongs to a literal stands before its token.
    fn literal(&self, value: LiteralValue, token: Option<usize>, here: Range<usize>) -> Ast {
        let text = self.tokens.source.get(here.clone()).unwrap_or_default();
        let mut span = here;
        let negative = match &value {
            LiteralValue::Int(i) => **i < 0,
            LiteralValue::Double(d) => d.is_sign_negative(),
            _ => false,
        };
        if negative && let Some(minus) = self.span(token.and_then(|i| i.checked_sub(1))) {
            span.start = minus.start;
        }
        let node = match value {
            LiteralValue::Null => Node::Null,
            LiteralValue::Boolean(b) => Node::Bool(*b),
            LiteralValue::Int(i) => Node::Int(*i),
            LiteralValue::UInt(_) => Node::Uint,
            LiteralValue::Double(d) => {
                Node::Double { text: if negative { format!("-{text}") } else { text.into() }, value: *d }
            }
            LiteralValue::String(s) => Node::Str(s.inner().to_owned()),
            LiteralValue::Bytes(b) => Node::Bytes(b.inner().to_vec()),
        };
        Ast { span, node }
    }

    fn call(&self, call: CallExpr, token: Option<usize>, here: Range<usize>) -> Ast {
        let CallExpr { func_name: name, target, args } = call;
        let target = target.map(|t| Box::new(self.ast(*t)));
        let mut args: Vec<Ast> = args.into_iter().map(|a| self.ast(a)).collect();
        if target.is_none()
            && let Some(ast) = self.operator(&name, &mut args, token, &here)
        {
            return ast;
        }
        // The token of a call is its opening parenthesis; the name stands before it.
        let at = self.span(token.and_then(|i| i.checked_sub(1))).unwrap_or(here.clone());
        let end = self.bracketed(token).map_or(here.end, |b| b.end);
        let start = target.as_ref().map_or(at.start, |t| self.tokens.grouped(&t.span).start);
        Ast { span: start..end, node: Node::Call { name, at, target, args } }
    }

    /// Operators arrive as calls of functions whose names no source can spell.
    fn operator(&self, name: &str, args: &mut Vec<Ast>, token: Option<usize>, here: &Range<usize>) -> Option<Ast> {
        let around = |a: &Ast| self.tokens.grouped(&a.span);
        match (name, args.len()) {
            (op::LOGICAL_NOT | op::NEGATE, 1) => {
                let inner = Box::new(args.pop()?);
                let span = here.start.min(around(&inner).start)..around(&inner).end;
                Some(Ast { span, node: if name == op::NEGATE { Node::Negate(inner) } else { Node::Not(inner) } })
            }
            (op::CONDITIONAL, 3) => {
                let parts: [Ast; 3] = std::mem::take(args).try_into().ok()?;
                let span = around(&parts[0]).start..around(&parts[2]).end;
                Some(Ast { span, node: Node::Choose(Box::new(parts)) })
            }
            (op::INDEX, 2) => {
                let (key, of) = (Box::new(args.pop()?), Box::new(args.pop()?));
                let end = self.bracketed(token).map_or(key.span.end, |b| b.end);
                Some(Ast { span: around(&of).start..end, node: Node::Index(of, key) })
            }
            (_, 2) => {
                let logic = matches!(name, op::LOGICAL_AND | op::LOGICAL_OR);
                let binary = Binary::of(name);
                if !logic && binary.is_none() {
                    return None;
                }
                let (b, a) = (Box::new(args.pop()?), Box::new(args.pop()?));
                let span = around(&a).start..around(&b).end;
                let node = match (name, binary) {
                    (op::LOGICAL_AND, _) => Node::And(a, b),
                    (_, Some(binary)) => Node::Binary(binary, a, b),
                    _ => Node::Or(a, b),
                };
                Some(Ast { span, node })
            }
            _ => None,
        }
    }

    fn token(&self, id: u64) -> Option<usize> {
        let (start, _) = self.info.offset_for(id)?;
        self.tokens.at(start as usize)
    }

    fn span(&self, token: Option<usize>) -> Option<Range<usize>> {
        token.and_then(|i| self.tokens.all.get(i)).map(|t| t.span.clone())
    }

    /// From an opening bracket to its partner.
    fn bracketed(&self, token: Option<usize>) -> Option<Range<usize>> {
        let open = self.tokens.all.get(token?)?;
        let close = self.tokens.all.get(open.partner?)?;
        Some(open.span.start..close.span.end)
    }
}
