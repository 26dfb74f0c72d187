CREATE TABLE failed (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    worker     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at   TIMESTAMPTZ,
    error      TEXT
);

CREATE TABLE completed (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    worker     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    ended_at   TIMESTAMPTZ
);

CREATE TABLE in_progress (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    worker     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TIMESTAMPTZ NOT NULL,
    progress   DOUBLE PRECISION
);
