-- Decimals and times are TEXT: SQLite's NUMERIC would make doubles of them.

CREATE TABLE events (
    event_id     TEXT PRIMARY KEY NOT NULL,
    event_type   TEXT NOT NULL,
    user_id      INTEGER NOT NULL,
    session_id   TEXT NOT NULL,
    occurred_at  TEXT NOT NULL,
    page         TEXT NOT NULL,
    referrer     TEXT,
    product_id   INTEGER,
    quantity     INTEGER,
    unit_price   TEXT,
    currency     TEXT,
    amount       TEXT,
    processed_at TEXT NOT NULL
);

CREATE INDEX events_user ON events (user_id, occurred_at);
