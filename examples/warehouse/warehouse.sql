-- A small warehouse with fictitious persons, and an account that may only read it.
CREATE SCHEMA mart;
CREATE TABLE mart.segments (segment text PRIMARY KEY, label text NOT NULL);
CREATE TABLE mart.customers (
    customer_id bigint PRIMARY KEY,
    first_name text NOT NULL,
    last_name text NOT NULL,
    email text NOT NULL,
    country text,
    born_on date,
    segment text REFERENCES mart.segments,
    blocked boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE mart.orders (
    order_no text PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES mart.customers,
    amount numeric(12, 2) NOT NULL
);
INSERT INTO mart.segments VALUES ('g', 'Gold'), ('s', 'Silver'), ('n', 'New');
INSERT INTO mart.customers (customer_id, first_name, last_name, email, country, born_on, segment, blocked)
SELECT
    9007199254740993 + n, -- beyond what a floating-point number holds
    (ARRAY['ZOFIE', 'JOSÉ', 'IMANI', 'SÉAMUS', 'YUKI'])[1 + n % 5],
    (ARRAY['SAMPLE', 'EXAMPLE', 'DEMO', 'FICTION'])[1 + n % 4],
    'guest' || n || '@example.com',
    (ARRAY['Czechia', 'France', 'Ireland', 'New Zealand', NULL])[CASE WHEN n % 20 = 0 THEN 5 ELSE 1 + n % 4 END],
    CASE WHEN n % 7 > 0 THEN date '1950-01-01' + n * 97 END,
    (ARRAY['g', 's', 'n'])[1 + n % 3],
    n % 50 = 49
FROM generate_series(1, 100) AS n;
INSERT INTO mart.orders
SELECT 'SO' || n, 9007199254740993 + 1 + n % 80, n * 1.25 FROM generate_series(1, 300) AS n;
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA mart TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA mart TO reader;
