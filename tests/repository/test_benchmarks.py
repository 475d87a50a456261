"""The benchmarks run, and both contenders do the whole job; how fast is for `make bench` to say."""

import os
from unittest.mock import patch

import pytest

from benchmarks.backlog import drain
from benchmarks.idle import idle_requests
from benchmarks.many_queues import hours
from benchmarks.plans import plans
from benchmarks.servers import NONE, contend
from benchmarks.steady import hours as steady_hours


@pytest.mark.parametrize(
    ("contender", "requests"),
    [
        ("script", {"query": 2, "insert": 1}),
        ("ours", {"query": 3, "insert": 1, "user": 2}),  # one query is the proof of section 8
    ],
)
def test_a_contender_assigns_each_row_once_by_the_fewest_requests(contender, requests):
    measured = contend(contender, 1000, NONE)

    assert measured.assigned == 1000
    assert measured.requests == requests
    assert measured.peak > measured.growth > 0 < measured.cpu


@pytest.mark.parametrize(
    ("contender", "queries"), [("script", [2, 2]), ("full", [3, 4]), ("short", [1, 2])]
)
def test_a_steady_hour_asks_for_what_there_is_to_do(contender, queries):
    """In a window of a thousand rows that somebody has, without new rows and with fifty."""
    ran = steady_hours(contender, 1000, NONE)

    assert {new: run.requests["query"] for new, run in ran.items()} == dict(
        zip((0, 50), queries, strict=True)
    )


@patch.dict(os.environ)  # it is put back: what the servers here forget, other tests need
def test_many_queues_ask_one_query_each_in_an_idle_hour_and_read_everything_one_at_a_time():
    first, busy, *idle = hours(4, 2, 80, 8, 0.0, 24)

    assert (first["full"], first["assigned"]) == (4, 4)
    assert (busy["full"] <= 1, busy["assigned"]) == (True, 8)
    assert {came["queries"] for came in idle if not came["full"]} == {4}
    assert {came["full"] for came in idle} == {0, 1}


def test_a_backlog_drains_from_the_oldest_by_as_many_runs_as_are_needed():
    runs = drain(450, 4, 50)

    assert [(run["read"], run["assigned"], run["waiting"]) for run in runs] == [
        ("full", 200, 250),
        ("short", 200, 50),
        ("short", 50, 0),
    ]
    assert [run["queries"] for run in runs] == [5, 4, 2]


def test_an_idle_run_asks_for_one_page_and_writes_its_record():
    found = idle_requests()
    idle = found["an idle run"]

    assert idle.count("POST /btql") == 1
    assert [request.split("/")[0] for request in idle if request.startswith("PUT")] == ["PUT "]
    assert len(idle) < len(found["a run that hands out 100 rows"])


def test_who_had_a_row_last_is_found_by_reading_each_plan_once():
    """The ledger, its plan, that run's two records, a listing, and the four plans before."""
    found = plans(hours=5, rows=2, latency=0)

    assert (found["found"], found["requests"]) == (1, 9)
