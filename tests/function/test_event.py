"""Contract section 4: the event."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import ConfigurationError
from lib.roster import Entry
from lib.settings import COMMANDS, OVERRIDES, RULES, load_settings

PROJECT = "11111111-2222-3333-4444-555555555555"
ANA, BO = "aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000"
OTHER_PROJECT = "99999999-2222-3333-4444-555555555555"
ENVIRON = {
    "PROJECT_ID": PROJECT,
    "TAG": "needs review",
    "BRAINTRUST_API_KEY_SECRET_ID": "bt-key",
    "REVIEWERS_PARAMETER": "/reviewers",
    "AUDIT_BUCKET": "bucket",
}
PLAIN = load_settings(ENVIRON)
RULE_ENVELOPE = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-23T07:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:events:eu-central-1:123456789012:rule/hourly"],
    "detail": {},
}
SCHEDULER_ENVELOPE = RULE_ENVELOPE | {"source": "aws.scheduler", "detail": "{}"}


def as_written(value: object) -> str:
    """Text in quotes, anything else as JSON: nobody who sends an event knows `None` or `True`."""
    return repr(value) if isinstance(value, str) else json.dumps(value)


def problems(event: object) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(ENVIRON, event)
    return str(refused.value).split("\n- ")[1:]


@pytest.mark.parametrize("event", [None, {}, RULE_ENVELOPE, SCHEDULER_ENVELOPE])
def test_nothing_an_empty_object_and_both_envelopes_leave_the_settings_as_they_are(event):
    assert load_settings(ENVIRON, event) == PLAIN


@pytest.mark.parametrize(
    ("event", "overridden"),
    [
        ({"dry_run": True}, {"dry_run": True}),
        ({"project_id": OTHER_PROJECT}, {"project_id": OTHER_PROJECT}),
        ({"tag": 'it\'s | "odd"'}, {"tag": 'it\'s | "odd"'}),
        ({"days": 3}, {"days": 3}),
        ({"limit": 1000}, {"limit": 1000}),
        ({"batch_size": 1}, {"batch_size": 1}),
        ({"max_pages": 2}, {"max_pages": 2}),
        ({"filter": "is_root"}, {"filter": "is_root"}),
        ({"max_assignments": 5}, {"max_assignments": 5}),
        ({"reviewers_per_row": 5}, {"reviewers_per_row": 5}),
        ({"overlap": 0}, {"overlap": 0.0}),
        ({"overlap": 0.2}, {"overlap": 0.2}),
        ({"author": "user.email"}, {"author": "user.email"}),
        ({"reviewers": f"{ANA}, {BO}"}, {"reviewers": (Entry("id", ANA), Entry("id", BO))}),
        ({"reviewers": [ANA]}, {"reviewers": (Entry("id", ANA),)}),
        ({"reviewers": '[{"group": "QA"}]'}, {"reviewers": (Entry("group", "QA"),)}),
        (
            {"reviewers": [{"email": "bo@example.com", "weight": 2}]},
            {"reviewers": (Entry("email", "bo@example.com", weight=2.0),)},
        ),
        ({"dry_run": True, "days": 1, "tag": "x"}, {"dry_run": True, "days": 1, "tag": "x"}),
    ],
)
def test_each_field_overrides_its_setting_and_no_other(event, overridden):
    assert load_settings(ENVIRON, event) == replace(PLAIN, **overridden)


def test_an_override_wins_over_the_environment_also_back_to_the_default():
    environ = ENVIRON | {"DRY_RUN": "true", "FILTER": "is_root", "MAX_ASSIGNMENTS": "5"}
    event = {"dry_run": False, "filter": "", "max_assignments": 0}
    assert load_settings(environ, event) == PLAIN


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        *(("dry_run", value, "true or false") for value in ("true", 1, 0, None)),
        *(("project_id", value, "a Braintrust project id (UUID)") for value in ("p", 7, None)),
        *(("tag", value, "a tag, any text that is not empty") for value in ("", 7, ["x"], None)),
        *(("days", value, "an integer >= 1") for value in (0, -1, "3", 3.0, True, None)),
        *(("limit", value, "an integer from 1 to 1000") for value in (0, 1001, "10", False)),
        *(("batch_size", value, "an integer >= 1") for value in (0, 1.5)),
        *(("max_pages", value, "an integer >= 1") for value in (0, "all")),
        *(("filter", value, "a BTQL boolean expression, or empty") for value in (True, None, {})),
        *(("max_assignments", value, "an integer >= 0 (0: no cap)") for value in (-1, "5")),
        *(
            ("reviewers_per_row", value, "an integer from 1 to 5")
            for value in (0, 6, "2", 2.0, True, None)
        ),
        *(("overlap", value, "a number from 0 to 1") for value in (-0.1, 1.1, 2, "0.5", True)),
        *(
            (
                "author",
                value,
                "keys below metadata with dots between them, such as user.email, or empty",
            )
            for value in (".", "user.", ".email", "a..b", 7, ["user"], None)
        ),
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_is_refused(field, value, accepted):
    assert problems({field: value}) == [
        f"event field {field} is {as_written(value)}: must be {accepted}"
    ]


@pytest.mark.parametrize(
    "field",
    [
        "DRY_RUN",
        "dryrun",
        "audit_bucket",
        "audit_prefix",
        "braintrust_api_url",
        "braintrust_api_key_secret_id",
        "impersonate_user",
        "insert_concurrency",
        "request_timeout",
        "reviewers_parameter",
        "source",
        "detail-type",
    ],
)
def test_any_other_field_is_refused_above_all_those_that_say_where_the_key_comes_from_and_goes(
    field,
):
    (problem,) = problems({field: "x"})
    assert problem.startswith(
        f"event field '{field}' is unknown: must be one of author, batch_size, days, "
    )


def test_every_offender_is_named():
    event = {
        "days": 0,
        "dryrun": True,
        "tag": "fine",
        "limit": "many",
        "reviewers": [{"id": ANA, "weight": -1}],
    }
    first, second, third, fourth = problems(event)
    assert first == "event field days is 0: must be an integer >= 1"
    assert second.startswith("event field 'dryrun' is unknown: ")
    assert third == "event field limit is 'many': must be an integer from 1 to 1000"
    assert (
        fourth
        == f'event field reviewers: weight in {{"id": "{ANA}", "weight": -1}} must be a number > 0, from 0.001 to 1000'
    )


@pytest.mark.parametrize("event", [[], "", "{}", 0, True, [{"dry_run": True}]])
def test_an_event_that_is_no_object_is_refused_rather_than_run(event):
    assert problems(event) == [
        f"the event is {as_written(event)}: must be a JSON object, such as {{}}"
    ]


def test_a_key_in_the_event_is_not_shown_in_the_refusal():
    for problem in problems({"sk-0123456789abcdef": 1, "days": "sk-0123456789abcdef"}):
        assert "0123456789abcdef" not in problem


# Commands


def test_undo_is_a_command_beside_which_settings_may_stand():
    run_id = "20261123T070000Z-53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa"
    event = {"undo": run_id, "project_id": OTHER_PROJECT, "dry_run": True}
    overridden = {"undo": run_id, "project_id": OTHER_PROJECT, "dry_run": True}
    assert load_settings(ENVIRON, event) == replace(PLAIN, **overridden)


@pytest.mark.parametrize(
    "run_id",
    [
        "",
        "yesterday",
        "20261123T070000Z-",
        "20261123T070000Z-a/../b",
        "20261123T070000Z-a b",
        "2026112\u0663T070000Z-a",
        "20261123T070000Z-" + "a" * 201,
        20261123070000,
        None,
        True,
        ["20261123T070000Z-a"],
    ],
)
def test_what_is_no_run_id_cannot_be_undone(run_id):
    (problem,) = problems({"undo": run_id})
    assert problem.startswith("event field undo is ")
    assert problem.endswith(": must be the run_id of the run to take back")


def test_two_commands_at_once_are_refused():
    event = {
        "undo": "20261123T070000Z-a",
        "take_back": {"days": 3},
        "dry_run": True,
        "digest": True,
    }
    assert problems(event) == [
        "event fields digest and take_back and undo are commands: send one at a time"
    ]


# Envelopes


@pytest.mark.parametrize("envelope", [RULE_ENVELOPE, SCHEDULER_ENVELOPE])
@pytest.mark.parametrize(
    "field", [*OVERRIDES, "reviewers", "undo", "digest", "queue", "take_back", "dryRun", "DRY-RUN"]
)
def test_an_envelope_with_a_field_of_ours_in_it_is_refused(envelope, field):
    (problem,) = problems(envelope | {field: True})
    assert problem == (
        f"the event is an envelope of EventBridge with '{field}' in it: "
        f'send only {{"{field}": true}}'
    )


def test_an_envelope_with_several_fields_of_ours_names_them_all_and_shows_no_key():
    event = RULE_ENVELOPE | {"days": 3, "tag": "sk-0123456789abcdef"}
    (problem,) = problems(event)
    assert problem == (
        "the event is an envelope of EventBridge with 'days', 'tag' in it: "
        'send only {"days": 3, "tag": "***'
    )


def test_an_envelope_may_hold_whatever_else_its_sender_put_there():
    event = RULE_ENVELOPE | {"replay-name": "again", "detail": {"tag": "x", "days": 3}}
    assert load_settings(ENVIRON, event) == PLAIN


@pytest.mark.parametrize("half", ["detail-type", "source"])
def test_half_an_envelope_is_none(half):
    event = {key: value for key, value in RULE_ENVELOPE.items() if key != half}
    assert len(problems(event)) == len(event)


# Numbers


@pytest.mark.parametrize("digits", [310, 5000])
def test_a_number_of_absurd_size_means_as_much_as_there_is_or_is_refused(digits):
    number = 10**digits
    event = dict.fromkeys(["days", "batch_size", "max_pages", "max_assignments"], number)
    assert load_settings(ENVIRON, event) == replace(PLAIN, **dict.fromkeys(event, 999_999_999))
    assert len(problems({"limit": number, "days": -number})) == 2


@pytest.mark.parametrize("number", [float("inf"), float("nan"), float("-inf"), 1e400, 1e3])
@pytest.mark.parametrize(
    "field", ["days", "limit", "batch_size", "max_pages", "max_assignments", "dry_run"]
)
def test_a_number_that_is_no_integer_is_refused(field, number):
    assert problems({field: number}) == [
        f"event field {field} is {json.dumps(number)}: must be {OVERRIDES[field].accepted}"
    ]


@pytest.mark.parametrize(
    ("number", "taken"), [(5, 5.0), (2.5, 2.5), (True, None), ("5", None), (10**400, None)]
)
@pytest.mark.parametrize("wrong", [float("inf"), float("nan"), 0])
def test_where_any_number_is_taken_an_integer_is_one(monkeypatch, number, taken, wrong):
    monkeypatch.setitem(OVERRIDES, "request_timeout", RULES["REQUEST_TIMEOUT"])
    if taken is None:
        assert len(problems({"request_timeout": number})) == 1
    else:
        settings = load_settings(ENVIRON, {"request_timeout": number})
        assert (settings.request_timeout, type(settings.request_timeout)) == (taken, float)
    assert len(problems({"request_timeout": wrong})) == 1


def test_text_that_cannot_be_written_down_is_refused():
    assert problems({"tag": "a\ud800", "filter": "\udfff"}) == [
        "event field tag is 'a<U+D800>': must be a tag, any text that is not empty",
        "event field filter is '<U+DFFF>': must be a BTQL boolean expression, or empty",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
FIELDS = st.sampled_from([*OVERRIDES, *COMMANDS, "reviewers", "detail-type", "source"])


@given(JSON | st.dictionaries(FIELDS | st.text(), JSON))
def test_any_event_is_taken_or_refused_in_words(event):
    try:
        load_settings(ENVIRON, event)
    except ConfigurationError as refused:
        str(refused).encode()
