CREATE TABLE opportunities (
    event_id            TEXT PRIMARY KEY NOT NULL,
    name                TEXT NOT NULL,
    stage               TEXT NOT NULL,
    amount              TEXT NOT NULL,
    probability         REAL NOT NULL,
    expected_close_date TEXT NOT NULL,
    account_id          TEXT NOT NULL,
    owner_id            TEXT NOT NULL,
    source              TEXT NOT NULL,
    last_modified       TEXT NOT NULL,
    tags                TEXT NOT NULL,
    notes               TEXT
);

CREATE TABLE projects (
    event_id      TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    status        TEXT NOT NULL,
    start_date    TEXT NOT NULL,
    end_date      TEXT,
    budget        TEXT NOT NULL,
    account_id    TEXT NOT NULL,
    owner_id      TEXT NOT NULL,
    source        TEXT NOT NULL,
    last_modified TEXT NOT NULL,
    tags          TEXT NOT NULL,
    notes         TEXT
);
