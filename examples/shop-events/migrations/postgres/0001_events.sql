CREATE TABLE events (
    event_id     UUID PRIMARY KEY,
    event_type   TEXT NOT NULL,
    user_id      BIGINT NOT NULL,
    session_id   TEXT NOT NULL,
    occurred_at  TIMESTAMPTZ NOT NULL,
    page         TEXT NOT NULL,
    referrer     TEXT,
    product_id   BIGINT,
    quantity     INTEGER,
    unit_price   NUMERIC(10, 2),
    currency     TEXT,
    amount       NUMERIC(16, 2),
    processed_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX events_user ON events (user_id, occurred_at);
