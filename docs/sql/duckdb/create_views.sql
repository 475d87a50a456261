-- The audit's folder or s3:// address, without a slash at the end, is in the variable audit:
-- SET VARIABLE audit = '.local/audit/audit';
SET TimeZone = 'UTC';
CREATE OR REPLACE VIEW assignments AS
SELECT * EXCLUDE ("date"), "date" AS day
FROM read_json(
  getvariable('audit') || '/assignments/*/*/*.jsonl',
  format = 'newline_delimited',
  hive_partitioning = true,
  hive_types = {'project_id': VARCHAR, 'date': DATE},
  columns = {
    run_id: 'VARCHAR',
    row_id: 'VARCHAR',
    reviewer_id: 'VARCHAR',
    status: 'VARCHAR',
    assigned_at: 'VARCHAR',
    error: 'VARCHAR'
  }
);
CREATE OR REPLACE VIEW runs AS
SELECT * EXCLUDE ("date"), "date" AS day
FROM read_json(
  getvariable('audit') || '/runs/*/*/*.json',
  format = 'newline_delimited',
  hive_partitioning = true,
  hive_types = {'project_id': VARCHAR, 'date': DATE},
  columns = {
    run_id: 'VARCHAR',
    status: 'VARCHAR',
    queue: 'VARCHAR',
    dry_run: 'BOOLEAN',
    tag: 'VARCHAR',
    "window": 'MAP(VARCHAR, VARCHAR)',
    read: 'VARCHAR',
    fetched: 'BIGINT',
    complete: 'BOOLEAN',
    already_assigned: 'BIGINT',
    already_reviewed: 'BIGINT',
    unassigned: 'BIGINT',
    assigned: 'BIGINT',
    failed: 'BIGINT',
    deferred: 'BIGINT',
    per_reviewer: 'MAP(VARCHAR, BIGINT)',
    people: 'MAP(VARCHAR, STRUCT(open BIGINT, reviewed BIGINT, oldest_open_hours DOUBLE))',
    warnings: 'VARCHAR[]',
    oldest_waiting_seconds: 'BIGINT',
    spread: 'DOUBLE',
    unknown_reviewers: 'BIGINT',
    previous_plan: 'STRUCT(run_id VARCHAR, landed BIGINT, reassigned BIGINT, unassigned BIGINT, unseen BIGINT)',
    undoes: 'VARCHAR',
    given: 'BIGINT',
    left_alone: 'BIGINT',
    undone: 'BIGINT',
    takes_back: 'STRUCT(reviewer VARCHAR, days BIGINT)',
    taken_back: 'BIGINT',
    taken_from: 'MAP(VARCHAR, BIGINT)',
    audit: 'MAP(VARCHAR, VARCHAR)',
    duration_ms: 'BIGINT'
  }
);
