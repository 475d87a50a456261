-- Who got what last month. A row that was sent twice to the same person counts once; what was taken back since
-- then, also in this month, is told apart.
WITH lines AS (
  SELECT run_id, row_id, reviewer_id, status, day
  FROM assignments
  WHERE day >= date_trunc('month', current_date) - INTERVAL 1 MONTH
),
given AS (
  SELECT row_id, reviewer_id, max(run_id) AS run_id
  FROM lines
  WHERE status = 'assigned' AND day < date_trunc('month', current_date)
  GROUP BY ALL
),
removed AS (
  SELECT row_id, reviewer_id, max(run_id) AS run_id FROM lines WHERE status IN ('undone', 'taken_back') GROUP BY ALL
)
SELECT
  given.reviewer_id,
  count(*) AS given,
  count(removed.run_id) AS taken_back,
  count(*) - count(removed.run_id) AS kept
FROM given
LEFT JOIN removed
  ON removed.row_id = given.row_id AND removed.reviewer_id = given.reviewer_id AND removed.run_id > given.run_id
GROUP BY given.reviewer_id
ORDER BY given DESC, given.reviewer_id
