//! One file a command: arguments in, words out.
pub mod check;
