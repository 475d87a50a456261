"""Whose day it is: days of the week and absences, by the clock of the person's own zone."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from lib.errors import ConfigurationError
from lib.handout import make_plan
from lib.past import Past
from lib.plan import Plan
from lib.roster import Entry, Reviewer, Roster, parse_reviewers
from lib.rows import Fetched, Row, iso
from lib.terms import WEEK
from lib.zones import names, zone
from tests.template.cloudformation import ROOT


def days(value: object) -> str:
    """The days that a value means, in the order of the week."""
    (entry,) = parse_reviewers([{"group": "a", "days": value}], "here")
    return ",".join(day for day in WEEK if day in entry.days)


def refusal(field: str, value: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        parse_reviewers([{"group": "a", field: value}], "here")
    return str(refused.value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("mon-fri", "mon,tue,wed,thu,fri"),
        ("mon,wed,fri", "mon,wed,fri"),
        (" Mon - FRI ,sun", "mon,tue,wed,thu,fri,sun"),
        (["mon-tue", "fri,sat"], "mon,tue,fri,sat"),
        ("fri-mon", "mon,fri,sat,sun"),
        ("sun-mon", "mon,sun"),
        ("tue-tue", "tue"),
        ("mon-sun", ",".join(WEEK)),
        ("sat\u00a0", "sat"),
        ("mon,mon", "mon"),
    ],
)
def test_days_are_spans_and_single_ones_and_run_over_the_weeks_end(
    value: object, meant: str
) -> None:
    assert days(value) == meant


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", ",", "mon,", "mon,,tue", "-", "mon-", "mon-tue-wed", "monday", "mon tue", "1"),
        *([], [""], ["mon", ""], [["mon"]], [1], 1, None, True, {}),
    ],
)
def test_days_that_are_none_are_refused(value: object) -> None:
    said = json.dumps({"group": "a", "days": value}, ensure_ascii=False)
    assert refusal("days", value) == (
        f'here: days in {said} must be days of the week like "mon-fri", "mon,wed,fri", or a list of such'
    )


@pytest.mark.parametrize(
    "value",
    [
        *("", "Europe", "europe/berlin", "Europe/Berlin ", "Europe/Atlantis", "../../etc/passwd"),
        *("posix/Europe/Berlin", "/usr/share/zoneinfo/UTC", "UTC\0", "x" * 5000, 1, None, ["UTC"]),
    ],
)
def test_a_time_zone_that_is_not_spelled_as_in_the_data_is_refused(value: object) -> None:
    end = "must be the name of an IANA time zone, spelled as there, such as Europe/Berlin"
    assert refusal("tz", value).endswith(end)


def test_every_zone_of_the_data_can_be_read() -> None:
    assert len(names()) > 400
    for name in names():
        assert datetime(2026, 11, 23, tzinfo=zone(name)).utcoffset() is not None


def test_time_zones_need_nothing_of_the_machine() -> None:
    code = "from lib.zones import zone; import datetime as d; print(d.datetime(2026,7,1,tzinfo=zone('Europe/Berlin')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONTZPATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2026-07-01 00:00:00+02:00\n"


def test_two_mentions_of_a_zone_are_the_same() -> None:
    listed = [{"group": "a", "tz": "Asia/Kathmandu"}, {"group": "b", "tz": "Asia/Kathmandu"}]
    first, second = parse_reviewers(listed, "here")
    assert first == Entry("group", "a", tz=second.tz)
    assert str(first.tz) == "Asia/Kathmandu"


def reviewer(name: str, **terms: object) -> Reviewer:
    """Somebody with these terms, as the list would have them."""
    (entry,) = parse_reviewers([{"group": name, **terms}], "here")
    return Reviewer(name, **entry.terms())


def there(people: list[Reviewer], moment: datetime, created_at: datetime | None = None) -> set[str]:
    """Who gets one of as many rows as there are people, in a run whose window ends then."""
    window = {"from": iso(moment - timedelta(days=7)), "to": iso(moment)}
    draft = Plan("project", "tag", window, created_at or moment)
    rows = [Row(number, f"row-{number}") for number in range(2 * len(people))]
    done = make_plan(draft, Fetched(rows), Roster(tuple(people)), Past())
    return {who for _, them in done.assignments for who in them}


def local_days(person: Reviewer, first: datetime) -> dict[date, int]:
    """Hourly runs of a week: on how many of each local day's runs they were there."""
    others = reviewer("others")
    hours: dict[date, int] = {}
    for hour in range(7 * 24):
        moment = first + timedelta(hours=hour)
        if person.id in there([person, others], moment):
            day = moment.astimezone(person.tz).date()
            hours[day] = hours.get(day, 0) + 1
    return hours


@pytest.mark.parametrize(
    ("tz", "sunday", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Pacific/Auckland", date(2026, 4, 5), 25),
        ("Pacific/Auckland", date(2026, 9, 27), 23),
        ("America/Los_Angeles", date(2026, 3, 8), 23),
        ("America/Los_Angeles", date(2026, 11, 1), 25),
        ("Asia/Kathmandu", date(2026, 3, 29), 24),
        ("Pacific/Kiritimati", date(2026, 10, 25), 24),
    ],
)
def test_rows_come_on_whole_local_days_also_when_the_clock_changes(
    tz: str, sunday: date, hours: int
) -> None:
    """Runs from four days before that Sunday on; the person works from Friday to Sunday, and is away on Saturday."""
    off = [{"from": str(sunday - timedelta(days=1)), "until": str(sunday)}]
    person = reviewer("person", tz=tz, days="fri-sun", away=off)
    first = datetime(sunday.year, sunday.month, sunday.day, tzinfo=UTC) - timedelta(days=4)
    assert local_days(person, first) == {sunday - timedelta(days=2): 24, sunday: hours}


def test_nobody_gets_a_row_on_a_day_that_their_zone_never_had() -> None:
    """Samoa had no 30 December 2011, a Friday."""
    person = reviewer("person", tz="Pacific/Apia", days="fri")
    assert local_days(person, datetime(2011, 12, 26, tzinfo=UTC)) == {}


def test_what_waited_over_a_weekend_goes_to_whoevers_monday_begins_first() -> None:
    people = [
        reviewer("auckland", tz="Pacific/Auckland", days="mon-fri"),
        reviewer("los angeles", tz="America/Los_Angeles", days="mon-fri"),
    ]
    begins = datetime(
        2026, 11, 22, 11, tzinfo=UTC
    )  # Monday in Auckland, Sunday morning in Los Angeles
    assert there(people, begins - timedelta(milliseconds=1)) == set()
    assert there(people, begins) == {"auckland"}
    assert there(people, begins + timedelta(hours=21)) == {"auckland", "los angeles"}


def test_a_run_that_goes_on_past_midnight_has_one_date() -> None:
    person = reviewer("person", days="mon")
    last = datetime(2026, 11, 23, 23, 59, 59, tzinfo=UTC)
    assert there([person], last, created_at=last + timedelta(minutes=10)) == {"person"}
    assert there([person], last + timedelta(seconds=1)) == set()


def test_the_plan_says_whose_day_it_is_not() -> None:
    people = [
        reviewer("ana", days="mon-fri"),
        reviewer("bo", tz="Asia/Tokyo", days="mon-fri"),
        reviewer("cy", days="mon-fri", away=[{"from": "2026-11-20", "until": "2026-11-25"}]),
    ]
    sunday = datetime(2026, 11, 22, 16, tzinfo=UTC)  # Monday in Tokyo
    draft = Plan("project", "tag", {}, sunday)
    row = Row(0, "row")
    done = make_plan(draft, Fetched([row]), Roster(tuple(people)), Past())
    assert [turn.to_json()["reason"] for turn in done.turns] == [
        "off on Sundays",
        "number 1 of 1 in turn: owed 0.00 rows",
        "away until 2026-11-25",
    ]
    assert done.assignments == [("row", ("bo",))]
