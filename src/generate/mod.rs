//! Believable records, good ones and bad ones, the same for the same seed: of any schema by the hints in it, and of the
//! five jobs.

mod chance;
mod hint;
mod like;
mod value;
mod make;
mod scalar;
mod compile;
mod draw;
mod judge;
mod fault;
mod rules;
pub mod stream;
pub mod jobs;
#[cfg(test)]
mod checks;

pub use draw::{BEGIN, Source, Start, wrong_hints};
pub use fault::Fault;
pub use hint::{HINTS, HintDoc};
pub use judge::Way;
pub use like::{LIKES, Like, LikeDoc};

pub(crate) use chance::Chance;
