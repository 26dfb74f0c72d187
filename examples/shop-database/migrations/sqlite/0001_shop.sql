-- The shop's tables. Orders and their items are filled by routes.toml; customers and products by whoever keeps them.
-- Decimals and times are TEXT: SQLite's NUMERIC would make doubles of them.

CREATE TABLE customers (
    customer_id INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL UNIQUE,
    country     TEXT NOT NULL
);

CREATE TABLE products (
    product_id INTEGER PRIMARY KEY,
    sku        TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    unit_price TEXT NOT NULL
);

CREATE TABLE orders (
    order_id         TEXT PRIMARY KEY NOT NULL,
    customer_id      INTEGER NOT NULL REFERENCES customers,
    status           TEXT NOT NULL,
    placed_at        TEXT NOT NULL,
    updated_at       TEXT NOT NULL,
    currency         TEXT NOT NULL,
    shipping         TEXT NOT NULL,
    total            TEXT NOT NULL,
    ship_to          TEXT NOT NULL,
    ship_street      TEXT NOT NULL,
    ship_postal_code TEXT NOT NULL,
    ship_city        TEXT NOT NULL,
    ship_country     TEXT NOT NULL,
    note             TEXT
);

CREATE INDEX orders_customer ON orders (customer_id);

CREATE TABLE order_items (
    order_id   TEXT NOT NULL REFERENCES orders ON DELETE CASCADE,
    line       INTEGER NOT NULL,
    product_id INTEGER NOT NULL REFERENCES products,
    sku        TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    unit_price TEXT NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE INDEX order_items_product ON order_items (product_id);
