-- What failed in the last seven days, and whether a later line says that the row was assigned after all. `failed`: refused;
-- `unknown`: sent, but no clear answer came, so that it may have landed.
WITH lines AS (
  SELECT run_id, row_id, reviewer_id, status, error
  FROM assignments
  WHERE day >= current_date - INTERVAL 7 DAY
),
landed AS (
  SELECT row_id, max(run_id) AS run_id FROM lines WHERE status = 'assigned' GROUP BY row_id
)
SELECT
  lines.run_id,
  lines.status,
  lines.error,
  count(*) AS affected,
  count(landed.run_id) AS assigned_later,
  min(lines.row_id) AS for_instance
FROM lines
LEFT JOIN landed ON landed.row_id = lines.row_id AND landed.run_id > lines.run_id
WHERE lines.status IN ('failed', 'unknown')
GROUP BY lines.run_id, lines.status, lines.error
ORDER BY lines.run_id DESC, affected DESC
