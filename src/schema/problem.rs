//! What is wrong with a schema's text, and where.

use std::{fmt, ops::Range};

/// Whether a problem stops its schema from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    Error,
    /// Avro's specification says to carry on; the author most likely meant something else.
    Warning,
}

/// One problem of a schema, at a byte range of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub span: Range<usize>,
    pub severity: Severity,
    /// Kebab-case and stable.
    pub code: &'static str,
    pub message: String,
    /// What to write instead; empty where nothing better is known.
    pub help: String,
}

impl Problem {
    pub fn error(span: Range<usize>, code: &'static str, message: impl Into<String>) -> Self {
        Problem { span, severity: Severity::Error, code, message: message.into(), help: String::new() }
    }

    pub fn warning(span: Range<usize>, code: &'static str, message: impl Into<String>) -> Self {
        Problem { severity: Severity::Warning, ..Problem::error(span, code, message) }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, " (help: {})", self.help)?;
        }
        Ok(())
    }
}

/// The text of a file, or what it can be shown as with its first byte that is not UTF-8.
///
/// # Errors
/// The bytes are not UTF-8.
pub fn utf8(bytes: Vec<u8>) -> Result<String, (String, Problem)> {
    String::from_utf8(bytes).map_err(|why| {
        let bytes = why.as_bytes();
        let help = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the file is UTF-16: save it as UTF-8",
            _ => "save the file as UTF-8: it may be Latin-1 or Windows-1252",
        };
        // The same offset in both: what comes before is kept as it is.
        let at = why.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(bytes).into_owned();
        let span = at..text.ceil_char_boundary(at + 1);
        let message = format!("the file is not UTF-8 from byte {at} on");
        (text, Problem::error(span, "not-utf8", message).help(help))
    })
}

/// The number of the line, from 1, that holds this byte of the text.
pub(super) fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|b| *b == b'\n').count()
}
