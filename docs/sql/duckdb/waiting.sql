-- Rows that each run of the last three days left waiting, and for how long the oldest of them had been.
SELECT
  run_id,
  queue,
  tag,
  deferred + failed AS waiting,
  round(oldest_waiting_seconds / 3600.0, 1) AS oldest_hours,
  spread
FROM runs
WHERE day >= current_date - INTERVAL 3 DAY AND undoes IS NULL AND takes_back IS NULL
ORDER BY run_id
