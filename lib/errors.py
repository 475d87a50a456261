"""The errors a run can end in. Lambda counts every one of them as a failed invocation."""

import re

LOOKS_SECRET = re.compile(r"\b(sk|bt-st)-\S+|//[^/\s]*@")


def masked(text: str) -> str:
    """The text, fit for a message: without what looks like a key or a password in a URL."""
    return LOOKS_SECRET.sub("***", text)


class AssignerError(Exception):
    """Base of every error this product raises on purpose."""


class ConfigurationError(AssignerError):
    """Raised when a setting, an event field, a parameter, a secret or the roster has to be changed first."""


class QueryError(AssignerError):
    """Raised when the rows or the reviewers could not be read from Braintrust. Nothing was written."""


class AssignmentError(AssignerError):
    """Raised after the audit was written, when some planned rows could not be written to Braintrust."""


class AuditError(AssignerError):
    """Raised when S3 did not take the plan (nothing was assigned) or the record of what was done."""
