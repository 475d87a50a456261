-- One line a planned row and person. Put your bucket and AUDIT_PREFIX in place of BUCKET and audit/, in both places.
CREATE EXTERNAL TABLE IF NOT EXISTS assignments (
  run_id string,
  row_id string,
  reviewer_id string,
  status string COMMENT 'assigned, failed, unknown, not_attempted; undone in the lines of an undo, taken_back in those of a take-back',
  assigned_at string COMMENT 'ISO 8601, UTC; when it was taken back in the lines of these two',
  error string
)
PARTITIONED BY (project_id string, day string)
ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
LOCATION 's3://BUCKET/audit/assignments/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.project_id.type' = 'injected',
  'projection.day.type' = 'date',
  'projection.day.format' = 'yyyy-MM-dd',
  'projection.day.range' = '2025-01-01,NOW',
  'storage.location.template' = 's3://BUCKET/audit/assignments/project_id=${project_id}/date=${day}/'
)
