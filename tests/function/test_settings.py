"""Contract section 2: the environment variables."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.errors import ConfigurationError
from lib.rows import Window, build_query
from lib.run import utc_now
from lib.settings import CHOICE, COMMANDS, OVERRIDES, RULES, VARIABLES, Settings, load_settings

PROJECT = "11111111-2222-3333-4444-555555555555"
LEAST = {
    "PROJECT_ID": PROJECT,
    "TAG": "needs review",
    "BRAINTRUST_API_KEY_SECRET_ID": "bt-key",
    "REVIEWERS_PARAMETER": "/reviewers",
    "AUDIT_BUCKET": "bucket",
}
USER_ACCEPTED = "a user id or an ASCII e-mail address (instead of another, the id), or empty"
STATUSES_ACCEPTED = (
    "words with commas between them, none of APPROVED, COMPLETE, COMPLETED, REJECTED"
)
API_URL_ACCEPTED = "an https:// base URL (http:// only for a loopback host or host.docker.internal)"


def problems(environ: dict[str, str], event: object = None) -> list[str]:
    """The lines of the refusal after its first one."""
    with pytest.raises(ConfigurationError) as refused:
        load_settings(environ, event)
    return str(refused.value).split("\n- ")[1:]


def test_only_five_variables_are_required_and_the_others_have_the_documented_defaults():
    assert load_settings(LEAST) == Settings(
        project_id=PROJECT,
        tag="needs review",
        days=7,
        limit=1000,
        batch_size=1000,
        max_pages=10_000,
        filter="",
        max_assignments=0,
        reviewers_per_row=1,
        overlap=1.0,
        author="",
        open_statuses=frozenset({"PENDING", "BACKLOG"}),
        full_read_hours=24,
        dry_run=False,
        request_timeout=120.0,
        insert_concurrency=8,
        braintrust_api_url="https://api.braintrust.dev",
        braintrust_api_key_secret_id="bt-key",
        braintrust_api_key_parameter="",
        reviewers_parameter="/reviewers",
        queues_parameter="",
        webhook_parameter="",
        impersonate_user="",
        audit_bucket="bucket",
        audit_prefix="audit/",
        reviewers=None,
    )


def test_every_variable_is_read():
    environ = {
        "PROJECT_ID": PROJECT.upper(),
        "TAG": """it's a "tag" \\ | ☃\n""",
        "DAYS": "30",
        "LIMIT": "1",
        "BATCH_SIZE": "5000",
        "MAX_PAGES": "2",
        "FILTER": "scores.quality < 0.5 OR tags INCLUDES 'x'",
        "MAX_ASSIGNMENTS": "12",
        "REVIEWERS_PER_ROW": "5",
        "OVERLAP": "0.25",
        "AUTHOR": "metadata.user.e-mail address",
        "OPEN_STATUSES": "In Review, TODO",
        "FULL_READ_HOURS": "168",
        "DRY_RUN": "True",
        "REQUEST_TIMEOUT": "2.5",
        "INSERT_CONCURRENCY": "16",
        "BRAINTRUST_API_URL": "https://braintrust.example.com:8443/api",
        "BRAINTRUST_API_KEY_PARAMETER": "/braintrust/key",
        "REVIEWERS_PARAMETER": "/reviewers",
        "QUEUES_PARAMETER": "/queues",
        "WEBHOOK_PARAMETER": "/webhook",
        "IMPERSONATE_USER": "lead@example.com",
        "AUDIT_BUCKET": "bucket",
        "AUDIT_PREFIX": "reviews/audit",
        "AWS_REGION": "eu-central-1",
    }
    assert load_settings(environ) == Settings(
        project_id=PROJECT,
        tag="""it's a "tag" \\ | ☃\n""",
        days=30,
        limit=1,
        batch_size=5000,
        max_pages=2,
        filter="scores.quality < 0.5 OR tags INCLUDES 'x'",
        max_assignments=12,
        reviewers_per_row=5,
        overlap=0.25,
        author="metadata.user.e-mail address",
        open_statuses=frozenset({"PENDING", "In Review", "TODO"}),
        full_read_hours=168,
        dry_run=True,
        request_timeout=2.5,
        insert_concurrency=16,
        braintrust_api_url="https://braintrust.example.com:8443/api",
        braintrust_api_key_secret_id="",
        braintrust_api_key_parameter="/braintrust/key",
        reviewers_parameter="/reviewers",
        queues_parameter="/queues",
        webhook_parameter="/webhook",
        impersonate_user="lead@example.com",
        audit_bucket="bucket",
        audit_prefix="reviews/audit/",
        reviewers=None,
    )


def test_an_empty_or_blank_optional_variable_means_its_default():
    blank = {
        "DAYS": "",
        "DRY_RUN": " ",
        "BRAINTRUST_API_URL": "",
        "FILTER": "  ",
        "IMPERSONATE_USER": "",
    }
    assert load_settings(LEAST | blank) == load_settings(LEAST)


def test_blanks_around_a_value_are_ignored_but_a_tag_keeps_its_own():
    settings = load_settings(LEAST | {"DAYS": " 3 ", "TAG": " x "})
    assert (settings.days, settings.tag) == (3, " x ")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api-eu.braintrust.dev", "https://api-eu.braintrust.dev"),
        ("https://api-eu.braintrust.dev/", "https://api-eu.braintrust.dev"),
        ("https://api-eu.braintrust.dev/v1", "https://api-eu.braintrust.dev"),
        ("https://api-eu.braintrust.dev/v1/", "https://api-eu.braintrust.dev"),
        ("https://example.com/braintrust/v1/", "https://example.com/braintrust"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://host.docker.internal:8000/v1", "http://host.docker.internal:8000"),
    ],
)
def test_the_api_url_may_end_in_a_slash_or_v1_and_be_plain_http_only_for_this_machine(given, used):
    assert load_settings(LEAST | {"BRAINTRUST_API_URL": given}).braintrust_api_url == used


@pytest.mark.parametrize(
    ("given", "used"), [("", "audit/"), ("a/b", "a/b/"), ("a/b/", "a/b/"), ("/a/", "a/"), ("/", "")]
)
def test_the_audit_prefix_ends_in_one_slash_and_starts_with_none(given, used):
    assert load_settings(LEAST | {"AUDIT_PREFIX": given}).audit_prefix == used


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        *(
            ("PROJECT_ID", value, "a Braintrust project id (UUID)")
            for value in ("my-project", PROJECT[:-1], PROJECT + "0", f"{PROJECT}') | limit: 1")
        ),
        *(
            ("DAYS", value, "an integer >= 1")
            for value in ("0", "-1", "1.5", "a week", "1e3", "7 days")
        ),
        *(("LIMIT", value, "an integer from 1 to 1000") for value in ("0", "1001", "ten")),
        *(("BATCH_SIZE", value, "an integer >= 1") for value in ("0", "-5", "all")),
        *(("MAX_PAGES", value, "an integer >= 1") for value in ("0", "inf")),
        *(("MAX_ASSIGNMENTS", value, "an integer >= 0 (0: no cap)") for value in ("-1", "none")),
        *(
            ("FULL_READ_HOURS", value, "an integer from 0 to 168")
            for value in ("-1", "169", "1.5", "a day")
        ),
        *(("DRY_RUN", value, "true or false") for value in ("yes", "1", "0", "tru")),
        *(
            ("REQUEST_TIMEOUT", value, "a number of seconds from 1 to 900")
            for value in ("0", "0.5", "901", "nan", "inf", "soon")
        ),
        *(("INSERT_CONCURRENCY", value, "an integer from 1 to 16") for value in ("0", "17", "2.0")),
        *(
            ("BRAINTRUST_API_URL", value, API_URL_ACCEPTED)
            for value in (
                "api.braintrust.dev",
                "http://api.braintrust.dev",
                "http://127.0.0.1.example.com",
                "http://localhost.example.com:8000",
                "ftp://api.braintrust.dev",
                "https://",
                "https://api.braintrust.dev:port",
                "https://api.braintrust.dev/?key=1",
                "https://api.braintrust.dev/#v1",
                "file:///etc/passwd",
                "https://api.braintrust.dev?",
                "https://api.braintrust.dev#",
                "https://api.braintrust .dev",
                "https://api..braintrust.dev",
                "https://*.braintrust.dev",
                "https://api\\.braintrust.dev",
                "https://[::zz]",
            )
        ),
        *(
            ("IMPERSONATE_USER", value, USER_ACCEPTED)
            for value in (
                "a@example.com\r\nX-Evil: 1",
                "łukasz@example.com",
                "é@example.com",
                "a b",
            )
        ),
        *(
            ("AUDIT_BUCKET", value, "the name of an S3 bucket")
            for value in ("s3://bucket", "arn:aws:s3:::bucket", "my bucket", "bucket/audit", "b")
        ),
        *(
            ("OPEN_STATUSES", value, STATUSES_ACCEPTED)
            for value in ("COMPLETE", "PENDING,APPROVED", "PENDING, REJECTED ,x", "COMPLETED,")
        ),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_what_it_is_and_what_is_accepted(
    name, value, accepted
):
    assert problems(LEAST | {name: value}) == [f"{name} is {value!r}: must be {accepted}"]


def test_all_wrong_settings_are_reported_at_once():
    with pytest.raises(ConfigurationError) as refused:
        load_settings(
            {"TAG": "x", "DAYS": "0", "LIMIT": "5000", "PROJECT_ID": "p", "AUDIT_BUCKET": " "}
        )
    assert str(refused.value) == (
        "6 wrong settings:\n"
        "- PROJECT_ID is 'p': must be a Braintrust project id (UUID)\n"
        "- DAYS is '0': must be an integer >= 1\n"
        "- LIMIT is '5000': must be an integer from 1 to 1000\n"
        "- REVIEWERS_PARAMETER is not set: must be the name of the SSM parameter with the reviewers\n"
        "- AUDIT_BUCKET is not set: must be the name of an S3 bucket\n"
        "- BRAINTRUST_API_KEY_SECRET_ID and BRAINTRUST_API_KEY_PARAMETER: set exactly one of them, 0 are set"
    )


def test_wrong_variables_and_wrong_event_fields_are_reported_together():
    assert problems(LEAST | {"LIMIT": "0"}, {"days": 0}) == [
        "event field days is 0: must be an integer >= 1",
        "LIMIT is '0': must be an integer from 1 to 1000",
    ]


def test_two_sources_for_the_key_are_refused():
    assert problems(LEAST | {"BRAINTRUST_API_KEY_PARAMETER": "/key"}) == [
        "BRAINTRUST_API_KEY_SECRET_ID and BRAINTRUST_API_KEY_PARAMETER: set exactly one of them, 2 are set"
    ]


KEY = "sk-0123456789abcdef"
KEY_FORMS = (
    KEY,
    "bt-st-0123456789abcdef",
    f" {KEY}\n",
    f"'{KEY}'",
    f'"{KEY}"',
    f"Bearer {KEY}",
    f"BRAINTRUST_API_KEY={KEY}",
    f"key:{KEY}",
    f'{{"BRAINTRUST_API_KEY": "{KEY}"}}',
    "/braintrust/sk-" + "0123456789abcdef" * 3,
)
NAMES_WITH_KEY_IN_THEM = (
    "prod/sk-braintrust",
    "braintrust-sk-key",
    "desk-key",
    "/sk-key",
    "arn:aws:secretsmanager:eu-central-1:123456789012:secret:sk-braintrust-AbCdEf",
)


@pytest.mark.parametrize("form", KEY_FORMS)
@pytest.mark.parametrize(
    "name",
    [
        "BRAINTRUST_API_KEY_SECRET_ID",
        "BRAINTRUST_API_KEY_PARAMETER",
        "REVIEWERS_PARAMETER",
        "IMPERSONATE_USER",
        "AUDIT_BUCKET",
        "AUDIT_PREFIX",
    ],
)
def test_a_key_in_place_of_a_name_is_refused_without_being_shown(name, form):
    least = {**LEAST, "BRAINTRUST_API_KEY_SECRET_ID": "" if "API_KEY" in name else "bt-key"}
    assert problems(least | {name: form}) == [
        f"{name} looks like a key itself: must be {RULES[name].accepted}"
    ]


@pytest.mark.parametrize("text", NAMES_WITH_KEY_IN_THEM)
def test_a_name_that_only_has_the_beginning_of_a_key_in_it_is_a_name(text):
    settings = load_settings(LEAST | {"BRAINTRUST_API_KEY_SECRET_ID": text})
    assert settings.braintrust_api_key_secret_id == text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("PROJECT_ID", "sk-0123456789abcdef", "looks like a key itself"),
        ("DAYS", "bt-st-0123456789abcdef", "looks like a key itself"),
        (
            "BRAINTRUST_API_URL",
            "https://me:hunter2@api.braintrust.dev",
            "'https:***api.braintrust.dev'",
        ),
        ("BRAINTRUST_API_URL", "https://:hunter2@api.braintrust.dev", "'https:***api"),
        ("BRAINTRUST_API_URL", "http://braintrust.dev/sk-0123456789abcdef", "braintrust.dev/***"),
    ],
)
def test_a_secret_that_landed_in_the_wrong_variable_is_masked(name, value, shown):
    (problem,) = problems(LEAST | {name: value})
    assert shown in problem
    assert "0123456789abcdef" not in problem
    assert "hunter2" not in problem


# Each setting is named once


def test_rules_variables_overrides_and_commands_are_the_fields_of_the_settings():
    names = {each.name for each in fields(Settings)}
    others = {"reviewers", "full_read_hour"}
    assert names == {name.lower() for name in RULES} | COMMANDS.keys() | CHOICE.keys() | others
    assert tuple(RULES) == VARIABLES
    assert OVERRIDES.keys() == {name.lower() for name, rule in RULES.items() if rule.in_event}


def test_every_default_passes_its_own_check_and_becomes_what_its_field_is_declared_as():
    settings = load_settings(LEAST)
    kinds = {each.name: each.type for each in fields(Settings)}
    for name, rule in RULES.items():
        assert name in LEAST or not rule.default or rule.check(rule.default), name
        declared = frozenset if kinds[name.lower()] == frozenset[str] else kinds[name.lower()]
        assert type(getattr(settings, name.lower())) is declared, name


# Status words


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", {"PENDING", "BACKLOG"}),
        ("PENDING", {"PENDING"}),
        ("IN_REVIEW", {"PENDING", "IN_REVIEW"}),
        (" PENDING ,, In Review , ", {"PENDING", "In Review"}),
        (",", {"PENDING"}),
        ("Backlog,backlog", {"PENDING", "Backlog", "backlog"}),
        ("approved", {"PENDING", "approved"}),
    ],
)
def test_open_statuses_are_compared_exactly_and_pending_is_always_one(given, words):
    assert load_settings(LEAST | {"OPEN_STATUSES": given}).open_statuses == words


# What cannot be used


@pytest.mark.parametrize("name", [*sorted({*VARIABLES} - {"TAG", "FILTER"})])
@pytest.mark.parametrize(
    ("character", "visible"),
    [
        ("\x00", "<U+0000>"),
        ("\x1b", "<U+001B>"),
        ("\u200b", "<U+200B>"),
        ("\ufeff", "<U+FEFF>"),
        ("\udc80", "<U+DC80>"),
    ],
)
def test_a_character_that_nobody_sees_is_refused_and_named_by_its_code_point(
    name, character, visible
):
    refused = problems(LEAST | {"BRAINTRUST_API_KEY_SECRET_ID": "key", name: f"a{character}b"})
    assert f"{name} is 'a{visible}b': must be {RULES[name].accepted}" in refused


@pytest.mark.parametrize("name", ["TAG", "FILTER"])
def test_text_that_cannot_be_written_down_is_refused_and_any_other_is_a_tag_or_a_filter(name):
    assert problems(LEAST | {name: "a\udc80"}) == [
        f"{name} is 'a<U+DC80>': must be {RULES[name].accepted}"
    ]
    load_settings(LEAST | {name: "a\n\t\u200b\x07é☃👩\u200d💻"})


HUGE = ["1" * 310, "9" * 5000, "+" + "0" * 5000 + "1" * 40]


@pytest.mark.parametrize("name", ["DAYS", "BATCH_SIZE", "MAX_PAGES", "MAX_ASSIGNMENTS"])
@pytest.mark.parametrize("number", HUGE)
def test_a_number_of_absurd_size_means_as_much_as_there_is(name, number):
    settings = load_settings(LEAST | {name: number})
    assert getattr(settings, name.lower()) == 999_999_999
    assert settings.days / 7 > 0
    build_query(settings, Window.before(utc_now(), settings.days))


@pytest.mark.parametrize(
    "name", ["LIMIT", "FULL_READ_HOURS", "INSERT_CONCURRENCY", "REQUEST_TIMEOUT"]
)
@pytest.mark.parametrize("number", HUGE)
def test_a_number_of_absurd_size_is_refused_where_there_is_a_bound(name, number):
    shown = f"'{number[:99]}..."
    assert problems(LEAST | {name: number}) == [
        f"{name} is {shown}: must be {RULES[name].accepted}"
    ]


def test_leading_zeros_and_a_sign_do_no_harm():
    assert load_settings(LEAST | {"DAYS": "0" * 5000 + "7", "LIMIT": "+010"}) == load_settings(
        LEAST | {"LIMIT": "10"}
    )


@given(st.sampled_from(VARIABLES), st.text(st.characters(exclude_categories=[])))
def test_whatever_stands_in_a_variable_is_taken_or_refused_by_name(name, text):
    try:
        load_settings(LEAST | {name: text})
    except ConfigurationError as refused:
        assert name in str(refused)  # noqa: PT017 - it need not be refused
        str(refused).encode()


@pytest.mark.parametrize("url", ["HTTPS://api.example.com", "https://api.example.com//v1//"])
def test_the_api_url_is_used_in_one_form(url):
    settings = load_settings(LEAST | {"BRAINTRUST_API_URL": url})
    assert settings.braintrust_api_url == "https://api.example.com"
