-- How many rows of the last thirty days each two people were given together, most first; what was taken back later is
-- still counted here.
WITH given AS (
  SELECT DISTINCT run_id, row_id, reviewer_id
  FROM assignments
  WHERE day >= current_date - INTERVAL 30 DAY AND status = 'assigned'
)
SELECT one.reviewer_id AS one, other.reviewer_id AS other, count(DISTINCT one.row_id) AS shared
FROM given AS one
JOIN given AS other
  ON other.run_id = one.run_id AND other.row_id = one.row_id AND other.reviewer_id > one.reviewer_id
GROUP BY one.reviewer_id, other.reviewer_id
ORDER BY shared DESC, one.reviewer_id, other.reviewer_id
