-- The runs of the last seven days that failed, left rows behind or had something to say, newest first. Parameter: the project id.
SELECT run_id, queue, status, unassigned, assigned, failed, deferred, complete, warnings
FROM runs
WHERE project_id = ? AND day >= format_datetime(current_timestamp - INTERVAL '7' DAY, 'yyyy-MM-dd')
  AND (status IN ('failed', 'incomplete') OR cardinality(warnings) > 0)
ORDER BY run_id DESC
