-- The rows of the last thirty days that a share OVERLAP takes in, with all who were given them: what the function does, by
-- the first 15 digits of the hash. Parameters: the project id, the share, such as 0.2.
SELECT
  row_id,
  count(DISTINCT reviewer_id) AS people,
  array_join(array_sort(array_agg(DISTINCT reviewer_id)), ' ') AS reviewers
FROM assignments
WHERE project_id = ? AND day >= format_datetime(current_timestamp - INTERVAL '30' DAY, 'yyyy-MM-dd') AND status = 'assigned'
  AND from_base(substr(to_hex(sha256(to_utf8('overlap:' || row_id))), 1, 15), 16) < CAST(? AS double) * power(2, 60)
GROUP BY row_id
ORDER BY row_id
