-- Which runs touched this row, oldest first: the last line that says assigned, undone or taken_back is how we left it. Variable: row_id.
SELECT
  assignments.run_id,
  assignments.status,
  assignments.reviewer_id,
  assignments.assigned_at,
  assignments.error,
  runs.tag,
  runs.undoes
FROM assignments
LEFT JOIN runs
  ON runs.run_id = assignments.run_id
  AND runs.day = assignments.day
  AND runs.project_id = assignments.project_id
WHERE assignments.row_id = getvariable('row_id')
ORDER BY assignments.run_id
