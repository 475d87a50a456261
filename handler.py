"""The Lambda function's entry point."""

import gc
import os
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from lib.deadline import Deadline
from lib.run import run
from lib.telemetry import logger

# Rows are many and hold no cycles: by the usual thresholds the collector would look through all of
# them many times.
gc.set_threshold(50_000, 20, 100)


def lambda_handler(event: object, context: LambdaContext) -> dict[str, Any]:
    """Hand the tagged rows that have no reviewer to the reviewers, and return what was done.

    `event` is `{}`, an EventBridge envelope, or an object of settings for this invocation only,
    such as `{"dry_run": true}`. Raises lib.errors.AssignerError, so that Lambda counts a run that
    could not do its work.
    """
    logger.set_correlation_id(context.aws_request_id)
    return run(
        event, os.environ, Deadline(context.get_remaining_time_in_millis), context.aws_request_id
    )
