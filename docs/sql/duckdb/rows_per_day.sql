-- Rows given per day and reviewer in the last thirty days; what was taken back later is still counted here.
SELECT day, reviewer_id, count(DISTINCT row_id) AS given
FROM assignments
WHERE day >= current_date - INTERVAL 30 DAY AND status = 'assigned'
GROUP BY day, reviewer_id
ORDER BY day, reviewer_id
