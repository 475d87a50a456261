"""How this server behaves where the real one's behaviour is not known, or differs between plans."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Options:
    """Set any of these at any time; `LocalBraintrust.reset()` brings the defaults back."""

    string_escapes: bool = False  # a backslash escapes inside a BTQL string literal
    over_limit: Literal["cap", "refuse"] = (
        "cap"  # what a query limit above 1000 meets: 1000 rows, or a 400
    )
    end_of_results: Literal["empty_page", "no_cursor"] = (
        "empty_page"  # "no_cursor": the last page carries none
    )
    refused: list[str] = field(
        default_factory=list
    )  # 400 for these: "len", "in", "sort", and "isnull" below a field
    paths_are_never_null: bool = False  # IS NULL never holds below a field, as below metadata
    len_finds_empty: bool = True  # False: the length of an empty list is NULL
    sorts_with_cursor: bool = True  # False: sorting by _pagination_key loses the cursor, too
    read_lag: float = 0.0  # seconds by which queries lag behind writes
    queries_per_minute: int | None = None  # for the whole organisation; 429 above it
    minute: float = 60.0  # seconds in that minute, for tests with little time
    rate_limit_retry_after: Literal["seconds", "date", "none"] = "seconds"
    insert_max_bytes: int = 6_000_000  # 413 in the gateway's style above it
    query_max_bytes: int | None = None  # of an answer; 413 in the gateway's style above it
    url_max_bytes: int = 8192  # 414 above it, as the usual gateways do
    emails_mind_case: bool = True  # /v1/user?email= finds the address only as it is written
    refuse_odd_user_ids: bool = False  # 400 for /v1/user?ids= with an id that is no UUID
    objects_per_page: int = 100  # of users, groups, projects: more needs starting_after
    unauthorized_style: Literal["text", "json"] = "text"  # the body of a 401
    may_impersonate: bool = True  # False: x-bt-impersonate-user is answered with 403
