"""Contract section 2: the environment variables."""

import pytest

from lib.errors import ConfigurationError
from lib.settings import Settings, load_settings

PROJECT = "11111111-2222-3333-4444-555555555555"
LEAST = {
    "PROJECT_ID": PROJECT,
    "TAG": "needs review",
    "BRAINTRUST_API_KEY_SECRET_ID": "bt-key",
    "REVIEWERS_PARAMETER": "/reviewers",
    "AUDIT_BUCKET": "bucket",
}
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
        dry_run=False,
        request_timeout=120.0,
        insert_concurrency=8,
        braintrust_api_url="https://api.braintrust.dev",
        braintrust_api_key_secret_id="bt-key",
        braintrust_api_key_parameter="",
        reviewers_parameter="/reviewers",
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
        "DRY_RUN": "True",
        "REQUEST_TIMEOUT": "2.5",
        "INSERT_CONCURRENCY": "16",
        "BRAINTRUST_API_URL": "https://braintrust.example.com:8443/api",
        "BRAINTRUST_API_KEY_PARAMETER": "/braintrust/key",
        "REVIEWERS_PARAMETER": "/reviewers",
        "IMPERSONATE_USER": "lead@example.com",
        "AUDIT_BUCKET": "bucket",
        "AUDIT_PREFIX": "reviews/audit",
        "AWS_REGION": "eu-central-1",
    }
    assert load_settings(environ) == Settings(
        project_id=PROJECT.upper(),
        tag="""it's a "tag" \\ | ☃\n""",
        days=30,
        limit=1,
        batch_size=5000,
        max_pages=2,
        filter="scores.quality < 0.5 OR tags INCLUDES 'x'",
        max_assignments=12,
        dry_run=True,
        request_timeout=2.5,
        insert_concurrency=16,
        braintrust_api_url="https://braintrust.example.com:8443/api",
        braintrust_api_key_secret_id="",
        braintrust_api_key_parameter="/braintrust/key",
        reviewers_parameter="/reviewers",
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
        *(("DRY_RUN", value, "true or false") for value in ("yes", "1", "0", "tru")),
        *(
            ("REQUEST_TIMEOUT", value, "seconds, a number from 1 to 900")
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
            )
        ),
        ("IMPERSONATE_USER", "a@example.com\r\nX-Evil: 1", "a user id or e-mail address, or empty"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_what_it_is_and_what_is_accepted(
    name, value, accepted
):
    assert problems(LEAST | {name: value}) == [f"{name} is {value!r}: {accepted}"]


def test_all_wrong_settings_are_reported_at_once():
    with pytest.raises(ConfigurationError) as refused:
        load_settings(
            {"TAG": "x", "DAYS": "0", "LIMIT": "5000", "PROJECT_ID": "p", "AUDIT_BUCKET": " "}
        )
    assert str(refused.value) == (
        "6 wrong settings:\n"
        "- PROJECT_ID is 'p': a Braintrust project id (UUID)\n"
        "- DAYS is '0': an integer >= 1\n"
        "- LIMIT is '5000': an integer from 1 to 1000\n"
        "- REVIEWERS_PARAMETER is not set: the name of the SSM parameter with the reviewers\n"
        "- AUDIT_BUCKET is not set: the name of an S3 bucket\n"
        "- BRAINTRUST_API_KEY_SECRET_ID and BRAINTRUST_API_KEY_PARAMETER: set exactly one of them, 0 are set"
    )


def test_wrong_variables_and_wrong_event_fields_are_reported_together():
    assert problems(LEAST | {"LIMIT": "0"}, {"days": 0}) == [
        "event field days is 0: an integer >= 1",
        "LIMIT is '0': an integer from 1 to 1000",
    ]


def test_two_sources_for_the_key_are_refused():
    assert problems(LEAST | {"BRAINTRUST_API_KEY_PARAMETER": "/key"}) == [
        "BRAINTRUST_API_KEY_SECRET_ID and BRAINTRUST_API_KEY_PARAMETER: set exactly one of them, 2 are set"
    ]


@pytest.mark.parametrize("key", ["sk-0123456789abcdef", "bt-st-0123456789abcdef"])
@pytest.mark.parametrize("name", ["BRAINTRUST_API_KEY_SECRET_ID", "BRAINTRUST_API_KEY_PARAMETER"])
def test_a_key_in_place_of_the_name_of_its_secret_is_refused_without_being_shown(name, key):
    environ = {
        variable: value
        for variable, value in LEAST.items()
        if variable != "BRAINTRUST_API_KEY_SECRET_ID"
    }
    assert problems(environ | {name: key}) == [
        f"{name} looks like a key itself: give the name of the secret or parameter that holds it"
    ]


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("PROJECT_ID", "sk-0123456789abcdef", "***"),
        ("DAYS", "bt-st-0123456789abcdef", "'***"),
        (
            "BRAINTRUST_API_URL",
            "https://me:hunter2@api.braintrust.dev",
            "'https:***api.braintrust.dev'",
        ),
        ("BRAINTRUST_API_URL", "http://api.braintrust.dev/?k=sk-0123456789abcdef", "?k=***"),
    ],
)
def test_a_secret_that_landed_in_the_wrong_variable_is_masked(name, value, shown):
    (problem,) = problems(LEAST | {name: value})
    assert shown in problem
    assert "0123456789abcdef" not in problem
    assert "hunter2" not in problem
