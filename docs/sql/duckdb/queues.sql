-- Each queue's newest record in the last seven days, and what it gave out in them. One that fails before its plan leaves none,
-- so the older its newest record, the longer it has been broken.
SELECT
  project_id,
  queue,
  max(run_id) AS newest_run,
  max_by(status, run_id) AS status,
  max_by(deferred + failed, run_id) AS waiting,
  count(*) AS runs,
  sum(assigned) AS assigned
FROM runs
WHERE day >= current_date - INTERVAL 7 DAY AND undoes IS NULL
GROUP BY project_id, queue
ORDER BY newest_run, project_id, queue
