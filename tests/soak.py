"""Random trouble, and what must be true after it: `python -m tests.soak --scenarios 2000`.

A scenario is drawn from its seed alone: rows and reviewers, faults of the API and of S3, reads that lag, runs side
by side, runs that are killed, undos, take-backs, what people do, time. Then everything is quiet, it is an hour later (or three, where
rows wait for two), one more run goes through, and the promises are checked.
"""

import argparse
import itertools
import json
import os
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local.braintrust.server import LocalBraintrust
from tests.history import chain
from tests.processes import Death, Running, start
from tests.refusing_aws import RefusingAws
from tests.world import ASSIGNMENTS, BUCKET, REVIEW_LISTS, SECRET, TAG, World, aws_client

API_FAULTS: dict[str, list[dict[str, Any]]] = {
    "429 on queries": [{"kind": "query", "status": 429, "retry_after": 0, "times": 2}],
    "429 on inserts, no Retry-After": [
        {"kind": "insert", "status": 429, "probability": 0.4, "times": 6}
    ],
    "inserts land late": [{"kind": "insert", "latency": 1.5, "times": 2}],
    "5xx on queries": [{"kind": "query", "status": 503, "probability": 0.5, "times": 3}],
    "5xx on inserts": [{"kind": "insert", "status": 502, "probability": 0.5, "times": 5}],
    "5xx after an insert was applied": [
        {"kind": "insert", "status": 504, "applied": True, "times": 3}
    ],
    "connection dropped before a write": [
        {"kind": "insert", "drop": True, "probability": 0.5, "times": 4}
    ],
    "connection dropped after a write": [
        {"kind": "insert", "drop": True, "applied": True, "times": 3}
    ],
    "insert answer lost for good": [
        {"kind": "insert", "drop": True, "applied": True, "times": None, "probability": 0.7}
    ],
    "large pages 504": [{"kind": "query", "status": 504, "limit_over": 25, "times": None}],
    "inserts over 3 events 413": [
        {"kind": "insert", "status": 413, "events_over": 3, "times": None}
    ],
    "query answers cut short": [{"kind": "query", "truncate": True, "times": 2}],
    "insert answers cut short": [{"kind": "insert", "truncate": True, "times": 2}],
    "overflowing pages": [
        {"kind": "query", "overflow": True, "overflow_gzip": True, "times": None}
    ],
    "cursor in the header only": [{"kind": "query", "no_cursor_in_body": True, "times": None}],
    "duplicates across pages": [{"kind": "query", "duplicates": 2, "times": None}],
    "short pages": [{"kind": "query", "short_page": 3, "times": None}],
    "wrong row_ids": [{"kind": "insert", "hostile": "wrong_row_ids", "times": 1}],
    "inserts refused 403": [{"kind": "insert", "status": 403, "after": 1, "times": 2}],
    "object stores that refuse": [
        {"kind": "query", "overflow": True, "overflow_gzip": True, "times": None},
        {"kind": "overflow", "status": 403, "probability": 0.3, "times": 4},
    ],
    "hostile query answer": [{"kind": "query", "hostile": "html", "after": 1, "times": 1}],
}
S3_FAULTS = {
    f"S3 {what} the {kind} write": (kind, applied)
    for what, applied in (("refuses", False), ("applies but fails", True))
    for kind in ("plans/", "ledger/", "assignments/", "to_assign_ids/", "runs/")
}
OTHERS = (
    *("reads lag", "runs side by side", "killed", "roster changes", "two tags", "time runs out"),
    *("undo", "reviews", "people leave rows", "time passes", "odd ids", "another dialect"),
    *("attempts that connect late", "two people a row", "take back"),
)
ODD_IDS = ("a\u00a0b", "a\u3000b", "a\u200db", "a\tb", "a\nb", " a ", "%2F../a?b=c#d", "\U0001f600")
DIALECTS: tuple[dict[str, Any], ...] = (
    *({"refused": ["len"]}, {"refused": ["sort"]}, {"refused": ["isnull"]}),
    *({"paths_are_never_null": True}, {"len_finds_empty": False}, {"sorts_with_cursor": False}),
)
EVERY_FAULT = (*API_FAULTS, *S3_FAULTS, *OTHERS)
DAY = timedelta(hours=24)
REST, CARRY, LITTLE = timedelta(minutes=45), timedelta(hours=2), timedelta(seconds=20)
TIMES = (
    timedelta(),
    timedelta(minutes=16),
    *(at + by for at in (REST, CARRY) for by in (-LITTLE, LITTLE)),
)
"""What may pass between runs: nothing, what an undo has to wait, just under and over what rows rest and are carried."""
PASSES = {"time passes": TIMES, "take back": (timedelta(), CARRY + LITTLE, DAY + LITTLE)}

EVERY = 10.0  # seconds from one word about how far it is to the next


@dataclass
class Judgement:
    """What a scenario did and what it broke."""

    seed: int
    faults: tuple[str, ...] = ()
    runs: int = 0
    kills: int = 0
    lost: list[str] = field(default_factory=list)
    contested: dict[str, Any] = field(default_factory=dict)
    lies: list[str] = field(default_factory=list)
    uneven: str = ""
    finished: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Reviewed rows, with whoever did."""
    left: set[str] = field(default_factory=set)
    """Rows that somebody took themself off."""

    @property
    def broken(self) -> bool:
        return bool(self.lost or self.contested or self.lies or self.uneven)


def scenario(
    seed: int, braintrust: LocalBraintrust, aws: RefusingAws, faults: tuple[str, ...] | None = None
) -> Judgement:
    """Play one scenario and judge it; with `faults`, those and no others."""
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    braintrust.reset()
    aws.reset()
    if faults is None:
        faults = tuple(chance.sample(EVERY_FAULT, chance.randint(0, 4)))
    verdict = Judgement(seed, faults)
    world = World(braintrust, aws.url)
    world.settings = {
        "LIMIT": "30",
        "BATCH_SIZE": str(chance.randint(2, 6)),
        "INSERT_CONCURRENCY": "3",
        "REVIEWERS_PER_ROW": "2" if "two people a row" in faults else "1",
    }
    world.add_users(chance.randint(2, 5))
    _choose_dialect(world, chance, faults)
    _arrive(world, chance, verdict)
    for _ in range(chance.randint(1, 4 if {"undo", "time passes", "take back"} & {*faults} else 2)):
        _arm(world, aws, chance, faults)
        count = chance.randint(2, 3) if "runs side by side" in faults else 1
        before = {row["id"]: row["_xact_id"] for row in braintrust.store.rows()}
        runs = [_start(world, chance, faults, verdict) for _ in range(count)]
        ended = [run.join() for run in runs]
        if count == 1 and ended[0].result:
            _check_refusals(world, ended[0].result, before, verdict)
        if "reads lag" not in faults or chance.random() < 0.5:
            _arrive(world, chance, verdict)
        if "reviews" in faults:
            _review(world, chance, verdict)
        if "people leave rows" in faults:
            _leave(world, chance, verdict)
        for times in (PASSES[name] for name in PASSES if name in faults):
            pass_time(world, chance.choice(times))
    braintrust.faults.clear()
    aws.reset()
    braintrust.options.read_lag = 0.0
    pass_time(
        world, (CARRY if {"roster changes", "people leave rows"} & {*faults} else REST) + LITTLE
    )
    for tag in (TAG, "other") if "two tags" in faults else (TAG,):
        quiet = start(world.environ, {"tag": tag}, ahead=ahead(world)).join()
        verdict.runs += 1
        if (
            quiet.error
            or not quiet.result
            or quiet.result["status"] not in {"assigned", "nothing_to_assign"}
        ):
            verdict.lies.append(f"the quiet run ended in {quiet.error or quiet.result}")
    _judge(world, verdict)
    return verdict


def ahead(world: World) -> timedelta:
    """How far the scenario's time is ahead of the real one."""
    return world.braintrust.store.clock() - datetime.now(UTC)


def pass_time(world: World, time: timedelta) -> None:
    """Let so much time pass at once, for the server and for the runs that begin from now on."""
    world.braintrust.store.clock.advance(time.total_seconds())  # type: ignore[attr-defined]


def _arrive(world: World, chance: random.Random, verdict: Judgement) -> None:
    """New rows, some of them with a person's own assignment."""
    world.add_rows(chance.randint(3, 14))
    if "two tags" in verdict.faults:
        world.add_rows(chance.randint(1, 5), tags=[TAG, "other"])
    world.add_rows(1, metadata={"~__bt_assignments": [chance.choice(world.users)], "model": "m"})
    if "odd ids" in verdict.faults:
        moment = world.braintrust.store.clock() - timedelta(minutes=1)
        odd = f"{chance.choice(ODD_IDS)}{chance.random()}"
        world.braintrust.store.add_row(odd, created=moment, tags=[TAG])


def _choose_dialect(world: World, chance: random.Random, faults: tuple[str, ...]) -> None:
    """One a server: what it answered once, it answers again."""
    if "another dialect" in faults:
        for option, value in chance.choice(DIALECTS).items():
            setattr(world.braintrust.options, option, value)


def _arm(world: World, aws: RefusingAws, chance: random.Random, faults: tuple[str, ...]) -> None:
    world.braintrust.faults.clear()
    aws.reset()
    for name in faults:
        for how in API_FAULTS.get(name, []):
            world.braintrust.faults.add(**how, seed=chance.randint(0, 10**6))
        if name in S3_FAULTS:
            kind, applied = S3_FAULTS[name]
            aws.refuse("PUT", f"/{kind}", times=1, applied=applied)
    if "reads lag" in faults:
        world.braintrust.options.read_lag = chance.choice([0.2, 1.0, 30.0, 840.0])
    if "roster changes" in faults:
        world.set_reviewers(chance.sample(world.users, chance.randint(1, len(world.users))))


def _start(
    world: World, chance: random.Random, faults: tuple[str, ...], verdict: Judgement
) -> Running:
    death = None
    if "killed" in faults:
        death = Death(chance.randint(1, 24), answered=chance.random() < 0.5)
        verdict.kills += 1
    verdict.runs += 1
    event: dict[str, Any] = {"tag": chance.choice([TAG, "other"]) if "two tags" in faults else TAG}
    earlier = sorted(plan["run_id"] for plan in world.records("plans") if plan["assignments"])
    if "undo" in faults and earlier and chance.random() < 0.5:
        event = {"undo": chance.choice(earlier)}
    if "take back" in faults and chance.random() < 0.5:
        event |= {"take_back": _meant(world, chance)}
        event.pop("undo", None)
    short = "time runs out" in faults or "insert answer lost for good" in faults
    seconds = chance.choice([1.5, 2.0, 3.0]) if short else 20
    late = chance.randint(0, 10**6) if "attempts that connect late" in faults else None
    return start(world.environ, event, death, seconds, ahead(world), late)


def _meant(world: World, chance: random.Random) -> dict[str, Any]:
    """Of what a take-back is: somebody's rows, what has lain for a day, or both."""
    person, days = {"reviewer": chance.choice(world.users)}, {"days": 1}
    return chance.choice([person, days, person | days])


def _review(world: World, chance: random.Random, verdict: Judgement) -> None:
    """Some of the rows that somebody has are finished."""
    for row, who in sorted(world.assignments().items()):
        if row not in verdict.finished and chance.random() < 0.3:
            status = {"__bt_default_review_list": {"status": "APPROVED"}}
            event = {"id": row, "_is_merge": True, "metadata": {REVIEW_LISTS: status}}
            world.braintrust.store.insert([event])
            verdict.finished[row] = who


def _leave(world: World, chance: random.Random, verdict: Judgement) -> None:
    """Some people take themselves off rows that are not finished."""
    for row in sorted(world.assignments().keys() - verdict.finished.keys()):
        if chance.random() < 0.2:
            event = {"id": row, "_is_merge": True, "metadata": {ASSIGNMENTS: []}}
            world.braintrust.store.insert([event | {"_merge_paths": [["metadata", ASSIGNMENTS]]}])
            verdict.left.add(row)


def _check_refusals(
    world: World, result: dict[str, Any], before: dict[str, str], verdict: Judgement
) -> None:
    """A row that one lone run reports as refused or not attempted was not written by it."""
    if "assignments" not in result["audit"]:
        return
    now = {row["id"]: row["_xact_id"] for row in world.braintrust.store.rows()}
    for line in world.lines(result):
        if (
            line["status"] in {"failed", "not_attempted"}
            and now[line["row_id"]] != before[line["row_id"]]
        ):
            verdict.lies.append(f"{line} but it was written")


def _judge(world: World, verdict: Judgement) -> None:
    store, plans = world.braintrust.store, [*chain(world)]
    now = world.assignments()
    needy = {row["id"] for row in store.rows() if row["tags"]} - verdict.finished.keys()
    by_hand = {row["id"] for row in store.rows() if store.assignment_history(row["id"])[0]}
    people = 2 if "two people a row" in verdict.faults else 1
    barring = {"roster changes", "take back", "people leave rows"}
    fewest = 1 if barring & {*verdict.faults} else people
    verdict.lost = sorted(
        needy
        - {
            row
            for row, who in now.items()
            if (1 if row in by_hand else fewest) <= len(who) <= people
        }
    )
    freed = {item["row_id"] for plan in plans for item in plan["carried"] if item["freed"]}
    freed |= {item["row_id"] for plan in plans for item in plan.get("freed", ())}
    for row, history in store.contested().items():
        if row not in freed | verdict.left or any(
            one and two for one, two in itertools.pairwise(history)
        ):
            verdict.contested[row] = history
    planned = {each for plan in plans for each in _people(plan["assignments"]).items()}
    for row in needy | verdict.finished.keys():
        for who in store.assignment_history(row):
            if who and row not in by_hand and (row, who) not in planned:
                verdict.lies.append(f"{row} had {who} but stands so in no committed plan")
    for row, who in verdict.finished.items():
        kept = {who} if row not in freed else {who, ()}  # finished between an undo's read and write
        lists = (store.row(row) or {"metadata": {}})["metadata"][REVIEW_LISTS]
        if (
            lists["__bt_default_review_list"]["status"] != "APPROVED"
            or now.get(row, ()) not in kept
        ):
            verdict.lies.append(f"{row} was finished by {who} and is {now.get(row)} {lists}")
    _check_plans(world, plans, verdict)
    _check_lines(world, verdict)
    dealt_anew = {
        "take back",
        "roster changes",
        "two tags",
        "undo",
        "people leave rows",
        "time passes",
    }
    if not dealt_anew & {*verdict.faults}:
        counts = Counter(user for row, who in now.items() if row not in by_hand for user in who)
        totals = [counts[user] for user in world.users]
        if max(totals) - min(totals) > people:  # give or take one where a row goes to two
            verdict.uneven = f"{totals}"


def _check_plans(world: World, plans: list[dict[str, Any]], verdict: Judgement) -> None:
    """What is confirmed is not planned again within two hours, unless it was taken back; what rests not within 45 minutes."""
    records = {
        _run_of(key): {
            line["row_id"]: line["status"] for line in map(json.loads, text.splitlines())
        }
        for key, text in world.objects("assignments/").items()
    }
    ids = {_run_of(key): json.loads(text) for key, text in world.objects("to_assign_ids/").items()}
    last: dict[str, tuple[datetime, str]] = {}
    passed: set[tuple[str, str]] = set()
    for plan in reversed(plans):
        at = datetime.fromisoformat(plan["created_at"])
        for row in _people(plan["assignments"]):
            time, run_id = last.get(row, (at - CARRY - LITTLE, ""))
            record = records.get(run_id, {}).get(row, "")
            confirmed = record == "assigned" or row in ids.get(run_id, ())
            sure = record in {"failed", "not_attempted"}
            if at - time <= (CARRY if confirmed else timedelta(-1) if sure else REST):
                verdict.lies.append(
                    f"{row} of {run_id} ({record}) was planned again after {at - time}"
                )
            last[row] = at, plan["run_id"]
        before, passed = passed, {(item["row_id"], item["reviewer_id"]) for item in plan["passed"]}
        verdict.lies += _given_back(plan, before, passed)
        for item in plan.get("freed", ()) if "takes_back" in plan else ():
            time, run_id = last.get(item["row_id"], (at - CARRY - LITTLE, ""))
            if at - time <= CARRY:
                verdict.lies.append(f"{item} of {run_id} is taken back after {at - time}")
            last[item["row_id"]] = at - CARRY - LITTLE, ""  # it is dealt at the next run
        for item in plan.get("freed", ()) if "undoes" in plan else ():
            planner = last[item["row_id"]][1]
            if planner not in {"", plan["undoes"]}:
                verdict.lies.append(f"an undo of {plan['undoes']} takes off {item} of {planner}")
        for item in plan["carried"]:
            if item["freed"] and item["planned_at"] == plan["created_at"]:
                last[item["row_id"]] = at, ""  # it rests, whatever was confirmed


def _given_back(
    plan: dict[str, Any], before: set[tuple[str, str]], after: set[tuple[str, str]]
) -> list[str]:
    """Rows that a plan deals to whoever had passed them `before`, though not everybody on the list has by `after` it."""
    listed = {turn["reviewer_id"] for turn in plan["reviewers"] if "reviewer_id" in turn}
    new = [*_people(plan["assignments"]).items()][plan["repeated"] :]
    return [
        f"{row} goes back to {who}, who has passed it"
        for row, people in new
        for who in people
        if (row, who) in before and any((row, other) not in after for other in listed)
    ]


def _check_lines(world: World, verdict: Judgement) -> None:
    """What the assignments lines state against the rows' histories and against the other objects of the run."""
    store = world.braintrust.store
    ids = {_run_of(key): json.loads(text) for key, text in world.objects("to_assign_ids/").items()}
    records = {record["run_id"]: record for record in world.records("runs")}
    for key, text in world.objects("assignments/").items():
        lines = [json.loads(line) for line in text.splitlines()]
        became = {line["row_id"]: line["status"] for line in lines}
        verdict.lies += [
            f"{line} is one of two" for line in lines if line["status"] != became[line["row_id"]]
        ]
        assigned = [row for row, status in became.items() if status == "assigned"]
        for row, who in _people(lines).items():
            if became[row] == "assigned" and who not in store.assignment_history(row):
                verdict.lies.append(f"{row} of {who} is assigned but never was")
        run_id = _run_of(key)
        if ids.get(run_id, assigned) != assigned:
            verdict.lies.append(f"to_assign_ids of {run_id} differ from its assignments")
        record = records.get(run_id)
        statuses = Counter(became.values())
        done = ("assigned", "undone", "taken_back")
        if record and (*(record.get(word, 0) for word in done), record["failed"]) != (
            *(statuses[word] for word in done),
            statuses["failed"] + statuses["unknown"],
        ):
            verdict.lies.append(f"{record} differs from its lines {statuses}")
        if record and {"undoes", "takes_back"} & record.keys() and run_id in ids:
            verdict.lies.append(f"{record} assigns nothing and left to_assign_ids")
    for record in records.values():
        if "takes_back" in record:
            continue
        undo = "undoes" in record
        parts = ("undone", "left_alone") if undo else ("assigned",)
        total = record["given" if undo else "unassigned"]
        if total != sum(record[part] for part in (*parts, "failed", "deferred")):
            verdict.lies.append(f"{record} does not add up")


def _people(lines: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Who each row is given to, by entries of a row and a person each."""
    people: dict[str, tuple[str, ...]] = {}
    for line in lines:
        people[line["row_id"]] = (*people.get(line["row_id"], ()), line["reviewer_id"])
    return people


def _run_of(key: str) -> str:
    return re.sub(r"^.*/|\.jsonl?$", "", key)


def main() -> None:
    """Play many scenarios and print what every fault did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    table: dict[str, Counter[str]] = {name: Counter() for name in ("(no fault)", *EVERY_FAULT)}
    began = told = time.monotonic()
    broken = []
    print(f"{arguments.scenarios} scenarios; how far it is, every 10 seconds:", file=sys.stderr)
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "soak",
        "AWS_SECRET_ACCESS_KEY": "soak",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with LocalBraintrust() as braintrust, RefusingAws() as aws:
        aws_client("s3", aws.url).create_bucket(Bucket=BUCKET)
        aws_client("secretsmanager", aws.url).create_secret(
            Name=SECRET, SecretString=braintrust.api_key
        )
        for seed in range(arguments.first, arguments.first + arguments.scenarios):
            verdict = scenario(seed, braintrust, aws)
            done = seed - arguments.first + 1
            if time.monotonic() - told > EVERY:
                told = time.monotonic()
                left = (told - began) / done * (arguments.scenarios - done)
                print(
                    f"{done} of {arguments.scenarios} ({100 * done // arguments.scenarios} %), about "
                    f"{left / 60:.0f} minutes left, {len(broken)} broke a promise",
                    file=sys.stderr,
                )
            broken += [verdict] if verdict.broken else []
            for name in verdict.faults or ("(no fault)",):
                table[name].update(
                    scenarios=1,
                    runs=verdict.runs,
                    lost=len(verdict.lost),
                    contested=len(verdict.contested),
                    lies=len(verdict.lies),
                    uneven=bool(verdict.uneven),
                )
            if verdict.broken:
                print(verdict, flush=True)
    print(
        f"{'fault':<40}{'scenarios':>10}{'runs':>8}{'rows lost':>11}{'two reviewers':>15}{'lies':>6}{'uneven':>8}"
    )
    for name, row in table.items():
        numbers = [
            row[column] for column in ("scenarios", "runs", "lost", "contested", "lies", "uneven")
        ]
        print(
            f"{name:<40}"
            + "".join(f"{n:>{w}}" for n, w in zip(numbers, (10, 8, 11, 15, 6, 8), strict=True))
        )
    print(
        f"{arguments.scenarios} scenarios in {time.monotonic() - began:.0f} s, {len(broken)} broken a promise"
    )
    raise SystemExit(bool(broken))


if __name__ == "__main__":
    main()
