-- The runs of the last seven days that failed, left rows behind or had something to say, newest first.
SELECT run_id, queue, status, unassigned, assigned, failed, deferred, complete, warnings
FROM runs
WHERE day >= current_date - INTERVAL 7 DAY
  AND (status IN ('failed', 'incomplete') OR len(warnings) > 0)
ORDER BY run_id DESC
