"""Contract section 9: what a queue may be, what the event asks of several, and everything that is wrong with them."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import ConfigurationError
from lib.queue_list import Asked, load_asked
from lib.roster import Entry
from lib.settings import OVERRIDES, load_settings

PROJECT = "11111111-2222-3333-4444-555555555555"
OTHER_PROJECT = "99999999-2222-3333-4444-555555555555"
ANA = "aaaaaaaa-0000-4000-8000-000000000000"
SHARED = {"BRAINTRUST_API_KEY_SECRET_ID": "bt-key", "AUDIT_BUCKET": "bucket"}
SINGLE = SHARED | {"PROJECT_ID": PROJECT, "TAG": "needs review", "REVIEWERS_PARAMETER": "/people"}
ENVIRON = SINGLE | {"QUEUES_PARAMETER": "/queues"}
PLAIN = load_settings(ENVIRON)
DE, FR = {"name": "de", "tag": "de"}, {"name": "fr", "tag": "fr"}
RUN_ID = "20261123T070000Z-a"


def load(queues, event=None, environ=ENVIRON) -> Asked:
    text = queues if isinstance(queues, str) else json.dumps(queues)

    def parameter(name):
        assert name == environ["QUEUES_PARAMETER"]
        return text

    return load_asked(environ, event, parameter)


def only(queue, event=None, environ=ENVIRON):
    """The settings of the one queue that there is."""
    return load([queue], event, environ).runs[0]


def problems(queues, event=None, environ=ENVIRON) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load(queues, event, environ)
    return str(refused.value).split("\n- ")[1:]


# What is asked for


def test_without_the_parameter_there_is_one_run_without_a_name():
    asked = load_asked(SINGLE, {"days": 3}, pytest.fail)
    assert asked == Asked((load_settings(SINGLE, {"days": 3}),), by_queue=False)


@pytest.mark.parametrize("event", [None, {}, {"detail-type": "Scheduled Event", "source": "x"}])
def test_each_queue_is_a_run_of_its_own_in_the_order_of_the_array(event):
    assert load([FR, DE], event) == Asked(
        (
            replace(PLAIN, queue="fr", tag="fr", full_read_hour=0),
            replace(PLAIN, queue="de", tag="de", full_read_hour=12),
        ),
        by_queue=True,
    )


def test_an_event_for_one_queue_is_that_queue_alone_in_its_own_place():
    assert load([FR, DE], {"queue": "de", "days": 3}) == Asked(
        (replace(PLAIN, queue="de", tag="de", days=3, full_read_hour=12),), by_queue=False
    )


OWN = {
    "project_id": OTHER_PROJECT.upper(),
    "tag": ' it\'s "odd" ',
    "days": 3,
    "limit": 10,
    "batch_size": 2,
    "max_pages": 4,
    "filter": "is_root",
    "max_assignments": 5,
    "reviewers_per_row": 2,
    "overlap": 0.5,
    "author": "user.email",
    "dry_run": True,
}


@pytest.mark.parametrize("field", OWN)
def test_a_queue_goes_over_the_environment_and_the_event_over_the_queue(field):
    environ = ENVIRON | {"DAYS": "30", "FILTER": "true", "MAX_ASSIGNMENTS": "9"}
    rule = OVERRIDES[field]
    queue = {"name": "de", field: OWN[field]}
    assert getattr(only(queue, environ=environ), field) == rule.make(OWN[field])
    assert only(queue, {"queue": "de"}, environ) == only(queue, environ=environ)
    others = {"name": "de"} | {name: value for name, value in OWN.items() if name != field}
    said = {"queue": "de", field: OWN[field]}
    assert getattr(only(others, said, environ), field) == rule.make(OWN[field])


def test_a_queue_has_every_field_that_an_event_may_override():
    assert OWN.keys() == OVERRIDES.keys()


def test_reviewers_stand_in_the_queue_or_in_a_parameter_below_that_of_the_queues():
    here, there = [ANA], "/queues/de/people"
    assert only(DE | {"reviewers": here}).reviewers == (Entry("id", ANA),)
    assert only(DE | {"reviewers": ANA}).reviewers == (Entry("id", ANA),)
    own = only(DE | {"reviewers_parameter": there})
    assert (own.reviewers, own.reviewers_parameter) == (None, there)
    said = only(DE | {"reviewers_parameter": there}, {"queue": "de", "reviewers": [ANA]})
    assert said.reviewers == (Entry("id", ANA),)


@pytest.mark.parametrize(
    ("variable", "queue", "event", "is_dry"),
    [
        ("true", False, None, True),
        ("true", True, None, True),
        ("false", True, None, True),
        ("false", False, None, False),
        ("true", False, {"dry_run": False}, False),
        ("false", True, {"dry_run": False}, False),
        ("false", False, {"dry_run": True}, True),
    ],
)
def test_a_queue_does_not_lift_dry_run_but_the_event_does(variable, queue, event, is_dry):
    environ = ENVIRON | {"DRY_RUN": variable}
    assert only(DE | {"dry_run": queue}, event, environ).dry_run is is_dry


def test_variables_need_not_be_there_where_every_queue_has_its_own():
    environ = SHARED | {"QUEUES_PARAMETER": "/queues"}
    here = {"name": "de", "project_id": PROJECT, "tag": "de", "reviewers": [ANA]}
    there = {"name": "fr", "project_id": PROJECT, "tag": "fr", "reviewers_parameter": "/queues/fr"}
    asked = load([here, there], environ=environ)
    assert [(run.tag, run.reviewers_parameter) for run in asked.runs] == [
        ("de", ""),
        ("fr", "/queues/fr"),
    ]


@pytest.mark.parametrize(
    ("hours", "count", "slots"),
    [
        ("24", 1, [0]),
        ("24", 3, [0, 8, 16]),
        ("24", 5, [0, 4, 9, 14, 19]),
        ("24", 20, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18, 19, 20, 21, 22]),
        ("1", 3, [0, 0, 0]),
        ("0", 3, [None] * 3),
        ("49", 49, [*range(49)]),
    ],
)
def test_full_reads_are_spread_over_the_hours(hours, count, slots):
    environ = ENVIRON | {"FULL_READ_HOURS": hours}
    asked = load([{"name": f"q{number}"} for number in range(count)], environ=environ)
    assert [run.full_read_hour for run in asked.runs] == slots


# Commands


@pytest.mark.parametrize("event", [{"dry_run": True}, {"dry_run": False}])
def test_dry_run_needs_no_queue(event):
    assert load([DE, FR], event).by_queue


def test_an_undo_without_a_queue_may_have_been_in_any_of_them_or_in_the_variables_project():
    elsewhere = DE | {"project_id": OTHER_PROJECT}
    asked = load([elsewhere, FR], {"undo": RUN_ID, "dry_run": True})
    assert not asked.by_queue
    assert [(run.queue, run.project_id, run.undo, run.dry_run) for run in asked.runs] == [
        ("de", OTHER_PROJECT, RUN_ID, True),
        ("fr", PROJECT, RUN_ID, True),
        ("", OTHER_PROJECT, RUN_ID, True),
        ("", PROJECT, RUN_ID, True),
    ]


@pytest.mark.parametrize("variable", ["true", "false"])
def test_a_run_of_no_queue_that_is_there_is_not_undone_by_the_dry_run_of_another(variable):
    dry = DE | {"dry_run": True, "project_id": OTHER_PROJECT}
    environ = ENVIRON | {"DRY_RUN": variable}
    by_variable = variable == "true"
    assert [
        (run.queue, run.dry_run) for run in load([dry, FR], {"undo": RUN_ID}, environ).runs
    ] == [("de", True), ("fr", by_variable), ("", by_variable), ("", by_variable)]


def test_where_dry_run_is_set_a_digest_needs_no_webhook_whatever_a_queue_says():
    dry = ENVIRON | {"DRY_RUN": "true"}
    asked = load([DE | {"dry_run": False}, FR], {"digest": True}, dry)
    assert [run.dry_run for run in asked.runs] == [True, True]


def test_a_project_beside_an_undo_names_another_place():
    asked = load([DE, FR], {"undo": RUN_ID, "project_id": OTHER_PROJECT})
    assert {run.project_id for run in asked.runs} == {OTHER_PROJECT}


@pytest.mark.parametrize("event", [{"days": 3}, {"tag": "x", "dry_run": True, "reviewers": [ANA]}])
def test_any_other_field_asks_for_a_queue(event):
    fields = [name for name in event if name != "dry_run"]
    assert problems([DE, FR], event) == [
        f"event field{'s' * (len(fields) > 1)} {', '.join(fields)}: say of which queue, with the field queue"
    ]


def test_beside_an_undo_only_a_project_and_dry_run_need_no_queue():
    event = {"undo": RUN_ID, "project_id": PROJECT, "dry_run": True, "limit": 5}
    assert problems([DE], event) == ["event field limit: say of which queue, with the field queue"]
    assert load([DE], event | {"queue": "de"}).runs[0].limit == 5


def test_a_queue_that_is_not_there_is_refused_by_the_names_of_those_that_are():
    assert problems([DE, FR], {"queue": "it"}) == [
        "event field queue is 'it': must be one of de, fr"
    ]


def test_without_queues_an_event_for_one_is_refused():
    with pytest.raises(ConfigurationError) as refused:
        load_asked(SINGLE, {"queue": "de"}, pytest.fail)
    assert str(refused.value).split("\n- ")[1:] == [
        "event field queue is for several queues: QUEUES_PARAMETER is not set"
    ]


# What is wrong


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "SSM parameter /queues is not valid JSON (Expecting value: line 1 column 1 (char 0))"),
        (
            "[",
            "SSM parameter /queues is not valid JSON (Expecting value: line 1 column 2 (char 1))",
        ),
        (
            "[]",
            "SSM parameter /queues must be a JSON array of one queue or more, not an empty array",
        ),
        (
            "{}",
            "SSM parameter /queues must be a JSON array of one queue or more, not a JSON object",
        ),
        (
            '[{"name": "de", "name": "fr"}]',
            "SSM parameter /queues is not valid JSON (an object has a field twice)",
        ),
    ],
)
def test_what_is_no_array_of_queues_is_refused(text, words):
    assert problems(text) == [words]


def test_a_byte_order_mark_and_blanks_around_it_do_no_harm():
    assert load("\ufeff \n" + json.dumps([DE]) + "\n").runs[0].queue == "de"


NAME_RULE = "must be up to 40 small letters, digits and hyphens, none at its ends"


@pytest.mark.parametrize("name", ["", "DE", "-de", "de-", "d_e", "d e", "é", "a" * 41, "de\n"])
def test_a_name_is_short_and_plain(name):
    assert problems([{"name": name}]) == [f"field name of queue number 1 is {name!r}: {NAME_RULE}"]


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a" * 40, "de--2"])
def test_such_a_name_is_taken(name):
    assert only({"name": name}).queue == name


def test_every_offender_in_every_queue_and_every_wrong_variable_is_named_at_once():
    environ = SHARED | {"QUEUES_PARAMETER": "/queues", "PROJECT_ID": PROJECT, "DAYS": "0"}
    queues = [
        {"name": "de", "tag": "", "days": 0, "Limit": 5, "reviewers": "ana"},
        "fr",
        {"tag": "x", "reviewers": [ANA], "reviewers_parameter": "/queues/x"},
        {"name": "it", "reviewers_parameter": "/elsewhere/it"},
        {"name": "it", "tag": "it", "reviewers_parameter": "/queues/"},
        {"name": 7, "tag": "it", "reviewers": [ANA], "dry_run": "true"},
    ]
    known = ", ".join(sorted({*OVERRIDES, "name", "reviewers", "reviewers_parameter"}))
    below = "must be the name of an SSM parameter that starts with /queues/"
    assert problems(queues, {"limit": 0}, environ) == [
        "event field limit is 0: must be an integer from 1 to 1000",
        "DAYS is '0': must be an integer >= 1",
        "field tag of queue de is '': must be a tag, any text that is not empty",
        "field days of queue de is 0: must be an integer >= 1",
        f"field 'Limit' of queue de is unknown: must be one of {known}",
        "field reviewers of queue de: 'ana' must be a user id (UUID) or an e-mail address",
        "queue number 2 is 'fr': must be a JSON object",
        "queue number 3 has no name",
        "queue number 3 has both reviewers and reviewers_parameter: leave one out",
        f"field reviewers_parameter of queue it is '/elsewhere/it': {below}",
        f"field reviewers_parameter of queue it is '/queues/': {below}",
        f"field name of queue number 6 is 7: {NAME_RULE}",
        "field dry_run of queue number 6 is 'true': must be true or false",
        "queue it is there 2 times",
        "queue it has no tag, and TAG is not set",
        "event field limit: say of which queue, with the field queue",
    ]


@pytest.mark.parametrize("nobody", [[], "", " ,\n", [" "]])
def test_a_list_of_nobody_is_wrong_so_that_no_later_queue_takes_its_rows(nobody):
    assert problems([DE | {"reviewers": nobody}, FR]) == [
        "field reviewers of queue de names nobody: add at least one reviewer"
    ]


def test_a_queue_without_a_usable_name_is_called_by_its_number():
    environ = {name: value for name, value in ENVIRON.items() if name != "TAG"}
    assert problems([{"name": "D E"}, FR], {"queue": "it"}, environ) == [
        f"field name of queue number 1 is 'D E': {NAME_RULE}",
        "queue number 1 has no tag, and TAG is not set",
        "event field queue is 'it': must be one of fr",
    ]


def test_what_a_queue_lacks_is_named_with_the_variable_that_could_say_it():
    environ = SHARED | {"QUEUES_PARAMETER": "/queues"}
    assert problems([DE, {"name": "fr", "project_id": PROJECT}], environ=environ) == [
        "queue de has no project_id, and PROJECT_ID is not set",
        "queue de has no reviewers_parameter, and REVIEWERS_PARAMETER is not set",
        "queue fr has no tag, and TAG is not set",
        "queue fr has no reviewers_parameter, and REVIEWERS_PARAMETER is not set",
    ]


def test_what_the_event_says_of_one_queue_that_one_need_not_say_but_the_others_do():
    environ = {name: value for name, value in ENVIRON.items() if name != "TAG"}
    assert only({"name": "de"}, {"queue": "de", "tag": "x"}, environ).tag == "x"
    assert problems([{"name": "de"}, {"name": "fr"}], {"queue": "de", "tag": "x"}, environ) == [
        "queue fr has no tag, and TAG is not set"
    ]


def test_one_wrong_queue_is_refused_also_where_the_event_is_for_another():
    assert problems([DE, FR | {"days": 0}], {"queue": "de"}) == [
        "field days of queue fr is 0: must be an integer >= 1"
    ]


def test_a_parameter_that_cannot_be_read_is_told_with_the_rest():
    def parameter(name):
        raise ConfigurationError(f"QUEUES_PARAMETER: SSM parameter {name} cannot be read")

    with pytest.raises(ConfigurationError) as refused:
        load_asked(ENVIRON | {"DAYS": "0"}, None, parameter)
    assert str(refused.value).split("\n- ")[1:] == [
        "DAYS is '0': must be an integer >= 1",
        "QUEUES_PARAMETER: SSM parameter /queues cannot be read",
    ]


def test_a_key_in_a_queue_is_not_shown_in_the_refusal():
    key = "sk-" + "0123456789abcdef" * 3
    for text in ([{"name": key, key: 1, "days": key}], [key], [{"name": "de", "reviewers": key}]):
        for problem in problems(text):
            assert "0123456789abcdef" not in problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from([*OVERRIDES, "name", "reviewers", "reviewers_parameter"])
QUEUES = st.lists(JSON | st.dictionaries(FIELDS | st.text(), JSON | st.sampled_from(["de", "fr"])))


@given(QUEUES | JSON | st.text(), st.none() | st.dictionaries(FIELDS | st.just("queue"), JSON))
def test_any_text_is_taken_or_refused_in_words(queues, event):
    try:
        load(queues, event)
    except ConfigurationError as refused:
        str(refused).encode()
