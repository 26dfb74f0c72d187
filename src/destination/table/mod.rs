//! Tables: rows, table dead letters, outbox and positions in one SQL transaction; Postgres and SQLite.
