"""Keys, users, groups and projects; the official client; the control surface and the command line."""

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import braintrust_api
import pytest
import requests

from local.braintrust.remote import RemoteBraintrust
from local.braintrust.server import LocalBraintrust

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def listed(client, what, **params):
    return [
        found["id"]
        for found in client.request("GET", f"/v1/{what}", params=params).json()["objects"]
    ]


def test_a_wrong_or_missing_key_is_refused_in_text_or_json(client, braintrust):
    client.session.headers["authorization"] = "Bearer sk-wrong"
    answers = [client.query(client.ast()), client.insert({}), client.request("GET", "/v1/user")]
    assert [(a.status_code, a.text) for a in answers] == [
        (401, "Unauthorized: invalid API key")
    ] * 3
    del client.session.headers["authorization"]
    braintrust.options.unauthorized_style = "json"
    assert client.query(client.ast()).json()["Code"] == "UnauthorizedError"


def test_impersonation_needs_a_known_user_and_is_recorded(client, braintrust):
    user = braintrust.store.add_user("ana@example.com")
    statuses = {}
    for who in (user, "ana@example.com", "nobody@example.com"):
        client.session.headers["x-bt-impersonate-user"] = who
        statuses[who] = client.query(client.ast()).status_code
    assert statuses == {user: 200, "ana@example.com": 200, "nobody@example.com": 403}
    assert [record.impersonated for record in braintrust.requests] == list(statuses)
    braintrust.options.may_impersonate = False
    client.session.headers["x-bt-impersonate-user"] = user
    assert client.query(client.ast()).status_code == 403


def test_a_user_has_the_documented_fields(client, braintrust):
    braintrust.store.clock.set(NOW)
    user = braintrust.store.add_user("ana@example.com", given_name="Ana")
    assert client.request("GET", "/v1/user").json() == {
        "objects": [
            {
                "id": user,
                "given_name": "Ana",
                "family_name": None,
                "email": "ana@example.com",
                "avatar_url": None,
                "created": "2026-06-15T12:00:00.000Z",
            }
        ]
    }


def test_users_are_found_by_ids_and_by_addresses(client, braintrust):
    ana, ben, eve = [
        braintrust.store.add_user(f"{name}@example.com") for name in ("Ana", "ben", "eve")
    ]
    braintrust.store.add_user()
    assert listed(client, "user", ids=[ana, eve, "unknown"]) == [ana, eve]
    assert listed(client, "user", ids="unknown") == []
    assert listed(client, "user", email=["ben@example.com", "eve@example.com"]) == [ben, eve]
    assert listed(client, "user", email="ana@example.com") == []
    braintrust.options.emails_mind_case = False
    assert listed(client, "user", email="ana@example.com") == [ana]


def test_users_come_in_pages_until_one_is_empty(client, braintrust):
    ids = [braintrust.store.add_user() for _ in range(5)]
    pages = [listed(client, "user", limit=2)]
    while pages[-1]:
        pages.append(listed(client, "user", limit=2, starting_after=pages[-1][-1]))
    assert pages == [ids[:2], ids[2:4], ids[4:], []]
    braintrust.options.objects_per_page = 3
    assert listed(client, "user") == ids[:3]


def test_wrong_parameters_of_a_list_are_refused(client, braintrust):
    wrong = [{"limit": "many"}, {"starting_after": "unknown"}, {"e-mail": "a@example.com"}]
    assert [client.request("GET", "/v1/user", params=params).status_code for params in wrong] == [
        400
    ] * 3
    braintrust.options.refuse_odd_user_ids = True
    assert client.request("GET", "/v1/user", params={"ids": "odd"}).status_code == 400


def test_a_long_address_is_refused_by_the_gateway(client):
    answer = client.request(
        "GET", "/v1/user", params={"ids": [str(uuid.uuid4()) for _ in range(200)]}
    )
    assert (answer.status_code, answer.text) == (414, "URI Too Long")


def test_groups_hold_users_and_groups_and_are_found_by_name(client, braintrust):
    inner = braintrust.store.add_group("inner", ["ana"])
    outer = braintrust.store.add_group("outer", None, [inner])
    found = client.request("GET", "/v1/group", params={"group_name": "outer"}).json()["objects"]
    assert [(g["id"], g["member_users"], g["member_groups"]) for g in found] == [
        (outer, None, [inner])
    ]
    assert listed(client, "group", group_name="nobody") == []
    assert listed(client, "group", ids=inner) == [inner]


def test_a_project_is_found_created_once_and_has_a_log_of_its_own(client, braintrust):
    assert listed(client, "project") == [braintrust.project_id]
    assert listed(client, "project", project_name="Second") == []
    first, again = [
        client.request("POST", "/v1/project", json={"name": "Second"}).json() for _ in range(2)
    ]
    assert first == again
    path = f"/v1/project_logs/{first['id']}/insert"
    assert client.request("POST", path, json={"events": [{"id": "a"}]}).json() == {"row_ids": ["a"]}
    assert braintrust.store.row("a") is None
    assert braintrust.store.row("a", first["id"])["project_id"] == first["id"]


def test_fetch_goes_through_the_versions_latest_first(client, braintrust):
    braintrust.store.add_row("a", created=NOW)
    braintrust.store.add_row("b", created=NOW)
    client.merge("a", output=1)
    path, seen, cursor = f"/v1/project_logs/{braintrust.project_id}/fetch", [], None
    while cursor or not seen:
        page = client.request("POST", path, json={"limit": 2, "cursor": cursor}).json()
        seen.append([(row["id"], row["output"]) for row in page["events"]])
        cursor = page["cursor"]
    assert seen == [[("a", 1), ("b", None)], [("a", None)], []]
    assert client.request("GET", path, params={"limit": 1}).json()["events"][0]["id"] == "a"


@pytest.fixture
def official(braintrust):
    with braintrust_api.Braintrust(
        api_key=braintrust.api_key, base_url=braintrust.url, max_retries=0
    ) as client:
        yield client


def test_the_official_client_inserts_fetches_and_gives_feedback(official, braintrust):
    logs, project = official.projects.logs, braintrust.project_id
    row_id = braintrust.store.add_row(metadata={"kept": 1})
    event = {
        "id": row_id,
        "metadata": {"~__bt_assignments": ["ana"]},
        "_is_merge": True,
        "_merge_paths": [["metadata", "~__bt_assignments"]],
    }
    assert logs.insert(project, events=[event]).row_ids == [row_id]
    assert (
        logs.feedback(project, feedback=[{"id": row_id, "scores": {"good": 1}}]).status == "success"
    )
    newest, *_ = logs.fetch(project, limit=10).events
    posted = logs.fetch_post(project, limit=10)
    assert (newest.id, newest.metadata, newest.scores) == (
        row_id,
        {"kept": 1, "~__bt_assignments": ["ana"]},
        {"good": 1},
    )
    assert [event.xact_id for event in posted.events] == sorted(
        (event.xact_id for event in posted.events), reverse=True
    )


def test_the_official_client_lists_users_groups_and_projects(official, braintrust):
    ids = [braintrust.store.add_user(f"user{number}@example.com") for number in range(3)]
    group = braintrust.store.add_group("reviewers", ids)
    assert [user.id for user in official.users.list(limit=2)] == ids
    assert [user.id for user in official.users.list(ids=ids[1:])] == ids[1:]
    assert [
        (found.id, found.member_users) for found in official.groups.list(group_name="reviewers")
    ] == [(group, ids)]
    assert [project.id for project in official.projects.list()] == [braintrust.project_id]
    assert official.projects.create(name="Second").name == "Second"


def test_the_official_client_understands_errors(official, braintrust):
    with pytest.raises(braintrust_api.PermissionDeniedError, match="ForbiddenError"):
        official.projects.logs.insert("other", events=[])
    braintrust.faults.add("insert", status=429, retry_after=1)
    with pytest.raises(braintrust_api.RateLimitError):
        official.projects.logs.insert(braintrust.project_id, events=[])


@pytest.fixture
def remote(braintrust):
    return RemoteBraintrust(braintrust.url)


def test_another_process_can_plant_and_read(remote, braintrust):
    assert remote.project_id == braintrust.project_id
    user = remote.post("users", {"email": "ana@example.com"})
    group = remote.post("groups", {"name": "reviewers", "member_users": [user]})
    rows = remote.post(
        "rows", [{"tags": ["x"], "created": "2026-01-01"}, {"row_id": "a/b?c", "metadata": "text"}]
    )
    remote.post("preload", {"count": 3, "tag": "y", "days": 2})
    assert [found["id"] for found in braintrust.store.groups] == [group]
    assert remote.get("rows", id="a/b?c") == braintrust.store.row("a/b?c")
    assert remote.get("rows") == braintrust.store.rows()
    assert (rows[1], len(remote.get("assignments"))) == ("a/b?c", 5)
    braintrust.store.insert(
        [{"id": rows[0], "_is_merge": True, "metadata": {"~__bt_assignments": [user]}}]
    )
    assert [version["reviewers"] for version in remote.get("history", id=rows[0])] == [[], [user]]
    assert remote.get("contested") == {}


def test_another_process_can_set_faults_options_and_the_clock(remote, client, braintrust):
    remote.post("faults", [{"kind": "query", "status": 503}, {"kind": "insert", "status": 500}])
    assert client.query(client.ast()).status_code == 503
    remote.delete("faults")
    assert client.insert({"id": "a"}).status_code == 200
    assert remote.post("options", {"read_lag": 5})["read_lag"] == 5
    assert braintrust.options.read_lag == 5
    assert (
        remote.post("clock", {"set": "2026-06-15T12:00:00Z", "advance": 60})
        == "2026-06-15T12:01:00.000Z"
    )
    assert braintrust.store.clock() == NOW + timedelta(minutes=1)
    remote.post("clock", {"run": True})
    assert abs(braintrust.store.clock() - datetime.now(UTC)) < timedelta(seconds=5)
    assert [record["kind"] for record in remote.get("requests")] == ["query", "insert"]
    assert remote.get("requests", kind="insert")[0]["events"] == 1
    assert remote.get("in_flight") == {"query": 1, "insert": 1}
    remote.delete("requests")
    remote.post("reset")
    assert (remote.get("requests"), remote.get("rows"), braintrust.options.read_lag) == (
        [],
        [],
        0.0,
    )


def test_another_process_is_told_what_was_wrong(remote):
    for route, arguments, message in (
        ("options", {"lag": 1}, "unknown options: lag"),
        ("faults", {"kind": "query", "code": 1}, "unexpected keyword argument 'code'"),
        ("clock", {"stop": True}, "expected set, advance or run"),
    ):
        with pytest.raises(ValueError, match=message):
            remote.post(route, arguments)


def test_the_command_line_serves_a_preloaded_project():
    command = [
        sys.executable,
        "-m",
        "local.braintrust",
        "--port",
        "0",
        "--rows",
        "50",
        "--user",
        "ana@example.com",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stdout.readline())
            remote = RemoteBraintrust(ready["url"])
            users = requests.get(
                f"{ready['url']}/v1/user",
                headers={"authorization": f"Bearer {ready['api_key']}"},
                timeout=5,
            ).json()["objects"]
            assert {user["email"]: user["id"] for user in users} == ready["users"]
            assert (remote.project_id, len(remote.get("rows"))) == (ready["project_id"], 50)
        finally:
            process.terminate()


def test_starting_and_stopping_take_no_time_even_with_a_request_hanging():
    started = datetime.now(UTC)
    for _ in range(5):
        with LocalBraintrust(clock=lambda: NOW) as braintrust:
            assert braintrust.store.clock() == NOW
            braintrust.faults.add("user", hang=True)
            with pytest.raises(requests.ReadTimeout):
                requests.get(f"{braintrust.url}/v1/user", timeout=(10, 0.02))
    assert datetime.now(UTC) - started < timedelta(seconds=5)
