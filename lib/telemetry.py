"""What a run says of itself: log lines and CloudWatch metrics, in Powertools' forms."""

import logging
from collections.abc import Callable, Mapping
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
    "QueuesFailed": MetricUnit.Count,
}
"""Every metric, with its unit. The dimension is Powertools' own: `service`, from
POWERTOOLS_SERVICE_NAME."""
TOGETHER: dict[str, Callable[[list[float]], float]] = {
    "OldestWaitingAge": max,
    "Spread": max,
    "RunSucceeded": min,
}
"""How the values of several runs become one, where they are not summed."""

LIBRARIES = (
    *("aws_lambda_powertools", "boto3", "botocore", "charset_normalizer", "dateutil", "idna"),
    *("jmespath", "requests", "s3transfer", "urllib3"),
)
"""What the artifact holds beside our own code, by the name that each logs under."""

logger = Logger(use_rfc3339=True)


def quiet_libraries() -> None:
    """Keep the libraries from logging below INFO.

    botocore at DEBUG prints secrets, and the role's session token.

    Lambda sets the root logger to the function's LogLevel; what is set here does not depend on it.
    """
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO)


quiet_libraries()


def emit(values: Mapping[str, float]) -> None:
    """Write metrics out at once, as a line of their own: two runs in one process share nothing."""
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=logger.service)
    for name, value in values.items():
        metrics.add_metric(name=name, unit=METRICS[name], value=value)
    metrics.flush_metrics()


class Meter:
    """The metrics of one invocation, however many runs it is.

    Counts are summed, ages and spreads are the largest.
    """

    def __init__(self) -> None:
        self._values: dict[str, float] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Take the metrics of a run along. `RunSucceeded` is 1 where nobody says 0."""
        for name, value in values.items():
            known = self._values.get(name)
            together = TOGETHER.get(name, sum)
            self._values[name] = value if known is None else together([known, value])

    def flush(self) -> None:
        """Write them out, if there are any."""
        if self._values:
            emit(self._values)
        self._values = {}


def request_metrics(counts: Mapping[str, int]) -> dict[str, float]:
    """The metrics of what was asked of Braintrust, from the client's request counts."""
    return {
        "Queries": counts.get("query", 0),
        "Retries": counts.get("retries", 0),
        "Throttles": counts.get("throttles", 0),
    }


def run_metrics(result: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, float]:
    """The metrics of a finished run, from its result and the client's request counts."""
    values: dict[str, float] = {
        "RowsFailed": result["failed"],
        **request_metrics(counts),
        "RunDuration": result["duration_ms"],
    }
    if "unassigned" not in result:  # of an undo or a take-back
        return values
    if result["read"] == "full":  # a short read does not know how many rows there are
        values["RowsFetched"] = result["fetched"]
    values |= {
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
        values["PlanLost"] = became["unassigned"]
        if result["read"] == "full":  # nor whose they are
            values["PlanLanded"] = became["landed"]
            values["PlanReassigned"] = became["reassigned"]
    return values
