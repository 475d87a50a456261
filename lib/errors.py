"""The errors a run can end in. Lambda counts every one of them as a failed invocation."""

import re

LOOKS_SECRET = re.compile(r"(?<![A-Za-z0-9])(sk|bt-st)-\S+|//[^/\s]*@")
# At the start, or after what no name has: quotes, a blank, `KEY=`, `KEY:`; or too long and random
# to be a name.
LOOKS_LIKE_KEY = re.compile(r"(?<![\w/.@+-])(?<!:secret:)(sk|bt-st)-\S|(sk|bt-st)-[A-Za-z0-9]{40}")


def masked(text: str) -> str:
    """The text, fit for a message: without what looks like a key or a password in a URL."""
    return LOOKS_SECRET.sub("***", text)


class AssignerError(Exception):
    """Base of every error this product raises on purpose."""


class ConfigurationError(AssignerError):
    """Raised when a setting, event field, parameter, secret or roster has to be changed first."""


class QueryError(AssignerError):
    """Raised when the rows or the reviewers could not be read from Braintrust.

    Nothing was written.
    """

    no_page = False
    """There was no time for even one page of rows."""


class AssignmentError(AssignerError):
    """Raised after the audit was written: some planned rows could not be written to Braintrust."""


class DigestError(AssignerError):
    """Raised when the digest's message could not be posted, or nobody knows whether it was."""


class AuditError(AssignerError):
    """Raised when S3 did not take the plan (nothing was assigned) or a record of what was done."""


class QueuesError(AssignerError):
    """Raised when queues failed, after the others have run."""
