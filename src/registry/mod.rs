//! Confluent's schema registry: a client with a cache, and an embedded server.
