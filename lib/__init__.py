"""The review assigner. The functions that people know from Braintrust's published script stand here by name."""

from lib.assign import assign_batch, build_event
from lib.distribution import distribute
from lib.rows import build_query, fetch_all_logs, get_assignments, is_assigned

__all__ = [
    "assign_batch",
    "build_event",
    "build_query",
    "distribute",
    "fetch_all_logs",
    "get_assignments",
    "is_assigned",
]
