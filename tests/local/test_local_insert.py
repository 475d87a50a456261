"""What an insert makes of a row, over the wire."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.braintrust.merge import merge_event

ASSIGNMENTS = "~__bt_assignments"


def test_an_insert_answers_one_row_id_per_event_in_order(client, braintrust):
    answer = client.insert({"id": "b"}, {"input": 1}, {"id": "a"}).json()
    assert answer["row_ids"][::2] == ["b", "a"]
    assert braintrust.store.row(answer["row_ids"][1])["input"] == 1
    uuid.UUID(answer["row_ids"][1])


def test_a_new_row_has_every_field(client, braintrust):
    client.insert(
        {"id": "a", "created": "2026-05-01T10:00:00+02:00", "span_id": "s", "tags": ["x"]}
    )
    row = braintrust.store.row("a")
    assert row.pop("_xact_id").isdecimal()
    assert row.pop("_pagination_key").startswith("p")
    assert row == {
        "id": "a",
        "span_id": "s",
        "root_span_id": "s",
        "span_parents": None,
        "is_root": True,
        "created": "2026-05-01T08:00:00.000Z",
        "tags": ["x"],
        "metadata": None,
        "span_attributes": None,
        "scores": None,
        "input": None,
        "output": None,
        "expected": None,
        "error": None,
        "metrics": None,
        "context": None,
        "origin": None,
        "project_id": braintrust.project_id,
        "org_id": braintrust.store.org_id,
        "log_id": "g",
    }


def test_without_merge_the_whole_row_is_replaced_but_keeps_its_birth(client, braintrust):
    row_id = braintrust.store.add_row(tags=["old"], metadata={"kept": False}, input="old")
    before = braintrust.store.row(row_id)
    client.insert({"id": row_id, "input": "new", "span_id": before["span_id"]})
    after = braintrust.store.row(row_id)
    assert int(after["_xact_id"]) > int(before["_xact_id"])
    assert after == {
        **before,
        "tags": None,
        "metadata": None,
        "input": "new",
        "_xact_id": after["_xact_id"],
    }


def test_a_merge_recurses_into_objects_and_replaces_everything_else(client, braintrust):
    row_id = braintrust.store.add_row(
        metadata={"deep": {"a": 1, "b": [1, 2], "c": {"x": 1}}, "other": True},
        input={"q": 1},
        output="old",
    )
    before = braintrust.store.row(row_id)
    client.merge(
        row_id,
        metadata={"deep": {"b": [3], "c": None, "d": 4}},
        output=["new"],
        input={"q": {"r": 2}},
    )
    after = braintrust.store.row(row_id)
    assert after == {
        **before,
        "metadata": {"deep": {"a": 1, "b": [3], "c": None, "d": 4}, "other": True},
        "input": {"q": {"r": 2}},
        "output": ["new"],
        "_xact_id": after["_xact_id"],
    }


def test_tags_are_merged_as_a_set(client, braintrust):
    row_id = braintrust.store.add_row(tags=["b", "a"])
    client.merge(row_id, tags=["c", "a", "c"])
    assert braintrust.store.row(row_id)["tags"] == ["b", "a", "c"]


def test_tags_named_in_merge_paths_are_replaced(client, braintrust):
    row_id = braintrust.store.add_row(tags=["b", "a"])
    client.merge(row_id, tags=["c"], _merge_paths=[["tags"]])
    assert braintrust.store.row(row_id)["tags"] == ["c"]


def test_a_merge_path_replaces_its_value_whole_and_nothing_beside_it(client, braintrust):
    row_id = braintrust.store.add_row(metadata={"a": {"x": 1}, "b": {"x": 1}})
    client.merge(row_id, metadata={"a": {"y": 2}, "b": {"y": 2}}, _merge_paths=[["metadata", "a"]])
    assert braintrust.store.row(row_id)["metadata"] == {"a": {"y": 2}, "b": {"x": 1, "y": 2}}


def test_the_documented_assignment_keeps_other_metadata_and_other_review_lists(client, braintrust):
    lists = "~__bt_review_lists"
    row_id = braintrust.store.add_row(
        metadata={"customer": 7, lists: {"other": {"status": "APPROVED"}}}
    )
    pending = {"__bt_default_review_list": {"status": "PENDING"}}
    client.merge(
        row_id,
        metadata={ASSIGNMENTS: ["ana"], lists: pending},
        _merge_paths=[["metadata", ASSIGNMENTS]],
    )
    assert braintrust.store.row(row_id)["metadata"] == {
        "customer": 7,
        ASSIGNMENTS: ["ana"],
        lists: {"other": {"status": "APPROVED"}, **pending},
    }


def test_a_merge_into_an_unknown_id_creates_a_stub(client, braintrust):
    answer = client.merge("ghost", metadata={ASSIGNMENTS: ["ana"]})
    row = braintrust.store.row("ghost")
    assert (answer.status_code, answer.json()) == (200, {"row_ids": ["ghost"]})
    assert (row["tags"], row["input"], row["metadata"]) == (None, None, {ASSIGNMENTS: ["ana"]})


def test_a_merge_goes_by_id_and_not_by_span_id(client, braintrust):
    row_id = braintrust.store.add_row()
    span_id = braintrust.store.row(row_id)["span_id"]
    client.merge(span_id, metadata={"a": 1})
    assert braintrust.store.row(row_id)["metadata"] is None


def test_created_and_pagination_key_survive_a_merge(client, braintrust):
    row_id = braintrust.store.add_row()
    before = braintrust.store.row(row_id)
    client.merge(row_id, created="2001-01-01T00:00:00Z", output=1)
    after = braintrust.store.row(row_id)
    assert after == {**before, "output": 1, "_xact_id": after["_xact_id"]}


def test_array_delete_takes_values_out(client, braintrust):
    row_id = braintrust.store.add_row(metadata={ASSIGNMENTS: ["ana", "ben", "ana"], "x": 1})
    client.merge(row_id, _array_delete=[{"path": ["metadata", ASSIGNMENTS], "delete": ["ana"]}])
    assert braintrust.store.row(row_id)["metadata"] == {ASSIGNMENTS: ["ben"], "x": 1}


def test_object_delete_deletes_and_a_merge_after_it_is_a_stub(client, braintrust):
    row_id = braintrust.store.add_row(tags=["x"], input="question")
    client.insert({"id": row_id, "_object_delete": True})
    assert braintrust.store.row(row_id) is None
    assert client.filtered("id is not null") == []
    client.merge(row_id, metadata={"a": 1})
    row = braintrust.store.row(row_id)
    assert (row["tags"], row["input"], row["metadata"]) == (None, None, {"a": 1})
    assert client.filtered("id is not null") == [row_id]


def test_events_of_one_request_apply_in_order_under_one_transaction(client, braintrust):
    client.insert({"id": "a", "input": 1}, {"id": "a", "_is_merge": True, "output": 2}, {"id": "b"})
    rows = {row["id"]: row for row in braintrust.store.rows()}
    assert (rows["a"]["input"], rows["a"]["output"]) == (1, 2)
    assert rows["a"]["_xact_id"] == rows["b"]["_xact_id"]


def test_every_version_of_a_row_is_kept_with_its_reviewers(client, braintrust):
    row_id = braintrust.store.add_row()
    for reviewer in ("ana", "ana", "ben"):
        client.merge(row_id, metadata={ASSIGNMENTS: [reviewer]})
    history = braintrust.store.history(row_id)
    assert [version.reviewers for version in history] == [(), ("ana",), ("ana",), ("ben",)]
    assert [version.at for version in history] == sorted(version.at for version in history)
    assert braintrust.store.assignment_history(row_id) == [(), ("ana",), ("ben",)]
    assert braintrust.store.contested() == {row_id: [(), ("ana",), ("ben",)]}
    assert braintrust.store.assignments() == {row_id: ("ben",)}


def test_what_a_test_reads_is_a_copy(braintrust):
    row_id = braintrust.store.add_row(metadata={"a": [1]})
    braintrust.store.row(row_id)["metadata"]["a"].append(2)
    braintrust.store.rows()[0]["metadata"]["a"].append(2)
    assert braintrust.store.row(row_id)["metadata"] == {"a": [1]}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("text", "Expected object, received str"),
        (["list"], "Expected object, received list"),
        ({"id": 5}, "id: expected non-empty string"),
        ({"id": ""}, "id: expected non-empty string"),
        ({"metadata": ["list"]}, "metadata: expected object"),
        ({"metadata": "text"}, "metadata: expected object"),
        ({"tags": "text"}, "tags: expected array of strings"),
        ({"tags": [1]}, "tags: expected array of strings"),
        ({"scores": {"a": 2}}, "scores: expected object of numbers from 0 to 1"),
        ({"created": "yesterday"}, "created: expected ISO 8601 timestamp"),
        ({"_is_merge": "true"}, "_is_merge: expected boolean"),
        (
            {"_merge_paths": ["metadata"]},
            "_merge_paths: expected array of non-empty arrays of strings",
        ),
        ({"_merge_path": [["metadata"]]}, "Unrecognized key in event: '_merge_path'"),
        ({"reviewers": []}, "Unrecognized key in event: 'reviewers'"),
    ],
)
def test_a_wrong_event_is_refused_and_nothing_of_the_request_is_applied(
    client, braintrust, event, message
):
    answer = client.insert({"id": "good"}, event)
    assert (answer.status_code, answer.json()["Message"]) == (400, message)
    assert braintrust.store.rows() == []


@pytest.mark.parametrize(
    "body", ["[]", "null", "{}", '{"events": {}}', '{"events": [], "more": 1}', "not json", ""]
)
def test_a_body_that_is_no_object_with_events_is_refused(client, braintrust, body):
    answer = client.request("POST", f"/v1/project_logs/{braintrust.project_id}/insert", data=body)
    assert answer.status_code == 400


def test_an_insert_above_six_megabytes_is_refused_by_the_gateway(client, braintrust):
    answer = client.insert({"id": "big", "input": "x" * 6_000_000})
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})
    assert braintrust.store.rows() == []


def test_feedback_reaches_scores_and_tags_but_not_metadata(client, braintrust):
    row_id = braintrust.store.add_row(metadata={"a": 1}, tags=["x"])
    item = {
        "id": row_id,
        "scores": {"good": 1},
        "tags": ["y"],
        "metadata": {ASSIGNMENTS: ["ana"]},
        "comment": "Fine",
    }
    answer = client.request(
        "POST", f"/v1/project_logs/{braintrust.project_id}/feedback", json={"feedback": [item]}
    )
    row = braintrust.store.row(row_id)
    assert answer.json() == {"status": "success"}
    assert (row["scores"], row["tags"], row["metadata"]) == ({"good": 1}, ["x", "y"], {"a": 1})
    assert braintrust.store.comments == [{"row_id": row_id, "comment": "Fine"}]


KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.sampled_from([None, True, 0, 1, "x", ["x"], []])
OBJECTS = st.dictionaries(KEYS, SCALARS | st.dictionaries(KEYS, SCALARS))
VALUES = SCALARS | OBJECTS
TAGS = st.none() | st.lists(st.sampled_from(["x", "y", "z"]), max_size=3)
PATHS = st.lists(
    st.lists(KEYS, min_size=1, max_size=2).map(lambda path: ["metadata", *path]), max_size=2
)
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.dictionaries(KEYS, VALUES),
        "tags": TAGS,
        "output": VALUES,
        "_merge_paths": PATHS,
    },
)


@given(row=EVENTS, event=EVENTS)
def test_merging_the_same_event_twice_equals_once_and_changes_no_input(row, event):
    before = json.dumps([row, event])
    once = merge_event(row, event)
    assert merge_event(once, event) == once
    assert json.dumps([row, event]) == before
