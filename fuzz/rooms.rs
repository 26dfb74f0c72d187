//! The rooms that take other people's bytes, from ../src as they are: without the rest of the crate there is no librdkafka
//! and no OpenSSL to build for the sanitizer.
#![allow(dead_code)] // some of it is for rooms that are not here

#[path = "../src/codec/mod.rs"]
pub mod codec;
#[path = "../src/failure.rs"]
pub mod failure;
#[path = "../src/schema/mod.rs"]
pub mod schema;
