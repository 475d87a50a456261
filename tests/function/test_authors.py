"""AUTHOR: nobody reviews what they made, and it never does nothing in silence."""

import json
from typing import Any

import pytest

from lib.authors import names_of, value_at
from tests.history import HOUR, MINUTE, History
from tests.world import World

ANA = "7d7cbbc6-5d1b-4e5c-9a0e-2f1d3c4b5a69"
UNRECOGNISED = "AUTHOR: the key may not list users (403), so authors who are named by e-mail address are not recognised"


@pytest.mark.parametrize(
    ("path", "metadata", "value"),
    [
        ("author", {"author": "x"}, "x"),
        ("author", {}, None),
        ("user.email", {"user": {"email": "x", "name": "y"}}, "x"),
        ("user.email", {"user": "x"}, None),
        ("user.email", {"user": ["x"]}, None),
        ("user.email", {"user": {"name": "y"}}, None),
        ("user", {"user": {"email": "x"}}, {"email": "x"}),
        ("metadata.user.email", {"user": {"email": "x"}}, "x"),
        ("metadata.user", {"metadata": {"user": "x"}, "user": "y"}, "x"),
        ("metadata.user", {"metadata": 7, "user": "y"}, None),
        ("metadata", {"metadata": "x"}, "x"),
        ("metadata", {"user": "x"}, None),
        ("user.email", {"user.email": "x", "user": {"email": "y"}}, "x"),
        ("a.b.c", {"a.b": {"c": "x"}, "a": {"b.c": "y"}}, "x"),
        ("a.b.c", {"a.b": {"d": "x"}, "a": {"b.c": "y"}}, None),
        ("a.b.c", {"a": {"b.c": "x", "b": {"c": "y"}}}, "x"),
        ("user.email", {"User": {"email": "x"}}, None),
    ],
)
def test_the_longest_key_that_is_there_is_taken_down_to_the_end_of_the_path(
    path: str, metadata: dict[str, Any], value: object
) -> None:
    assert value_at(metadata, path) == value


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("ana@example.com", ("ana@example.com",)),
        ("  Ana@Example.COM ", ("ana@example.com",)),
        ("Ana Souza <ana@example.com>", ("ana@example.com",)),
        ("Souza, Ana <ana@example.com>; bo@example.com", ("ana@example.com", "bo@example.com")),
        (ANA.upper(), (ANA,)),
        (f"user {ANA}, of the team", (ANA,)),
        ("Ana Souza", ()),
        ("", ()),
        (["ana@example.com", 7, None, ANA], ("ana@example.com", ANA)),
        ([["ana@example.com"]], ()),
        ({"email": "ana@example.com"}, ()),
        (7, ()),
        (True, ()),
        (None, ()),
        ("[" * 5000, ()),
        ("\ud800 ana@example.com", ("ana@example.com",)),
    ],
)
def test_text_names_people_as_the_list_of_reviewers_does_and_nothing_in_it_is_an_error(
    value: object, names: tuple[str, ...]
) -> None:
    assert names_of(value) == names


def given_by(history: History, authors: dict[str, object]) -> dict[str, str]:
    """Who gets each row, where the metadata has these authors."""
    for row_id, author in authors.items():
        history.log(row_id, metadata={"user": {"email": author}})
    history.run()
    return dict(history.given())


def test_a_row_is_not_given_to_whoever_made_it_named_by_id_or_address(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    world.settings |= {"AUTHOR": "user.email"}
    world.set_reviewers([ana, "user1@example.com"])
    given = given_by(
        history,
        {
            "by address": "USER0@example.com",
            "by id": ana.upper(),
            "with a name": "Zero, User <user0@example.com>",
            "in a list": ["somebody@example.com", "user0@example.com"],
            "by the other": bo,
            "by its address": "user1@example.com",
        },
    )
    assert given == {
        **dict.fromkeys(("by address", "by id", "with a name", "in a list"), bo),
        **dict.fromkeys(("by the other", "by its address"), ana),
    }
    assert history.plan()["credit"] == {"": {ana: 0.0, bo: 0.0}}


@pytest.mark.parametrize("order", [1, -1])
def test_of_a_row_that_comes_twice_whom_its_newest_version_names_is_its_author(
    world: World, order: int
) -> None:
    row = {"id": "r", "created": "2026-11-20T07:00:00Z"}
    versions = [
        row | {"_xact_id": "10", "metadata": {"by": "new@example.com"}},
        row | {"_xact_id": "9", "metadata": {"by": "old@example.com"}},
    ]
    answer = {"data": versions[::order]}
    world.braintrust.faults.add("query", body=json.dumps(answer))
    assert world.fetch({"author": "by"}).authors == {"r": ("new@example.com",)}


def test_rows_whose_author_is_the_only_one_there_wait_say_so_and_use_up_no_cap(
    world: World, history: History
) -> None:
    (ana,) = world.add_users(1)
    for row_id in ("a", "b"):
        history.log(row_id, metadata={"by": ana})
    history.wait(MINUTE)
    history.log("c", "d", metadata={"by": "somebody@example.com"})
    done = history.run({"author": "by", "max_assignments": 1})
    assert history.given() == [("c", ana)]
    assert (done["status"], done["assigned"], done["deferred"]) == ("incomplete", 1, 3)
    assert done["warnings"] == [
        "2 rows wait: their author is the only one there who has room",
        "1 rows wait: MAX_ASSIGNMENTS is reached",
    ]
    assert history.plan()["waiting"] == {
        "their author is the only one there who has room": 2,
        "MAX_ASSIGNMENTS is reached": 1,
    }


def test_a_row_whose_author_alone_is_there_waits_for_that_whoever_else_has_passed_it(
    world: World, history: History
) -> None:
    ana, bo = world.add_users(2)
    history.log("row", metadata={"by": ana})
    history.run({"reviewers": [bo]})
    history.wait(3 * HOUR)
    history.run({"take_back": {"reviewer": bo}})
    away = [{"from": "2026-11-01", "until": "2026-12-01"}]
    for people, why in (
        ([ana, {"id": bo, "away": away}], "their author is the only one there who has room"),
        (
            [ana, bo],
            "everybody there who has room has passed them: they were taken back from them, or they took themselves off",
        ),
    ):
        assert (
            f"1 rows wait: {why}" in history.run({"author": "by", "reviewers": people})["warnings"]
        )


def test_it_says_so_when_no_new_row_has_anything_there(world: World, history: History) -> None:
    world.add_users(2)
    nothing: tuple[dict[str, Any] | None, ...] = (None, {}, {"by": None}, {"by": ""}, {"by": []})
    for number, metadata in enumerate(nothing):
        history.log(f"row-{number}", metadata=metadata)
    said = "AUTHOR: none of 5 new rows has anything there: check the path"
    assert history.run({"author": "by", "dry_run": True})["warnings"] == [said]
    assert history.run({"dry_run": True})["warnings"] == []
    history.log("odd", metadata={"by": 7})
    assert history.run({"author": "by"})["warnings"] == []
    assert history.run({"author": "by"})["warnings"] == []  # there is no new row


def test_it_says_so_where_the_key_may_not_list_users(world: World, history: History) -> None:
    ana, bo = world.add_users(2)
    world.braintrust.faults.add("user", status=403, times=None)
    history.log("by address", metadata={"by": "user0@example.com"})
    history.log("by id", metadata={"by": ana})
    done = history.run({"author": "by"})
    assert dict(history.given())["by id"] == bo
    assert done["warnings"] == [
        "the key may not list users (403): reviewer ids are used unchecked, e-mails cannot be resolved",
        UNRECOGNISED,
    ]
    world.braintrust.faults.clear()


def test_a_row_that_was_planned_before_goes_to_the_same_person_whatever_is_set_since(
    world: World, history: History
) -> None:
    ana, _ = world.add_users(2)
    history.log("row", metadata={"by": ana})
    history.refused("row")
    assert history.given() == [("row", ana)]
    history.wait(MINUTE)
    history.run({"author": "by"})
    assert history.given() == [("row", ana)]


def test_no_address_of_an_author_is_written_down(world: World, history: History) -> None:
    world.add_users(2)
    history.log("row", metadata={"by": "user0@example.com"})
    result = history.run({"author": "by"})
    everything = json.dumps(result) + "".join(world.objects().values())
    assert "example.com" not in everything
