"""Contract section 4: the event."""

from dataclasses import replace

import pytest

from lib.errors import ConfigurationError
from lib.roster import Entry
from lib.settings import load_settings

PROJECT = "11111111-2222-3333-4444-555555555555"
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
        ({"reviewers": "ana, bo"}, {"reviewers": (Entry("id", "ana"), Entry("id", "bo"))}),
        ({"reviewers": ["ana"]}, {"reviewers": (Entry("id", "ana"),)}),
        ({"reviewers": '[{"group": "QA"}]'}, {"reviewers": (Entry("group", "QA"),)}),
        (
            {"reviewers": [{"email": "bo@example.com", "weight": 2}]},
            {"reviewers": (Entry("email", "bo@example.com", 2.0),)},
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
    ],
)
def test_a_wrong_type_or_a_value_out_of_range_is_refused(field, value, accepted):
    assert problems({field: value}) == [f"event field {field} is {value!r}: {accepted}"]


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
        f"event field '{field}' is unknown: one of batch_size, days, dry_run, filter, "
    )


def test_every_offender_is_named():
    event = {
        "days": 0,
        "dryrun": True,
        "tag": "fine",
        "limit": "many",
        "reviewers": [{"id": "a", "weight": -1}],
    }
    first, second, third, fourth = problems(event)
    assert first == "event field days is 0: an integer >= 1"
    assert second.startswith("event field 'dryrun' is unknown: ")
    assert third == "event field limit is 'many': an integer from 1 to 1000"
    assert (
        fourth
        == 'event field reviewers: weight in {"id": "a", "weight": -1} must be a number > 0, from 0.001 to 1000'
    )


@pytest.mark.parametrize("event", [[], "", "{}", 0, True, [{"dry_run": True}]])
def test_an_event_that_is_no_object_is_refused_rather_than_run(event):
    assert problems(event) == [f"the event is {event!r}: a JSON object, such as {{}}"]


def test_a_key_in_the_event_is_not_shown_in_the_refusal():
    for problem in problems({"sk-0123456789abcdef": 1, "days": "sk-0123456789abcdef"}):
        assert "0123456789abcdef" not in problem
