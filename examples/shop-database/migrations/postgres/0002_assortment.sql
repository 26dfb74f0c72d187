-- Two hundred customers and a hundred products to begin with.

INSERT INTO customers (customer_id, name, email, country)
SELECT n, 'Customer ' || n, 'customer' || n || '@example.com', (ARRAY['DE', 'FR', 'NL', 'GB'])[1 + n % 4]
FROM generate_series(1, 200) n;

INSERT INTO products (product_id, sku, name, unit_price)
SELECT n, 'SKU-' || lpad(n::text, 4, '0'), 'Product ' || n, n * 37 % 490 + 1.99
FROM generate_series(1, 100) n;
