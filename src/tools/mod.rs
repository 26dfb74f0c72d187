//! What the commands do.

pub mod collect;
pub mod dashboards;
pub mod demo;
pub mod plan;
pub mod generate;
pub mod run;
pub mod schemas;

use indicatif::{ProgressState, ProgressStyle};

/// How a command ended; the process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    Done = 0,
    /// A check, test or audit says no.
    Findings = 1,
    Usage = 2,
    /// Something outside was unreachable, refused, or in use.
    Environment = 3,
    /// A fault of Pointsman itself.
    Fault = 4,
}

/// A bar's style in which `{rate}` is whole records a second.
fn bar_style(template: &str) -> Option<ProgressStyle> {
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be written to shows nothing.
        let _ = write!(out, "{}/s", thousands(state.per_sec() as u64));
    };
    Some(ProgressStyle::with_template(template).ok()?.with_key("rate", rate))
}

/// 12345 as 12,345.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
