CREATE TABLE opportunities (
    event_id            TEXT PRIMARY KEY,
    name                TEXT NOT NULL,
    stage               TEXT NOT NULL,
    amount              NUMERIC(14, 2) NOT NULL,
    probability         DOUBLE PRECISION NOT NULL,
    expected_close_date DATE NOT NULL,
    account_id          TEXT NOT NULL,
    owner_id            TEXT NOT NULL,
    source              TEXT NOT NULL,
    last_modified       TIMESTAMPTZ NOT NULL,
    tags                JSONB NOT NULL,
    notes               TEXT
);

CREATE TABLE projects (
    event_id      TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    status        TEXT NOT NULL,
    start_date    DATE NOT NULL,
    end_date      DATE,
    budget        NUMERIC(14, 2) NOT NULL,
    account_id    TEXT NOT NULL,
    owner_id      TEXT NOT NULL,
    source        TEXT NOT NULL,
    last_modified TIMESTAMPTZ NOT NULL,
    tags          JSONB NOT NULL,
    notes         TEXT
);
