"""What a run says of itself: log lines and CloudWatch metrics, in Powertools' forms."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "BraintrustReviewAssigner"
METRICS = {
    "RowsFetched": MetricUnit.Count,
    "RowsUnassigned": MetricUnit.Count,
    "RowsAssigned": MetricUnit.Count,
    "RowsFailed": MetricUnit.Count,
    "RowsDeferred": MetricUnit.Count,
    "OldestWaitingAge": MetricUnit.Seconds,
    "Spread": MetricUnit.Count,
    "UnknownReviewers": MetricUnit.Count,
    "PlanLanded": MetricUnit.Count,
    "PlanReassigned": MetricUnit.Count,
    "PlanLost": MetricUnit.Count,
    "Queries": MetricUnit.Count,
    "Retries": MetricUnit.Count,
    "Throttles": MetricUnit.Count,
    "RunDuration": MetricUnit.Milliseconds,
    "RunSucceeded": MetricUnit.Count,
}
"""Every metric, with its unit. The dimension is Powertools' own: `service`, from POWERTOOLS_SERVICE_NAME."""

logger = Logger(use_rfc3339=True)


def emit(values: Mapping[str, float]) -> None:
    """Write metrics out at once, as a line of their own: two runs in one process share nothing."""
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=logger.service)
    for name, value in values.items():
        metrics.add_metric(name=name, unit=METRICS[name], value=value)
    metrics.flush_metrics()


def run_metrics(result: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, float]:
    """The metrics of a finished run, from its result and the client's request counts."""
    values: dict[str, float] = {
        "RowsFailed": result["failed"],
        "Queries": counts.get("query", 0),
        "Retries": counts.get("retries", 0),
        "Throttles": counts.get("throttles", 0),
        "RunDuration": result["duration_ms"],
    }
    if "undoes" in result:
        return values
    values |= {
        "RowsFetched": result["fetched"],
        "RowsUnassigned": result["unassigned"],
        "UnknownReviewers": result["unknown_reviewers"],
    }
    if result["dry_run"]:  # every row waits in a dry run: that is no alarm
        return values
    values |= {
        "RowsAssigned": result["assigned"],
        "RowsDeferred": result["deferred"],
        "OldestWaitingAge": result["oldest_waiting_seconds"],
        "Spread": result["spread"],
    }
    if became := result["previous_plan"]:
        values["PlanLanded"] = became["landed"]
        values["PlanReassigned"] = became["reassigned"]
        values["PlanLost"] = became["unassigned"]
    return values
