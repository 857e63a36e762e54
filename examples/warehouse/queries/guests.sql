-- The SQL of PostgreSQL. Numbers have a declared size, so that they arrive as exact decimals.
SELECT
    c.customer_id,
    c.first_name,
    c.last_name,
    c.email,
    c.country,
    c.born_on,
    c.segment,
    c.updated_at,
    coalesce(sum(o.amount), 0)::numeric(12, 2) AS revenue
FROM mart.customers AS c
LEFT JOIN mart.orders AS o USING (customer_id)
WHERE NOT c.blocked
GROUP BY c.customer_id
