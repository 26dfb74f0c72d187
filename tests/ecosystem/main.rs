//! The second suite: Pointsman beside the tools that its users have. `cargo test --test ecosystem`
//!
//! It installs what it needs below target/ecosystem, and fails with what to install where it cannot; it skips nothing.
#![allow(clippy::unwrap_used)] // a test that panics has failed: that is how it says so

#[path = "../it/collect_support.rs"]
#[allow(dead_code)] // a kit, of which one test uses a part
mod collect_support;
mod composed;
mod deployed;
mod described;
#[path = "../it/harness/mod.rs"]
mod harness;
mod secured;
mod shipped;
mod spark;
mod stack;
mod tools;
#[path = "../it/transcript.rs"]
mod transcript;
#[path = "../it/walk.rs"]
mod walk;
mod watched;
