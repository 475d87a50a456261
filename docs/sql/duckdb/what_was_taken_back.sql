-- What take-backs of the last thirty days took off whom, and who was given it since; empty: nobody yet.
WITH lines AS (
  SELECT run_id, row_id, reviewer_id, status, assigned_at
  FROM assignments
  WHERE day >= current_date - INTERVAL 30 DAY AND status IN ('assigned', 'undone', 'taken_back')
),
newest AS (
  SELECT row_id, max(run_id) AS run_id FROM lines GROUP BY row_id
),
holders AS (
  SELECT lines.row_id, array_to_string(list_sort(array_agg(DISTINCT lines.reviewer_id)), ' ') AS people
  FROM lines
  JOIN newest ON newest.row_id = lines.row_id AND newest.run_id = lines.run_id
  WHERE lines.status = 'assigned'
  GROUP BY lines.row_id
)
SELECT
  taken.row_id,
  taken.reviewer_id AS taken_from,
  taken.assigned_at AS taken_at,
  taken.run_id,
  holders.people AS with_now
FROM lines AS taken
LEFT JOIN holders ON holders.row_id = taken.row_id
WHERE taken.status = 'taken_back'
ORDER BY taken.run_id, taken.row_id
