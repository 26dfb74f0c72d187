//! One integration binary: real Kafka, real Postgres, the real command.
#![allow(clippy::unwrap_used)] // a test that panics has failed: that is how it says so

mod check;
mod collect_faults;
mod collect_requests;
mod collect_support;
mod dashboards;
mod demo;
mod examples;
mod harness;
mod house;
mod jobs;
mod jobs_analytics;
mod jobs_orders;
mod jobs_sales;
mod jobs_shop;
mod jobs_states;
mod kafka_groups;
mod kafka_positions;
mod kafka_records;
mod readme;
mod registry_api;
mod registry_client;
mod registry_command;
mod run_bad_input;
mod run_crash;
mod run_outbox;
mod run_start;
mod table_checks;
mod table_delivery;
mod table_faults;
mod table_folding;
mod table_refusals;
mod table_support;
mod transcript;
mod walk;
