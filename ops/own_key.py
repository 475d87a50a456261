"""What an operator's own key shows of Braintrust: who is who, and which tags rows carry.

The function's key is not used.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from lib.braintrust import Braintrust, RequestFailed
from lib.deadline import Deadline
from lib.errors import AssignerError
from lib.settings import RULES, Settings
from ops.stack_file import in_file

KEY, URL = "BRAINTRUST_API_KEY", "BRAINTRUST_API_URL"
PATIENCE = 30.0  # seconds, for everything that is asked
NEWEST = 1000  # rows that are asked for their tags
MOST_TAGS = 15
NOBODY = "00000000-0000-0000-0000-000000000000"


class NoAnswerError(Exception):
    """Raised when Braintrust cannot be asked, or says nothing usable; says what to change."""


def is_set() -> bool:
    """Whether there is a key to ask with."""
    return bool(os.environ.get(KEY, "").strip())


def address(stack: str = "", otherwise: str = "") -> str:
    """The API's address: BRAINTRUST_API_URL, else that of the stack's file, else the usual one.

    Raises NoAnswerError.

    `otherwise` goes before the last two.
    """
    text = os.environ.get(URL, "").strip() or otherwise or in_file(stack, "BraintrustApiUrl")
    problems: list[str] = []
    url = RULES[URL].of_text(URL, text or str(RULES[URL].default), problems)
    if problems:
        raise NoAnswerError(problems[0])
    return str(url)


@contextmanager
def asking(url: str, project_id: str = NOBODY) -> Iterator[Braintrust]:
    """Somebody who asks with BRAINTRUST_API_KEY.

    Raises NoAnswerError, also for what is refused while it is used.
    """
    if not is_set():
        raise NoAnswerError(f"set {KEY} to a key of yours that may list users")
    settings = Settings(
        project_id=project_id,
        tag="",
        braintrust_api_url=url,
        reviewers_parameter="",
        audit_bucket="",
    )
    client = Braintrust(settings, os.environ[KEY].strip(), Deadline(lambda: PATIENCE * 1000))
    try:
        yield client
    except RequestFailed as failure:
        raise NoAnswerError(client.explain("query", failure)) from failure
    except AssignerError as error:
        raise NoAnswerError(str(error)) from error
    finally:
        client.close()


def people(client: Braintrust) -> dict[str, str]:
    """What everybody in the organisation is called, by user id: name, else address, else id."""
    users = client.users()
    if users is None:
        raise NoAnswerError(f"{KEY} may not list users (403)")
    return {
        user.id: " ".join(filter(None, (user.given_name, user.family_name)))
        or user.email
        or user.id
        for user in users
    }


def tags(client: Braintrust, project_id: str) -> list[tuple[str, int]]:
    """The tags of the project's newest rows, with so many rows each, most rows first: one query."""
    query = {
        "select": [{"alias": "tags", "expr": {"op": "ident", "name": ["tags"]}}],
        "from": {
            "op": "function",
            "name": {"op": "ident", "name": ["project_logs"]},
            "args": [{"op": "literal", "value": project_id}],
        },
        "filter": {"btql": "tags IS NOT NULL"},
        "limit": NEWEST,
    }
    body = {"query": query, "fmt": "json"}
    answer = client.query(lambda: body, lambda: False, client.deadline)
    rows = answer.body.get("data") if isinstance(answer.body, dict) else None
    counts = Counter(
        tag
        for row in rows or ()
        if isinstance(row, dict)
        for tag in row.get("tags") or ()
        if isinstance(tag, str)
    )
    return counts.most_common(MOST_TAGS)
