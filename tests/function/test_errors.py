"""Contract section 5: what a run that could not do its work says."""

import pytest

import lib.errors
from lib.errors import (
    AssignerError,
    AssignmentError,
    AuditError,
    ConfigurationError,
    DigestError,
    QueryError,
    QueuesError,
)
from tests.world import REVIEWERS, SECRET, TAG

EXPIRED = (
    "check that the API key is correct and has not expired; keys of organisations in the EU need "
    "BRAINTRUST_API_URL https://api-eu.braintrust.dev"
)


def refusal(world, kind=AssignerError, event=None, **how) -> str:
    """The message of a run that must fail, assigning nothing."""
    with pytest.raises(kind) as refused:
        world.run(event, **how)
    assert world.assignments() == {}
    return str(refused.value)


def project(world) -> str:
    return (
        f"verify that PROJECT_ID {world.braintrust.project_id} exists and that the key may read it"
    )


def test_all_errors_have_one_base_and_only_these_five_kinds_are_raised():
    kinds = {
        error
        for error in vars(lib.errors).values()
        if isinstance(error, type) and issubclass(error, Exception) and error is not AssignerError
    }
    assert kinds == {
        ConfigurationError,
        QueryError,
        AssignmentError,
        AuditError,
        DigestError,
        QueuesError,
    }
    assert all(issubclass(kind, AssignerError) for kind in kinds)


@pytest.fixture
def ready(world):
    world.add_users(2)
    world.add_rows(2)
    return world


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_wrong_key_is_told_to_be_checked(ready, style):
    ready.braintrust.options.unauthorized_style = style
    ready.client("secretsmanager").create_secret(Name=f"wrong-{style}", SecretString="sk-wrong")
    ready.settings["BRAINTRUST_API_KEY_SECRET_ID"] = f"wrong-{style}"
    assert refusal(ready, QueryError) == f"BTQL query failed (401): {EXPIRED}"


def test_an_unknown_project_is_told_to_be_verified(ready):
    unknown = "99999999-9999-4999-8999-999999999999"
    assert refusal(ready, QueryError, {"project_id": unknown}) == (
        f"BTQL query failed (403): verify that PROJECT_ID {unknown} exists and that the key may read it"
    )


@pytest.mark.parametrize("status", [403, 404])
def test_both_statuses_of_an_unknown_project_say_the_same(ready, status):
    ready.braintrust.faults.add("query", status=status)
    assert refusal(ready, QueryError) == f"BTQL query failed ({status}): {project(ready)}"


def test_any_other_refusal_of_a_query_is_passed_on_in_braintrusts_words(ready):
    assert refusal(ready, QueryError, {"filter": "this is ( no expression"}).startswith(
        "BTQL query failed (400): "
    )


def test_a_refusal_on_a_later_page_is_an_error_too(ready):
    ready.braintrust.faults.add("query", status=401, after=1)
    assert refusal(ready, QueryError, {"limit": 1}) == f"BTQL query failed (401): {EXPIRED}"


@pytest.mark.parametrize("status", [401, 404])
def test_the_look_up_of_reviewers_says_what_to_do_too(ready, status):
    ready.braintrust.faults.add("user", status=status)
    advice = {401: EXPIRED, 404: project(ready)}[status]
    assert refusal(ready, QueryError) == f"user look-up failed ({status}): {advice}"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_insert_says_what_to_do_too(ready, status):
    ready.braintrust.faults.add("insert", status=status, times=None)
    advice = EXPIRED if status == 401 else project(ready)
    assert refusal(ready, AssignmentError).startswith(
        f"2 of 2 planned rows could not be written, the first because: insert failed ({status}): {advice}. See s3://"
    )


def test_time_that_runs_out_before_the_first_page_is_a_query_error(ready):
    ready.braintrust.faults.add("query", hang=True, times=None)
    assert refusal(ready, QueryError, seconds=1).startswith("BTQL query failed (no answer): ")


def test_a_server_that_fails_until_the_time_is_up_is_a_query_error_with_its_last_answer(ready):
    ready.braintrust.faults.add("query", status=503, message="Down for maintenance", times=None)
    assert refusal(ready, QueryError, seconds=2) == "BTQL query failed (503): Down for maintenance"


@pytest.mark.parametrize("text", [" ", "[]", ",\n"])
def test_an_empty_list_of_reviewers_names_the_parameter(ready, text):
    ready.set_reviewers(text)
    assert refusal(ready, ConfigurationError) == (
        f"no reviewers: add at least one reviewer id to SSM parameter {REVIEWERS}"
    )
    assert len(ready.braintrust.requests) == 0


def test_an_empty_list_in_the_event_names_the_event(ready):
    assert refusal(ready, ConfigurationError, {"reviewers": []}) == (
        "no reviewers: add at least one reviewer id to event field reviewers"
    )


def test_a_list_that_stands_for_nobody_names_the_parameter_and_the_unknown(ready):
    ready.set_reviewers("ghost@example.com")
    assert refusal(ready, ConfigurationError) == (
        f"no reviewers: add at least one reviewer id to SSM parameter {REVIEWERS}; "
        "nobody in it is known to the organisation (email ghost@example.com)"
    )
    assert ready.objects() == {}


def test_a_bad_list_of_reviewers_names_the_parameter(ready):
    ready.set_reviewers('[{"group": "a", "weight": 0}]')
    assert refusal(ready, ConfigurationError) == (
        f'SSM parameter {REVIEWERS}: weight in {{"group": "a", "weight": 0}} must be a number > 0, from 0.001 to 1000'
    )


def test_a_parameter_that_does_not_exist_is_named(ready):
    ready.settings["REVIEWERS_PARAMETER"] = "/no/such"
    assert refusal(ready, ConfigurationError) == (
        "REVIEWERS_PARAMETER: SSM parameter /no/such cannot be read (ParameterNotFound): "
        "check that it exists in this region and that the function may read it"
    )


def test_a_secret_that_does_not_exist_is_named(ready):
    ready.settings["BRAINTRUST_API_KEY_SECRET_ID"] = "no-such"
    assert refusal(ready, ConfigurationError) == (
        "BRAINTRUST_API_KEY_SECRET_ID: secret no-such cannot be read (ResourceNotFoundException): "
        "check that it exists in this region and that the function may read it"
    )


def test_a_key_parameter_that_does_not_exist_is_named(ready):
    ready.settings |= {
        "BRAINTRUST_API_KEY_SECRET_ID": "",
        "BRAINTRUST_API_KEY_PARAMETER": "/no/key",
    }
    assert refusal(ready, ConfigurationError) == (
        "BRAINTRUST_API_KEY_PARAMETER: SSM parameter /no/key cannot be read (ParameterNotFound): "
        "check that it exists in this region and that the function may read it"
    )


@pytest.mark.parametrize(
    ("number", "secret", "problem"),
    [
        (1, " \n", "holds no usable API key: one line of plain characters, such as sk-..."),
        (
            2,
            "sk-hidden1 sk-hidden2",
            "holds no usable API key: one line of plain characters, such as sk-...",
        ),
        (
            3,
            "sk-hidden1\nsk-hidden2",
            "holds no usable API key: one line of plain characters, such as sk-...",
        ),
        (4, "sk-hiddené", "holds no usable API key: one line of plain characters, such as sk-..."),
        (5, '{"API_KEY": "sk-hidden"}', 'holds JSON without the text field "BRAINTRUST_API_KEY"'),
        (
            6,
            '{"BRAINTRUST_API_KEY": ["sk-hidden"]}',
            'holds JSON without the text field "BRAINTRUST_API_KEY"',
        ),
        (
            7,
            '{"BRAINTRUST_API_KEY": "sk-hidden"',
            'holds JSON without the text field "BRAINTRUST_API_KEY"',
        ),
        (
            8,
            '{"BRAINTRUST_API_KEY": ""}',
            "holds no usable API key: one line of plain characters, such as sk-...",
        ),
    ],
)
def test_a_secret_without_a_usable_key_is_refused_without_being_shown(
    ready, number, secret, problem
):
    name = f"odd-{number}"
    ready.client("secretsmanager").create_secret(Name=name, SecretString=secret)
    ready.settings["BRAINTRUST_API_KEY_SECRET_ID"] = name
    assert refusal(ready, ConfigurationError) == f"BRAINTRUST_API_KEY_SECRET_ID {name} {problem}"
    assert len(ready.braintrust.requests) == 0


def test_a_secret_may_be_the_key_or_json_and_text_or_bytes_or_a_secure_string(ready):
    key = ready.braintrust.api_key
    secrets = ready.client("secretsmanager")
    as_json = f'{{"BRAINTRUST_API_KEY": "{key}", "other": 1}}'
    secrets.create_secret(Name="as-json", SecretString=as_json)
    secrets.create_secret(Name="with-newline", SecretString=f"{key}\n")
    secrets.create_secret(Name="as-bytes", SecretBinary=as_json.encode())
    ready.client("ssm").put_parameter(Name="/key", Value=key, Type="SecureString")
    for name in (SECRET, "as-json", "with-newline", "as-bytes"):
        ready.settings["BRAINTRUST_API_KEY_SECRET_ID"] = name
        assert ready.run({"dry_run": True})["fetched"] == 2
    ready.settings |= {"BRAINTRUST_API_KEY_SECRET_ID": "", "BRAINTRUST_API_KEY_PARAMETER": "/key"}
    assert ready.run({"dry_run": True})["fetched"] == 2


def test_reviewers_may_be_a_string_list(ready):
    ready.client("ssm").put_parameter(
        Name="/list", Value=",".join(ready.users), Type="StringList", Overwrite=True
    )
    ready.settings["REVIEWERS_PARAMETER"] = "/list"
    assert ready.run({"dry_run": True})["per_reviewer"] == dict.fromkeys(ready.users, 1)


def test_wrong_settings_are_refused_before_anything_is_asked(ready):
    ready.settings |= {"DAYS": "0", "LIMIT": "0"}
    assert refusal(ready, ConfigurationError, {"tag": ""}) == (
        "3 wrong settings:\n"
        "- event field tag is '': must be a tag, any text that is not empty\n"
        "- DAYS is '0': must be an integer >= 1\n"
        "- LIMIT is '0': must be an integer from 1 to 1000"
    )
    assert len(ready.braintrust.requests) == 0


def test_what_nobody_expects_is_an_error_that_says_its_kind_and_place_and_not_its_words(ready):
    def broken() -> None:
        raise RuntimeError(TAG)

    with pytest.raises(
        AssignerError, match=r"^unexpected RuntimeError in lib\.load:\d+: a defect$"
    ):
        ready.run(now=broken)
