//! A table as it stands in the database, read at start-up and compared with what a route writes.

/// The two SQL dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Postgres => "Postgres",
            Dialect::Sqlite => "SQLite",
        }
    }

    /// Whether two names are one column's: all of them stand in quotes, and SQLite looks past case even so.
    pub(super) fn same(self, one: &str, other: &str) -> bool {
        match self {
            Dialect::Postgres => one == other,
            Dialect::Sqlite => one.eq_ignore_ascii_case(other),
        }
    }

    /// What follows a savepoint so that deferrable constraints wait until they are asked, once, about all rows since.
    pub(super) const fn defer(self) -> &'static str {
        match self {
            Dialect::Postgres => "; SET CONSTRAINTS ALL DEFERRED",
            Dialect::Sqlite => "",
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct LiveTable {
    pub columns: Vec<LiveColumn>,
    /// Unique indexes that an ON CONFLICT clause can name: whole, plain columns, checked at once.
    pub unique: Vec<UniqueIndex>,
    /// Whether COPY does to it what INSERT does, where no row stands in the way.
    pub copied: bool,
    /// `None` where there are no users.
    pub rights: Option<Rights>,
}

/// What the connection's user may do with a table.
#[derive(Clone, Debug)]
pub(super) struct Rights {
    pub user: String,
    /// Of `SELECT`, `INSERT`, `UPDATE` and `DELETE`.
    pub has: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct UniqueIndex {
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct LiveColumn {
    pub name: String,
    /// As people write it: `numeric(12,2)`.
    pub type_name: String,
    pub stored: Stored,
    pub not_null: bool,
    pub has_default: bool,
    /// Computed by the database; nothing may write it.
    pub generated: bool,
    /// Different bytes may be equal values: letters of another case, blanks at the end.
    pub loose: bool,
}

/// How a column takes a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Postgres(PgType),
    Sqlite {
        affinity: Affinity,
        strict: bool,
    },
    /// A type that Pointsman does not write.
    Unknown,
}

/// The Postgres types that are written, each with its own binary form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PgType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Precision and scale, where the column is declared with them.
    Numeric {
        declared: Option<(i32, i32)>,
    },
    Text,
    /// A text of so many characters at most. `padded`: blanks behind them count for nothing (`char(n)`); else Postgres would
    /// cut them off without a word.
    Limited {
        characters: usize,
        padded: bool,
    },
    /// An enum, by its quoted name: its binary form is text.
    Enum(String),
    Bytea,
    Date,
    /// Digits of a second that are kept, where the column is declared with fewer than six.
    Time {
        digits: i32,
    },
    Timestamp {
        digits: i32,
    },
    Timestamptz {
        digits: i32,
    },
    Uuid,
    Json,
    Jsonb,
}

impl PgType {
    /// The type of a staging column: without length, scale or precision, so that those speak when the row is put.
    pub fn staged(&self) -> &str {
        match self {
            PgType::Bool => "boolean",
            PgType::Int2 => "smallint",
            PgType::Int4 => "integer",
            PgType::Int8 => "bigint",
            PgType::Float4 => "real",
            PgType::Float8 => "double precision",
            PgType::Numeric { .. } => "numeric",
            PgType::Text | PgType::Limited { .. } => "text",
            PgType::Enum(name) => name,
            PgType::Bytea => "bytea",
            PgType::Date => "date",
            PgType::Time { .. } => "time",
            PgType::Timestamp { .. } => "timestamp",
            PgType::Timestamptz { .. } => "timestamptz",
            PgType::Uuid => "uuid",
            PgType::Json => "json",
            PgType::Jsonb => "jsonb",
        }
    }
}

/// What SQLite does with a value that is stored in a column (its documentation, "Column Affinity").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affinity {
    Integer,
    Text,
    Blob,
    Real,
    Numeric,
}

impl Affinity {
    /// By the rules of section 3.1, in their order.
    pub fn of(declared: &str) -> Affinity {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        if has("INT") {
            Affinity::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Affinity::Text
        } else if has("BLOB") || declared.is_empty() {
            Affinity::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Affinity::Real
        } else {
            Affinity::Numeric
        }
    }
}
