"""Log rows such as a shop's support assistant leaves behind.

They are sent in through Braintrust's official client.
"""

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from braintrust_api import Braintrust

TAG = "needs review"
Event = dict[str, Any]


class Person(NamedTuple):
    """Somebody of the organisation."""

    given_name: str
    family_name: str

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    @property
    def email(self) -> str:
        return f"{self.given_name}.{self.family_name}@example.com".lower()


TEAM = (
    Person("Ana", "Souza"),
    Person("Ben", "Okafor"),
    Person("Chen", "Wei"),
    Person("Dana", "Levy"),
    Person("Emil", "Novak"),
)


class Topic(NamedTuple):
    """What customers ask about: their words, the assistant's, the article it looked up."""

    tag: str
    questions: tuple[str, ...]
    answer: str
    article: str


TOPICS = (
    Topic(
        "delivery",
        ("Where is my order {order}?", "{order} was due {days} days ago. Is it lost?"),
        "Your order {order} left our warehouse in {city} and should arrive within {days} days. "
        "You can follow it under Orders > Track.",
        "tracking-an-order",
    ),
    Topic(
        "returns",
        ("How do I send the {item} back?", "The {item} doesn't fit, can I get my money back?"),
        "You can return the {item} within 30 days. Print the label under Orders > {order} > "
        "Return; "
        "the refund of {amount} reaches you about {days} days after we have it.",
        "returns-and-refunds",
    ),
    Topic(
        "billing",
        ("Why was I charged {amount} twice?", "I need an invoice for {order} with our VAT number."),
        "I see one charge of {amount} for {order}; the second is a reservation that your bank "
        "releases "
        "within {days} days. The invoice is under Account > Invoices.",
        "duplicate-charges",
    ),
    Topic(
        "account",
        ("I can't log in since the update.", "Please delete my account and everything in it."),
        "I have sent a link to the address we have on file; it is valid for one hour. Deleting an "
        "account "
        "takes up to {days} days and cannot be undone.",
        "account-access",
    ),
    Topic(
        "warranty",
        (
            "My {item} stopped working after {days} months.",
            "Is water damage on the {item} covered?",
        ),
        "The {item} has a warranty of 24 months, so a defect after {days} months is covered. Water "
        "damage is not.",
        "warranty-terms",
    ),
    Topic(
        "complaint",
        (
            "Third time I write about {order}. This is ridiculous.",
            "Your courier left the {item} in the rain.",
        ),
        "I am sorry about that. I have passed {order} on to a colleague, who writes to you within "
        "{days} days.",
        "escalation",
    ),
)
ITEMS = ("coffee grinder", "desk lamp", "rain jacket", "headphones", "hiking boots", "air purifier")
CITIES = ("Leipzig", "Lyon", "Porto", "Utrecht", "Brno")
MODELS = (("gpt-4o-mini", 0.9), ("claude-haiku-4-5", 1.1), ("gpt-4.1", 2.2))


class Traffic:
    """Makes rows. The same seed makes the same rows, but for their ids."""

    def __init__(self, seed: int, reviewers: Sequence[str]) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up customers
        self._reviewers = reviewers

    def past(self, count: int, until: datetime, days: float) -> list[Event]:
        """`count` turns of the days before, oldest first: some assigned, reviewed, or both."""
        times = sorted(until - timedelta(days=days * self._random.random()) for _ in range(count))
        return [event for at in times for event in self._turn(at, history=True)]

    def fresh(self, tagged: int, since: datetime, until: datetime) -> list[Event]:
        """The turns of a stretch of time, of which `tagged` carry the tag; about as many do not."""
        wanted = [True] * tagged + [False] * round(tagged * self._random.uniform(0.8, 1.4) + 3)
        self._random.shuffle(wanted)
        times = sorted(since + (until - since) * self._random.random() for _ in wanted)
        pairs = zip(times, wanted, strict=True)
        return [event for at, tagged in pairs for event in self._turn(at, tagged=tagged)]

    def _turn(
        self, at: datetime, *, tagged: bool | None = None, history: bool = False
    ) -> list[Event]:
        """One question and its answer; one in four with its look-up, as a child span."""
        chance, topic = self._random, self._random.choice(TOPICS)
        model, pace = chance.choice(MODELS)
        words = {
            "order": f"A-{chance.randrange(10**5, 10**6)}",
            "item": chance.choice(ITEMS),
            "city": chance.choice(CITIES),
            "days": chance.randint(2, 14),
            "amount": f"{chance.uniform(9, 240):.2f} EUR",
        }
        question, answer = (
            chance.choice(topic.questions).format(**words),
            topic.answer.format(**words),
        )
        seconds = round(chance.lognormvariate(0, 0.4) * pace, 3)
        if tagged is None:
            tagged = chance.random() < 0.45
        root = str(uuid.uuid4())
        metadata: Event = {
            "model": model,
            "user_id": f"customer-{chance.randrange(4000)}",
            "session": f"s{chance.randrange(10**8):08d}",
            "locale": chance.choice(("en", "en-GB", "de", "fr")),
            "latency_ms": round(seconds * 1000),
            "prompt_version": f"support-v{chance.randint(11, 13)}",
        }
        if tagged and history:
            metadata |= self._review()
        turn: Event = {
            "id": root,
            "span_id": root,
            "root_span_id": root,
            "created": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "span_attributes": {"name": "support-assistant", "type": "llm"},
            "input": {"messages": [{"role": "user", "content": question}]},
            "output": {"role": "assistant", "content": answer},
            "metadata": metadata,
            "metrics": {
                "start": at.timestamp(),
                "end": at.timestamp() + seconds,
                "prompt_tokens": len(question) // 4 + 350,
                "completion_tokens": len(answer) // 4,
            },
            "scores": {"resolved": round(chance.random(), 2)},
            "tags": [topic.tag, TAG] if tagged else [topic.tag],
        }
        if chance.random() > 0.25:
            return [turn]
        child = {
            "id": str(uuid.uuid4()),
            "root_span_id": root,
            "span_parents": [root],
            "created": turn["created"],
            "span_attributes": {"name": "find-article", "type": "tool"},
            "input": {"query": question},
            "output": {"article": topic.article, "similarity": round(chance.uniform(0.5, 0.95), 3)},
            "metadata": {"index": "help-centre"},
        }
        return [turn, child]

    def _review(self) -> Event:
        """What people did to a row before this product came: mostly nothing."""
        chance = self._random.random()
        held = {"~__bt_assignments": [self._random.choice(self._reviewers)]}
        verdict = self._random.choice(("APPROVED", "REJECTED"))
        review = {"~__bt_review_lists": {"__bt_default_review_list": {"status": verdict}}}
        if chance < 0.08:
            return held
        if chance < 0.16:
            return held | review
        return review if chance < 0.21 else {}


def send(client: Braintrust, project_id: str, events: Sequence[Event], batch: int = 250) -> None:
    """Log the events, as an application does.

    As they are, since the client goes through `events` for names to change.
    """
    for start in range(0, len(events), batch):
        body = {"events": events[start : start + batch]}
        client.projects.logs.insert(project_id, events=[], extra_body=body)
