-- One object a run that was not dry. Put your bucket and AUDIT_PREFIX in place of BUCKET and audit/, in both places.
CREATE EXTERNAL TABLE IF NOT EXISTS runs (
  run_id string,
  status string,
  queue string COMMENT 'null where there are no queues',
  dry_run boolean,
  tag string,
  `window` map<string, string> COMMENT 'from, to: ISO 8601, UTC',
  `read` string COMMENT 'full: fetched and the two after it count the whole window; short: only rows that may need something',
  fetched bigint,
  complete boolean,
  already_assigned bigint,
  already_reviewed bigint,
  unassigned bigint,
  assigned bigint,
  failed bigint,
  deferred bigint,
  per_reviewer map<string, bigint>,
  people map<string, struct<open: bigint, reviewed: bigint, oldest_open_hours: double>> COMMENT 'after a complete full read',
  warnings array<string>,
  oldest_waiting_seconds bigint,
  spread double,
  unknown_reviewers bigint,
  previous_plan struct<run_id: string, landed: bigint, reassigned: bigint, unassigned: bigint, unseen: bigint>,
  undoes string COMMENT 'the run that an undo takes back; null for an ordinary run',
  given bigint COMMENT 'an undo: rows that run had planned',
  left_alone bigint COMMENT 'an undo or a take-back: rows that were not touched',
  undone bigint,
  takes_back struct<reviewer: string, days: bigint> COMMENT 'what a take-back means; null for any other run',
  taken_back bigint,
  taken_from map<string, bigint> COMMENT 'an undo or a take-back: rows by person',
  audit map<string, string>,
  duration_ms bigint
)
PARTITIONED BY (project_id string, day string)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
LOCATION 's3://BUCKET/audit/runs/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.project_id.type' = 'injected',
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy-MM-dd',
  'projection.day.range' = '2025-01-01,NOW',
  'storage.location.template' = 's3://BUCKET/audit/runs/project_id=${project_id}/date=${day}/'
)
