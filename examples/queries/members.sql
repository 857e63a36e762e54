-- The SQL of the database itself. It may only read, and is run once per run.
SELECT id, email, points, level_code
FROM members
WHERE left_on IS NULL
ORDER BY id
