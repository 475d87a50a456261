"""The benchmarks run, and both contenders do the whole job; how fast is for `make bench` to say."""

import pytest

from benchmarks.idle import idle_requests
from benchmarks.servers import NONE, contend


@pytest.mark.parametrize(("contender", "look_ups"), [("script", 0), ("ours", 2)])
def test_a_contender_assigns_each_row_once_by_the_fewest_requests(contender, look_ups):
    measured = contend(contender, 1000, NONE)

    assert measured.assigned == 1000
    assert measured.requests == {"query": 2, "insert": 1} | ({"user": look_ups} if look_ups else {})
    assert measured.peak > measured.growth > 0 < measured.cpu


def test_a_warm_idle_run_asks_less_than_a_new_container():
    found = idle_requests()
    new, warm = found["an idle run, new container"], found["an idle run, warm container"]

    assert {request for request in new if request not in warm} == {
        "SSM.GetParameter",
        "secretsmanager.GetSecretValue",
        "GET /v1/user",
    }
    assert warm.count("POST /btql") == 2
