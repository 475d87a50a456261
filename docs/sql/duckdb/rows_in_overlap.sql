-- The rows of the last thirty days that a share OVERLAP takes in, with all who were given them: what the function does, by
-- the first 15 digits of the hash. Variable: overlap, the share, such as 0.2.
SELECT
  row_id,
  count(DISTINCT reviewer_id) AS people,
  array_to_string(list_sort(array_agg(DISTINCT reviewer_id)), ' ') AS reviewers
FROM assignments
WHERE day >= current_date - INTERVAL 30 DAY AND status = 'assigned'
  AND ('0x' || substr(sha256('overlap:' || row_id), 1, 15))::UBIGINT < getvariable('overlap')::DOUBLE * power(2, 60)
GROUP BY row_id
ORDER BY row_id
