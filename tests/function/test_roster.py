"""Contract section 3: reading the reviewers, and finding out who they are."""

import json
from datetime import date

import pytest

from lib.errors import ConfigurationError, QueryError
from lib.roster import Absence, Entry, Reviewer, Roster, parse_reviewers, resolve

ANA, BO, CY = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "abc")


def refusal(value: object) -> str:
    with pytest.raises(ConfigurationError) as refused:
        parse_reviewers(value, "SSM parameter /reviewers")
    return str(refused.value)


# Reading


@pytest.mark.parametrize(
    "text",
    [
        f"{ANA},bo@example.com,{CY}",
        f"{ANA}, bo@example.com , {CY}\n",
        f"{ANA}\nbo@example.com\r\n{CY}\n\n",
        f"\t{ANA} bo@example.com {CY} ,,",
        json.dumps([ANA, "bo@example.com", CY]),
        json.dumps([f"{ANA}, bo@example.com", CY]),
        json.dumps([{"id": ANA}, {"email": " bo@example.com "}, {"id": CY}], indent=2),
        f"  {json.dumps([ANA, {'email': 'bo@example.com', 'weight': 1, 'away': []}, CY])}\n",
    ],
)
def test_text_separated_in_any_way_and_json_in_any_form_read_the_same(text):
    assert parse_reviewers(text, "here") == (
        Entry("id", ANA),
        Entry("email", "bo@example.com"),
        Entry("id", CY),
    )


def test_an_object_may_carry_weight_room_and_absences():
    value = [
        {
            "group": "Quality Assurance",
            "weight": 0.5,
            "max_open": 0,
            "away": [
                {"from": "2026-12-24", "until": "2027-01-02"},
                {"from": "2027-02-01", "until": "2027-02-02"},
            ],
        }
    ]
    assert parse_reviewers(json.dumps(value), "here") == (
        Entry(
            "group",
            "Quality Assurance",
            0.5,
            0,
            (
                Absence(date(2026, 12, 24), date(2027, 1, 2)),
                Absence(date(2027, 2, 1), date(2027, 2, 2)),
            ),
        ),
    )


def test_a_duplicate_counts_once_and_the_first_mention_with_its_options_wins():
    value = [
        {"id": ANA, "weight": 2},
        ANA.upper(),
        {"id": ANA, "weight": 3},
        "Bo@Example.com",
        {"email": "bo@example.com", "max_open": 1},
    ]
    assert parse_reviewers(value, "here") == (
        Entry("id", ANA, 2.0),
        Entry("email", "Bo@Example.com"),
    )


def test_groups_whose_names_differ_in_case_are_two_groups():
    assert parse_reviewers([{"group": "QA"}, {"group": "qa"}], "here") == (
        Entry("group", "QA"),
        Entry("group", "qa"),
    )


@pytest.mark.parametrize("value", ["", " ,\n", "[]", [], [""]])
def test_a_list_without_anyone_is_empty(value):
    assert parse_reviewers(value, "here") == ()


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (
            {"id": "a", "wieght": 2},
            'unknown field wieght in {"id": "a", "wieght": 2}; known: away, email, group, id, max_open, weight',
        ),
        (7, "7 must be a string or an object"),
        (None, "null must be a string or an object"),
        (["a"], '["a"] must be a string or an object'),
        ({}, "{} needs exactly one of id, email, group, as text"),
        ({"weight": 1}, '{"weight": 1} needs exactly one of id, email, group, as text'),
        ({"id": ""}, '{"id": ""} needs exactly one of id, email, group, as text'),
        ({"id": 7}, '{"id": 7} needs exactly one of id, email, group, as text'),
        (
            {"id": "a", "email": "b@c"},
            '{"id": "a", "email": "b@c"} needs exactly one of id, email, group, as text',
        ),
        *(
            (
                {"id": "a", "weight": weight},
                f'weight in {{"id": "a", "weight": {json.dumps(weight)}}} must be a number > 0, from 0.001 to 1000',
            )
            for weight in (0, -1, 1e-320, "2", True, None, float("inf"), float("nan"))
        ),
        *(
            (
                {"id": "a", "max_open": most},
                f'max_open in {{"id": "a", "max_open": {json.dumps(most)}}} must be an integer >= 0',
            )
            for most in (-1, 1.5, "3", True)
        ),
    ],
)
def test_an_unknown_field_or_a_bad_value_is_refused_by_name(item, problem):
    assert refusal(json.dumps([item])) == f"SSM parameter /reviewers: {problem}"


@pytest.mark.parametrize(
    "away",
    [
        "2026-12-24",
        {"from": "2026-12-24"},
        [{"from": "2026-12-24", "until": "2026-12-24"}],
        [{"from": "2026-12-24", "until": "2026-12-01"}],
        [{"from": "2026-12-24T00:00:00Z", "until": "2027-01-02"}],
        [{"from": "2026-02-30", "until": "2027-01-02"}],
        [{"from": "2026-12-24", "until": "2027-01-02", "reason": "holidays"}],
        [{"from": 20261224, "until": 20270102}],
        [["2026-12-24", "2027-01-02"]],
        [None],
    ],
)
def test_an_absence_that_is_not_two_dates_in_order_is_refused(away):
    assert refusal([{"id": "a", "away": away}]).endswith(
        'must be a list like [{"from": "2026-12-24", "until": "2027-01-02"}], until after from'
    )


def test_a_weight_too_large_for_any_number_is_refused():
    assert refusal(f'[{{"id": "a", "weight": 1{"0" * 400}}}]').endswith(
        "must be a number > 0, from 0.001 to 1000"
    )


@pytest.mark.parametrize("key", ["sk-0123456789abcdef", "bt-st-0123456789abcdef"])
@pytest.mark.parametrize("form", ["ana, {}", '["{}"]', '[{{"id": "{}"}}]'])
def test_a_key_that_landed_in_the_list_is_refused_without_being_shown(form, key):
    assert refusal(form.format(key)) == (
        "SSM parameter /reviewers: an entry looks like an API key: give user ids, e-mail addresses or groups"
    )


@pytest.mark.parametrize(
    "item",
    [
        "sk-0123456789abcdef",
        {"sk-0123456789abcdef": 1},
        {"group": "x", "weight": "sk-0123456789abcdef"},
    ],
)
def test_a_key_anywhere_in_the_list_is_not_shown(item):
    assert "0123456789abcdef" not in refusal([item])


def test_every_bad_item_is_named():
    assert refusal([{"id": "a", "weight": 0, "max_open": -1}, "fine", 7]) == (
        'SSM parameter /reviewers: weight in {"id": "a", "weight": 0, "max_open": -1} must be a number > 0, from 0.001 to 1000; '
        'SSM parameter /reviewers: max_open in {"id": "a", "weight": 0, "max_open": -1} must be an integer >= 0; '
        "SSM parameter /reviewers: 7 must be a string or an object"
    )


@pytest.mark.parametrize("text", ['["a",]', "[", '{"id": "a"', "[" * 100_000])
def test_broken_json_is_refused(text):
    assert refusal(text).startswith("SSM parameter /reviewers is not valid JSON (")


@pytest.mark.parametrize(
    ("value", "kind"),
    [('{"id": "a"}', "dict"), ({"id": "a"}, "dict"), (7, "int"), (None, "NoneType")],
)
def test_anything_but_text_or_an_array_is_refused(value, kind):
    assert refusal(value) == f"SSM parameter /reviewers must be text or a JSON array, not {kind}"


def test_someone_is_away_from_the_first_day_until_the_day_before_the_last():
    person = Reviewer(
        ANA,
        away=(
            Absence(date(2026, 12, 24), date(2027, 1, 2)),
            Absence(date(2027, 1, 1), date(2027, 1, 5)),
        ),
    )
    days = [
        date(2026, 12, 23),
        date(2026, 12, 24),
        date(2027, 1, 1),
        date(2027, 1, 4),
        date(2027, 1, 5),
    ]
    assert [person.away_until(day) for day in days] == [
        None,
        date(2027, 1, 2),
        date(2027, 1, 5),
        date(2027, 1, 5),
        None,
    ]


# Resolving, against the server


def resolved(world, value) -> Roster:
    return resolve(parse_reviewers(value, "here"), world.connect())


def people(world, count, email="user{}@example.com") -> list[str]:
    return [world.braintrust.store.add_user(email.format(number)) for number in range(count)]


def test_ids_and_emails_become_people_in_the_order_of_the_list(world):
    ana, bo, cy = people(world, 3)
    assert resolved(
        world, ["user2@example.com", {"id": ana, "weight": 2}, {"id": bo, "max_open": 3}]
    ) == Roster((Reviewer(cy), Reviewer(ana, 2.0), Reviewer(bo, 1.0, 3)))
    assert [(record.kind, record.method) for record in world.braintrust.requests] == [
        ("user", "GET")
    ] * 2


@pytest.mark.parametrize("written", ["Ana@Example.COM", "ana@example.com", "ANA@EXAMPLE.COM"])
@pytest.mark.parametrize("known", ["Ana@Example.COM", "ana@example.com"])
@pytest.mark.parametrize("server_minds_case", [True, False])
def test_the_case_of_an_email_does_not_matter(world, known, written, server_minds_case):
    world.braintrust.options.emails_mind_case = server_minds_case
    ana = world.braintrust.store.add_user(known)
    assert resolved(world, written) == Roster((Reviewer(ana),))


def test_the_case_of_an_id_does_not_matter_and_rows_get_it_as_the_organisation_writes_it(world):
    ana = world.braintrust.store.add_user("ana@example.com", user_id=ANA)
    assert resolved(world, ANA.upper()) == Roster((Reviewer(ana),))


def test_a_person_mentioned_by_id_email_and_group_counts_once_with_the_first_options(world):
    ana, bo = people(world, 2)
    world.braintrust.store.add_group("QA", [ana, bo])
    value = [{"email": "user0@example.com", "weight": 3}, {"group": "QA", "weight": 2}, ana, bo]
    assert resolved(world, value) == Roster((Reviewer(ana, 3.0), Reviewer(bo, 2.0)))


def test_whom_the_organisation_does_not_know_is_left_out_and_reported(world):
    (ana,) = people(world, 1)
    world.braintrust.store.add_user(None)
    assert resolved(world, [BO, "ghost@example.com", ana, {"group": "Ghosts"}]) == Roster(
        (Reviewer(ana),),
        (f"id {BO}", "email ghost@example.com", "group Ghosts"),
        (
            f"unknown reviewer left out: id {BO}",
            "unknown reviewer left out: email ghost@example.com",
            "unknown reviewer left out: group Ghosts",
        ),
    )


def test_a_group_stands_for_its_members_and_those_of_the_groups_in_it_each_with_its_options(world):
    ana, bo, cy, dee, _ = people(world, 5)
    store = world.braintrust.store
    inner = store.add_group("inner", [cy, ana], None)
    middle = store.add_group("middle", None, [inner])
    store.add_group("QA", [ana, bo], [middle])
    store.add_group("others", [dee])
    assert resolved(world, [{"group": "QA", "weight": 0.5, "max_open": 9}]) == Roster(
        tuple(Reviewer(person, 0.5, 9) for person in (ana, bo, cy))
    )


def test_groups_that_contain_each_other_end(world):
    ana, bo = people(world, 2)
    store = world.braintrust.store
    store.add_group("QA", [ana], ["group-b", "group-a"], group_id="group-a")
    store.add_group("B", [bo], ["group-a", "group-nobody-knows"], group_id="group-b")
    assert resolved(world, [{"group": "QA"}]) == Roster((Reviewer(ana), Reviewer(bo)))


def test_a_member_who_left_the_organisation_is_left_out_and_reported(world):
    (ana,) = people(world, 1)
    world.braintrust.store.add_group("QA", [BO, ana])
    assert resolved(world, [{"group": "QA"}]) == Roster(
        (Reviewer(ana),),
        (f"user {BO} of group QA",),
        (f"unknown reviewer left out: user {BO} of group QA",),
    )


def test_a_group_without_members_stands_for_nobody(world):
    (ana,) = people(world, 1)
    world.braintrust.store.add_group("empty", None, None)
    assert resolved(world, [{"group": "empty"}, ana]).unknown == ("group empty",)


@pytest.mark.parametrize(
    "members", ["{ana}", 7, {"id": "{ana}"}, [None, 7, "", ["{ana}"], "line\nbreak"]]
)
def test_members_that_are_no_ids_are_nobody(world, members):
    (ana,) = people(world, 1)
    group = {"id": "g", "name": "QA", "member_users": members, "member_groups": members}
    world.braintrust.store.add_group("QA", group_id="g")
    world.braintrust.faults.add("group", body=json.dumps({"objects": [group]}))
    assert resolved(world, [ana, {"group": "QA"}]).unknown == ("group QA",)


def test_the_case_of_a_group_name_matters(world):
    ana, bo = people(world, 2)
    world.braintrust.store.add_group("QA", [ana])
    world.braintrust.store.add_group("qa", [bo])
    assert resolved(world, [{"group": "qa"}]) == Roster((Reviewer(bo),))


def test_everyone_is_found_however_many_pages_the_list_of_users_and_groups_takes(world):
    world.braintrust.options.objects_per_page = 7
    everyone = people(world, 30)
    for number in range(20):
        world.braintrust.store.add_group(f"group {number}", [everyone[number]])
    value = [*everyone, {"group": "group 19"}]
    assert resolved(world, value) == Roster(tuple(map(Reviewer, everyone)))
    assert world.braintrust.requests.count("user") == 6  # 7 + 7 + 7 + 7 + 2, and the empty one
    assert world.braintrust.requests.count("group") == 4


def test_a_server_that_goes_on_sending_the_same_users_is_not_asked_for_ever(world):
    world.braintrust.faults.add("user", hostile="repeating_objects", times=None)
    (ana,) = people(world, 1)
    assert resolved(world, [ana]) == Roster((Reviewer(ana),))


def test_groups_are_only_asked_for_when_the_list_names_one(world):
    resolved(world, people(world, 2))
    assert world.braintrust.requests.count("group") == 0


def test_a_key_that_may_not_list_users_leaves_ids_unchecked_and_says_so(world):
    world.braintrust.faults.add("user", status=403)
    world.braintrust.store.add_group("QA", [BO])
    assert resolved(world, [ANA, "ana@example.com", {"group": "QA"}]) == Roster(
        (Reviewer(ANA), Reviewer(BO)),
        ("email ana@example.com",),
        (
            "the key may not list users (403): reviewer ids are used unchecked, e-mails cannot be resolved",
            "unknown reviewer left out: email ana@example.com",
        ),
    )


def test_a_key_that_may_not_list_groups_leaves_them_out_and_says_so(world):
    world.braintrust.faults.add("group", status=403)
    (ana,) = people(world, 1)
    assert resolved(world, [ana, {"group": "QA"}]) == Roster(
        (Reviewer(ana),),
        ("group QA",),
        (
            "the key may not list groups (403): groups in the reviewers list are left out",
            "unknown reviewer left out: group QA",
        ),
    )


@pytest.mark.parametrize("kind", ["user", "group"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            {"status": 401},
            "{} look-up failed (401): check that the API key is correct and has not expired",
        ),
        ({"status": 400, "message": "no"}, "{} look-up failed (400): no"),
        (
            {"hostile": "no_objects"},
            "{} look-up failed: the answer is not a list of objects with ids",
        ),
        (
            {"hostile": "html"},
            "{} look-up failed (200): the answer is not the JSON it should be: 75 bytes, text/html",
        ),
    ],
)
def test_any_other_failure_of_a_look_up_is_an_error(world, kind, fault, message):
    world.braintrust.faults.add(kind, **fault)
    people(world, 1)
    with pytest.raises(QueryError) as refused:
        resolved(world, [{"group": "QA"}])
    assert str(refused.value).startswith(message.format(kind))
