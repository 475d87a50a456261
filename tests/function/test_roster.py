"""Contract section 3: reading the reviewers, and finding out who they are."""

import json
from datetime import date

import pytest

from lib.errors import ConfigurationError, QueryError
from lib.roster import Entry, Reviewer, Roster, parse_reviewers, resolve
from lib.terms import Absence

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
            weight=0.5,
            max_open=0,
            away=(
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
        Entry("id", ANA, weight=2.0),
        Entry("email", "Bo@Example.com"),
    )


def test_an_address_that_begins_like_a_key_is_an_address():
    assert parse_reviewers("sk-ana@example.com", "here") == (Entry("email", "sk-ana@example.com"),)


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
            {"group": "a", "wieght": 2},
            'unknown field \'wieght\' in {"group": "a", "wieght": 2}; known: away, days, email, group, id, max_open, tz, weight',
        ),
        (7, "7 must be text, or an object with id, email or group"),
        (None, "null must be text, or an object with id, email or group"),
        (["a"], '["a"] must be text, or an object with id, email or group'),
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
                {"group": "a", "weight": weight},
                f'weight in {{"group": "a", "weight": {json.dumps(weight)}}} must be a number > 0, from 0.001 to 1000',
            )
            for weight in (0, -1, 1e-320, "2", True, None, float("inf"), float("nan"))
        ),
        *(
            (
                {"group": "a", "max_open": most},
                f'max_open in {{"group": "a", "max_open": {json.dumps(most)}}} must be an integer >= 0',
            )
            for most in (-1, 1.5, "3", True, None)
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
    assert refusal([{"group": "a", "away": away}]).endswith(
        'must be a list like [{"from": "2026-12-24", "until": "2027-01-02"}], until after from'
    )


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_weight_too_large_for_any_number_is_refused(digits):
    assert refusal(f'[{{"group": "a", "weight": 1{"0" * digits}}}]').endswith(
        "must be a number > 0, from 0.001 to 1000"
    )


@pytest.mark.parametrize("key", ["sk-0123456789abcdef", "bt-st-0123456789abcdef"])
@pytest.mark.parametrize(
    "form",
    [
        "ana@example.com, {}",
        "<{}>",
        "\u201c{}\u201d",
        '["{}"]',
        '[{{"id": "{}"}}]',
        '[{{"email": "{}"}}]',
        '[{{"group": "{}"}}]',
    ],
)
def test_a_key_that_landed_in_the_list_is_refused_without_being_shown(form, key):
    assert refusal(form.format(key)) == (
        "SSM parameter /reviewers: an entry looks like an API key: give user ids, e-mail addresses or groups"
    )


@pytest.mark.parametrize(
    "item",
    [
        "sk-0123456789abcdef",
        {"sk-0123456789abcdef": 1},
        "BRAINTRUST_API_KEY=sk-0123456789abcdef",
        "Ana(sk-0123456789abcdef)",
        {"group": "x", "weight": "sk-0123456789abcdef"},
    ],
)
def test_a_key_anywhere_in_the_list_is_not_shown(item):
    assert "0123456789abcdef" not in refusal([item])


def test_every_bad_item_is_named():
    item = {"group": "a", "weight": 0, "max_open": -1}
    shown = json.dumps(item)
    assert refusal([item, f"# our {ANA} team", 7]).split("SSM parameter /reviewers: ")[1:] == [
        f"weight in {shown} must be a number > 0, from 0.001 to 1000; ",
        f"max_open in {shown} must be an integer >= 0; ",
        "'#' must be a user id (UUID) or an e-mail address; ",
        "'our' must be a user id (UUID) or an e-mail address; ",
        "'team' must be a user id (UUID) or an e-mail address; ",
        "7 must be text, or an object with id, email or group",
    ]


def test_what_cannot_be_seen_in_an_entry_is_told_by_its_code_point():
    assert refusal(f"{ANA}, a\x07na@example.com") == (
        "SSM parameter /reviewers: 'a<U+0007>na@example.com' must be a user id (UUID) or an e-mail address"
    )


@pytest.mark.parametrize("text", ['["a",]', "[", '{"id": "a"', "[" * 100_000])
def test_broken_json_is_refused(text):
    assert refusal(text).startswith("SSM parameter /reviewers is not valid JSON (")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ('{"id": "a"}', "a JSON object"),
        ({"id": "a"}, "a JSON object"),
        (7, "a number"),
        (0.5, "a number"),
        (True, "true"),
        (None, "null"),
    ],
)
def test_anything_but_text_or_an_array_is_refused(value, kind):
    assert refusal(value) == f"SSM parameter /reviewers must be text or a JSON array, not {kind}"


def test_an_object_with_a_field_twice_is_refused_because_one_of_them_would_be_passed_over():
    assert refusal(f'[{{"email": "ana@example.com", "email": "bo@example.com"}}, "{ANA}"]') == (
        "SSM parameter /reviewers is not valid JSON (an object has a field twice)"
    )


@pytest.mark.parametrize("digits", [20, 310, 5000])
def test_room_for_more_rows_than_there_are_is_room_for_all(digits):
    (entry,) = parse_reviewers(f'[{{"id": "{ANA}", "max_open": 1{"0" * digits}}}]', "here")
    assert entry == Entry("id", ANA, max_open=999_999_999)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"id": "ana@example.com"}, "must be a user id (UUID)"),
        ({"id": "ana"}, "must be a user id (UUID)"),
        ({"id": f"{ANA} {BO}"}, "must be a user id (UUID)"),
        ({"id": f"Ana {ANA}"}, "must be a user id (UUID)"),
        ({"email": ANA}, "must be an e-mail address"),
        ({"email": "ana"}, "must be an e-mail address"),
        ({"email": "ana@example.com, bo@example.com"}, "must be an e-mail address"),
        ({"group": "\ud800"}, "must be the name of a group"),
    ],
)
def test_an_id_an_address_and_a_group_are_refused_where_another_has_to_stand(item, problem):
    ((kind, _),) = item.items()
    shown = json.dumps(item).replace("\\ud800", "<U+D800>")
    assert refusal([item]) == f"SSM parameter /reviewers: {kind} in {shown} {problem}"


@pytest.mark.parametrize(
    ("item", "entry"),
    [
        ({"id": f" {ANA.upper()}\ufeff"}, Entry("id", ANA)),
        ({"id": f"\u201c{ANA}\u201d"}, Entry("id", ANA)),
        ({"email": "mailto:ana@example.com"}, Entry("email", "ana@example.com")),
        ({"email": "Ana Souza <ana@example.com>"}, Entry("email", "ana@example.com")),
        ({"email": "\u200bana@example.com."}, Entry("email", "ana@example.com")),
        ({"group": "\u00a0\ufeff QA 'one' \u200b\n"}, Entry("group", "QA 'one'")),
    ],
)
def test_what_an_object_names_is_read_as_in_plain_text(item, entry):
    assert parse_reviewers([item], "here") == (entry,)


@pytest.mark.parametrize(
    "text", ["\ufeff[{}]", "\u00a0 [{}]\ufeff", "\u200b\n[{}]\u3000", "\ufeff{}"]
)
def test_what_nobody_sees_around_the_list_does_not_matter(text):
    assert parse_reviewers(text.replace("{}", f'"{ANA}"'), "here") == (Entry("id", ANA),)


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
    ) == Roster((Reviewer(cy), Reviewer(ana, weight=2.0), Reviewer(bo, max_open=3)))
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


@pytest.mark.parametrize("written", [ANA, ANA.upper(), ANA.capitalize()])
@pytest.mark.parametrize("known", [ANA, ANA.upper()])
def test_the_case_of_an_id_does_not_matter_and_rows_get_it_as_the_organisation_writes_it(
    world, written, known
):
    world.braintrust.store.add_user("ana@example.com", user_id=known)
    assert resolved(world, written) == Roster((Reviewer(known),))


def test_an_id_is_used_in_lower_case_where_nobody_says_how_it_is_written(world):
    world.braintrust.faults.add("user", status=403)
    assert resolved(world, ANA.upper()).reviewers == (Reviewer(ANA),)


def test_a_person_mentioned_by_id_email_and_group_counts_once_with_the_first_options(world):
    ana, bo = people(world, 2)
    world.braintrust.store.add_group("QA", [ana, bo])
    value = [{"email": "user0@example.com", "weight": 3}, {"group": "QA", "weight": 2}, ana, bo]
    assert resolved(world, value) == Roster((Reviewer(ana, weight=3.0), Reviewer(bo, weight=2.0)))


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
        tuple(Reviewer(person, weight=0.5, max_open=9) for person in (ana, bo, cy))
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


COMPOSED, DECOMPOSED = "Qualit\u00e4t", "Qualita\u0308t"


@pytest.mark.parametrize(
    "written", [COMPOSED, DECOMPOSED, f" {COMPOSED}\u00a0", f"\ufeff{COMPOSED}"]
)
@pytest.mark.parametrize("known", [COMPOSED, DECOMPOSED, f"{DECOMPOSED} "])
def test_blanks_at_the_ends_and_normalisation_of_a_group_name_do_not_matter(world, written, known):
    (ana,) = people(world, 1)
    world.braintrust.store.add_group(known, [ana])
    value = [{"group": written}, {"group": COMPOSED}]
    assert resolved(world, value) == Roster((Reviewer(ana),))
    assert len(parse_reviewers(value, "here")) == 1


@pytest.mark.parametrize("written", ["Zo\u00eb@Example.com", "zoe\u0308@example.com"])
@pytest.mark.parametrize("known", ["zo\u00eb@example.com", "ZOE\u0308@example.com"])
def test_an_address_is_compared_by_the_same_rule_in_the_list_and_with_the_organisation(
    world, written, known
):
    ana = world.braintrust.store.add_user(known)
    assert resolved(world, [written, known]) == Roster((Reviewer(ana),))
    assert len(parse_reviewers([written, known], "here")) == 1


def test_an_id_is_compared_by_the_same_rule_where_the_key_may_not_list_users(world):
    world.braintrust.faults.add("user", status=403)
    world.braintrust.store.add_group("QA", [ANA.upper(), BO.upper()])
    found = resolved(world, [ANA.upper(), {"group": "QA"}])
    assert found.reviewers == (Reviewer(ANA), Reviewer(BO.upper()))


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
        checked=False,
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
            (
                "{} look-up failed (401): check that the API key is correct and has not expired; keys of "
                "organisations in the EU need BRAINTRUST_API_URL https://api-eu.braintrust.dev"
            ),
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
