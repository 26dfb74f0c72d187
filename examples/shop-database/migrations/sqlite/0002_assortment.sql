-- Two hundred customers and a hundred products to begin with.

WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 200)
INSERT INTO customers (customer_id, name, email, country)
SELECT n, 'Customer ' || n, 'customer' || n || '@example.com', substr('DEFRNLGB', 1 + n % 4 * 2, 2)
FROM numbers;

WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100)
INSERT INTO products (product_id, sku, name, unit_price)
SELECT n, printf('SKU-%04d', n), 'Product ' || n, (n * 37 % 490 + 1) || '.99'
FROM numbers;
