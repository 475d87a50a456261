"""Everything a run touches, for tests: a local Braintrust, a local AWS, and the handler between them."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import boto3

import handler
from lib.braintrust import Braintrust
from lib.deadline import Deadline
from lib.reading import fetch_all_logs
from lib.rows import Fetched, Window
from lib.run import run, utc_now
from lib.settings import Settings, load_settings
from local.braintrust.server import LocalBraintrust
from tests.near_s3 import objects

BUCKET = "audit-bucket"
REVIEWERS = "/review-assigner/reviewers"
QUEUES = "/review-assigner/queues"
WEBHOOK = "/review-assigner/webhook"
SECRET = "review-assigner/api-key"
TAG = "needs review"
ASSIGNMENTS = "~__bt_assignments"
REVIEW_LISTS = "~__bt_review_lists"


@cache
def aws_client(service: str, url: str) -> Any:
    return boto3.client(service, endpoint_url=url)


@dataclass
class World:
    """One project, its reviewers and a bucket of its own."""

    braintrust: LocalBraintrust
    aws_url: str
    users: list[str] = field(default_factory=list)
    prefix: str = field(default_factory=lambda: f"audit/{uuid.uuid4()}/")
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PROJECT_ID": self.braintrust.project_id,
            "TAG": TAG,
            "BRAINTRUST_API_URL": self.braintrust.url,
            "BRAINTRUST_API_KEY_SECRET_ID": SECRET,
            "REVIEWERS_PARAMETER": REVIEWERS,
            "AUDIT_BUCKET": BUCKET,
            "AUDIT_PREFIX": self.prefix,
            "AWS_ENDPOINT_URL": self.aws_url,
            **self.settings,
        }

    def client(self, service: str) -> Any:
        return aws_client(service, self.aws_url)

    def set_reviewers(self, value: Any) -> None:
        self.set_parameter(REVIEWERS, value)

    def set_queues(self, *queues: dict[str, Any]) -> None:
        """Queues from now on; each that names no tag has its own name for one."""
        self.settings["QUEUES_PARAMETER"] = QUEUES
        self.set_parameter(QUEUES, [{"tag": queue["name"]} | queue for queue in queues])

    def set_parameter(self, name: str, value: Any) -> None:
        text = value if isinstance(value, str) else json.dumps(value)
        self.client("ssm").put_parameter(Name=name, Value=text, Type="String", Overwrite=True)

    def set_webhook(self, address: str) -> None:
        """Where digests are posted to, from now on."""
        self.client("ssm").put_parameter(
            Name=WEBHOOK, Value=address, Type="SecureString", Overwrite=True
        )
        self.settings["WEBHOOK_PARAMETER"] = WEBHOOK

    def add_users(self, count: int) -> list[str]:
        """Their ids in order, so that where all are owed alike the first one is the first in turn."""
        self.users += [
            self.braintrust.store.add_user(f"user{number}@example.com", user_id=user_id)
            for number, user_id in enumerate(sorted(str(uuid.uuid4()) for _ in range(count)))
        ]
        self.set_reviewers(self.users)
        return self.users

    def add_rows(self, count: int, *, hours_ago: float = 1, **fields: Any) -> list[str]:
        """Rows that came in one second apart, the first one `hours_ago`; oldest first."""
        first = datetime.now(UTC) - timedelta(hours=hours_ago)
        fields = {"tags": [TAG]} | fields
        return [
            self.braintrust.store.add_row(created=first + timedelta(seconds=number), **fields)
            for number in range(count)
        ]

    def overhear(self, kind: str) -> list[Any]:
        """The decoded bodies of all requests of a kind from now on, as they come in."""
        heard: list[Any] = []
        self.braintrust.faults.add(
            kind, times=None, when=lambda call: bool(heard.append(call.parsed))
        )
        return heard

    def load(self, event: object = None) -> Settings:
        """The settings of a run with this event."""
        return load_settings(self.environ, event)

    def connect(
        self,
        settings: Settings | None = None,
        deadline: Deadline | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Braintrust:
        """The product's client, with the right key."""
        deadline = deadline or Deadline(lambda: 60_000)
        return Braintrust(settings or self.load(), self.braintrust.api_key, deadline, sleep)

    def fetch(
        self,
        event: object = None,
        sleep: Callable[[float], None] = time.sleep,
        deadline: Deadline | None = None,
    ) -> Fetched:
        """What the product's fetching sees of the project now."""
        settings = self.load(event)
        client = self.connect(settings, deadline, sleep)
        return fetch_all_logs(
            client, settings, Window.before(utc_now(), settings.days), client.deadline
        )

    def run(
        self, event: object = None, *, seconds: float = 60, now: Any = utc_now, request_id: str = ""
    ) -> dict[str, Any]:
        """One run, without the handler's decorators."""
        return run(
            event,
            self.environ,
            Deadline(lambda: seconds * 1000),
            request_id or str(uuid.uuid4()),
            now,
        )

    def assignments(self) -> dict[str, tuple[str, ...]]:
        """Reviewers by row id, rows without any left out."""
        return {row: who for row, who in self.braintrust.store.assignments().items() if who}

    def objects(self, kind: str = "") -> dict[str, str]:
        """Key (under the prefix) to text of every audit object of a kind; the local AWS is in this process."""
        stored = objects(BUCKET)
        found = sorted(key for key in [*stored] if key.startswith(self.prefix + kind))
        return {key.removeprefix(self.prefix): stored[key].value.decode() for key in found}

    def records(self, kind: str) -> list[Any]:
        """The parsed audit objects of a kind, in the order of their keys."""
        return [json.loads(text) for _, text in sorted(self.objects(kind + "/").items())]

    def lines(self, result: dict[str, Any]) -> list[dict[str, Any]]:
        """The assignments lines of one run."""
        found = self.objects("assignments/")
        text = next(text for key, text in found.items() if result["run_id"] in key)
        return [json.loads(line) for line in text.splitlines()]


class Naps:
    """A sleep that takes no time, and a clock that only it moves."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)

    def deadline(self, seconds: float) -> Deadline:
        """A deadline that comes after so much sleep."""
        return Deadline(lambda: seconds * 1000, clock=lambda: sum(self.taken))


def lambda_context(seconds: float = 60, request_id: str = "") -> Any:
    """What Lambda hands to a handler."""
    return SimpleNamespace(
        aws_request_id=request_id or str(uuid.uuid4()),
        get_remaining_time_in_millis=lambda: int(seconds * 1000),
    )


def invoke(event: object = None, **context: Any) -> dict[str, Any]:
    """The handler, as Lambda calls it."""
    return handler.lambda_handler(event, lambda_context(**context))
