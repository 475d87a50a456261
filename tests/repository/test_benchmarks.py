"""The benchmarks run, and both contenders do the whole job; how fast is for `make bench` to say."""

import pytest

from benchmarks.idle import idle_requests
from benchmarks.servers import NONE, contend


@pytest.mark.parametrize(("contender", "queries", "look_ups"), [("script", 2, 0), ("ours", 3, 2)])
def test_a_contender_assigns_each_row_once_by_the_fewest_requests(contender, queries, look_ups):
    measured = contend(contender, 1000, NONE)

    assert measured.assigned == 1000
    assert measured.requests == {"query": queries, "insert": 1} | (
        {"user": look_ups} if look_ups else {}
    )
    assert measured.peak > measured.growth > 0 < measured.cpu


def test_an_idle_run_asks_one_query_and_writes_its_record():
    found = idle_requests()
    idle = found["an idle run"]

    assert idle.count("POST /btql") == 1
    assert [request.split("/")[0] for request in idle if request.startswith("PUT")] == ["PUT "]
    assert len(idle) < len(found["a run that hands out 100 rows"])
