-- The shop's tables. Orders and their items are filled by routes.toml; customers and products by whoever keeps them.

CREATE TABLE customers (
    customer_id BIGINT PRIMARY KEY,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL UNIQUE,
    country     TEXT NOT NULL
);

CREATE TABLE products (
    product_id BIGINT PRIMARY KEY,
    sku        TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    unit_price NUMERIC(10, 2) NOT NULL CHECK (unit_price > 0)
);

CREATE TABLE orders (
    order_id         TEXT PRIMARY KEY,
    customer_id      BIGINT NOT NULL REFERENCES customers,
    status           TEXT NOT NULL,
    placed_at        TIMESTAMPTZ NOT NULL,
    updated_at       TIMESTAMPTZ NOT NULL,
    currency         TEXT NOT NULL,
    shipping         NUMERIC(8, 2) NOT NULL,
    total            NUMERIC(12, 2) NOT NULL,
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
    product_id BIGINT NOT NULL REFERENCES products,
    sku        TEXT NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    unit_price NUMERIC(10, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE INDEX order_items_product ON order_items (product_id);
