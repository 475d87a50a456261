"""The organisation's users and groups: what makes no sense is left out and told, and everybody else is there."""

import json

import pytest

from lib.errors import QueryError
from lib.roster import Group, User
from tests.listeners import Listener

ANA, BEN = "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b"
ODD_IDS = ["", " \n", "a\nb", "\u200b", "\ud800", 7, 1.5, True, None, ["a"], {"id": "a"}]


def listed(world, kind, *pages):
    """What the client makes of these pages, each a list of objects, then of empty ones; and what it asked."""
    left = list(pages)
    with Listener().serving() as server:
        server.reply = lambda _: (
            200,
            {},
            json.dumps({"objects": left.pop(0) if left else []}).encode(),
        )
        world.settings["BRAINTRUST_API_URL"] = server.url
        client = world.connect()
        found = client.users() if kind == "user" else client.groups()
    return found, client.warnings, [heard.path for heard in server.heard]


def test_everybody_is_listed_page_by_page(world):
    world.braintrust.options.objects_per_page = 2
    ids = world.add_users(5)
    client = world.connect()
    assert client.users() == [User(user, f"user{n}@example.com") for n, user in enumerate(ids)]
    assert (client.warnings, world.braintrust.requests.count("user")) == ([], 4)


@pytest.mark.parametrize(
    "odd", [*({"id": odd_id} for odd_id in ODD_IDS), {}, "a string", None, 7, []]
)
@pytest.mark.parametrize("kind", ["user", "group"])
def test_one_that_has_no_usable_id_is_left_out_and_told(world, kind, odd):
    found, warnings, _ = listed(world, kind, [{"id": ANA}, odd, {"id": BEN}])
    assert [each.id for each in found] == [ANA, BEN]
    assert warnings == [f"1 {kind}s without a usable id were left out of the look-up"]


def test_one_without_a_usable_id_at_the_end_of_a_page_does_not_hide_the_next_one(world):
    odd = {"id": "a\nb"}
    found, warnings, asked = listed(
        world, "user", [{"id": ANA}, odd], [odd, {"id": BEN}], [odd], [odd]
    )
    assert [user.id for user in found] == [ANA, BEN]
    assert warnings == ["1 users without a usable id were left out of the look-up"]
    page = "/v1/user?limit=1000"
    assert asked == [page, f"{page}&starting_after={ANA}", f"{page}&starting_after={BEN}"]


@pytest.mark.parametrize("page", [[{"id": 7}], ["a string", None], [{}], [[]]])
@pytest.mark.parametrize("kind", ["user", "group"])
def test_a_list_in_which_nothing_makes_sense_is_an_error(world, kind, page):
    with pytest.raises(QueryError) as refused:
        listed(world, kind, page)
    assert str(refused.value) == (
        f"{kind} look-up failed: the answer is not a list of objects with ids"
    )


@pytest.mark.parametrize("email", [None, 7, ["a@example.com"], {"a": "b"}, True, ""])
def test_an_address_that_is_none_is_no_address(world, email):
    assert listed(world, "user", [{"id": ANA, "email": email}])[:2] == ([User(ANA, "")], [])


@pytest.mark.parametrize("name", [None, 7, ["QA"], {}])
def test_a_group_whose_name_is_no_text_has_none(world, name):
    assert listed(world, "group", [{"id": ANA, "name": name}])[:2] == ([Group(ANA, "", (), ())], [])


@pytest.mark.parametrize(
    ("members", "kept", "odd"),
    [
        (None, (), 0),
        ([], (), 0),
        ([ANA, BEN], (ANA, BEN), 0),
        ([ANA, *ODD_IDS, BEN], (ANA, BEN), len(ODD_IDS)),
        (ANA, (), 1),
        ({ANA: BEN}, (), 1),
        (7, (), 1),
    ],
)
@pytest.mark.parametrize("field", ["member_users", "member_groups"])
def test_members_of_a_group_that_have_no_usable_id_are_left_out_and_told(
    world, field, members, kept, odd
):
    group = {"id": ANA, "name": "QA", "member_users": None, "member_groups": None, field: members}
    expected = Group(ANA, "QA", kept, ()) if field == "member_users" else Group(ANA, "QA", (), kept)
    found, warnings, _ = listed(world, "group", [group])
    assert found == [expected]
    told = f"{odd} members of groups without a usable id were left out of the look-up"
    assert warnings == ([told] if odd else [])


def test_one_odd_user_does_not_end_the_run(world):
    world.add_users(2)
    world.add_rows(4)
    world.braintrust.faults.add("user", hostile="objects_not_objects")
    assert world.run()["assigned"] == 4
