-- Rows given per day and reviewer in the last thirty days; what was taken back later is still counted here. Parameter: the project id.
SELECT day AS day, reviewer_id, count(DISTINCT row_id) AS given
FROM assignments
WHERE project_id = ? AND day >= format_datetime(current_timestamp - INTERVAL '30' DAY, 'yyyy-MM-dd') AND status = 'assigned'
GROUP BY day, reviewer_id
ORDER BY day, reviewer_id
