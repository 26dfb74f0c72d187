CREATE TABLE failed (
    id         TEXT PRIMARY KEY NOT NULL,
    kind       TEXT NOT NULL,
    worker     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    error      TEXT
);

CREATE TABLE completed (
    id         TEXT PRIMARY KEY NOT NULL,
    kind       TEXT NOT NULL,
    worker     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT
);

CREATE TABLE in_progress (
    id         TEXT PRIMARY KEY NOT NULL,
    kind       TEXT NOT NULL,
    worker     TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    progress   REAL
);
