"""`make digest`: the function is asked, and a dry one is printed with the names that the operator's own key may see."""

import io
import json

import boto3
import pytest

from lib.roster import User
from local.chat import Chat
from ops import stack as script
from ops.tell import main, named
from tests.world import ASSIGNMENTS, TAG

ANA, BEN = "a0000000-0000-4000-8000-00000000000a", "b0000000-0000-4000-8000-00000000000b"


@pytest.fixture
def deployed_world(world, monkeypatch, tmp_path):
    """A stack whose function is the product, with two people who have rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(script, "outputs", lambda _: {"FunctionName": "f"})

    class PlayedLambda:
        def invoke(self, **call):
            try:
                answer = {
                    "Payload": io.BytesIO(
                        json.dumps(world.run(json.loads(call["Payload"]))).encode()
                    )
                }
            except Exception as error:  # noqa: BLE001 - as Lambda has it
                said = {"errorType": type(error).__name__, "errorMessage": str(error)}
                answer = {
                    "FunctionError": "Unhandled",
                    "Payload": io.BytesIO(json.dumps(said).encode()),
                }
            return answer

    real = boto3.client
    monkeypatch.setattr(
        boto3,
        "client",
        lambda name, **how: PlayedLambda() if name == "lambda" else real(name, **how),
    )
    monkeypatch.delenv("BRAINTRUST_API_KEY", raising=False)
    monkeypatch.setenv("BRAINTRUST_API_URL", world.braintrust.url)
    for user, name in ((ANA, "Ana"), (BEN, None)):
        world.braintrust.store.add_user(f"{user[0]}@example.com", user_id=user, given_name=name)
        world.add_rows(1, metadata={ASSIGNMENTS: [user]})
    world.add_rows(1, metadata={ASSIGNMENTS: [BEN]})
    world.set_reviewers([ANA, BEN])
    return world


def printed(capsys):
    """What the command itself printed: the function's own log lines go to the same place here."""
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith('{"')]


def test_it_is_posted(deployed_world, capsys):
    with Chat() as chat:
        deployed_world.set_webhook(chat.address)
        assert main(["s"]) == 0
    assert chat.messages == [f"{TAG}: 3 open, 0 waiting for a reviewer\nb: 2\nAna: 1"]
    assert '  "status": "posted",' in printed(capsys)


def test_a_dry_one_is_printed_with_the_names_that_the_operators_key_may_see(
    deployed_world, monkeypatch, capsys
):
    monkeypatch.setenv("BRAINTRUST_API_KEY", deployed_world.braintrust.api_key)
    assert main(["s", "--dry-run"]) == 0
    assert printed(capsys) == [f"{TAG}: 3 open, 0 waiting for a reviewer", "b: 2", "Ana: 1"]


@pytest.mark.parametrize(
    ("key", "status", "why"),
    [
        ("", 200, "set BRAINTRUST_API_KEY to a key of yours that may list users"),
        ("sk-x", 403, "your key may not list users (403)"),
        (
            "sk-wrong",
            401,
            (
                "user look-up failed (401): check that the API key is correct and has not expired; keys "
                "of organisations in the EU need BRAINTRUST_API_URL https://api-eu.braintrust.dev"
            ),
        ),
    ],
)
def test_without_names_there_are_ids_and_the_reason(
    deployed_world, monkeypatch, capsys, key, status, why
):
    monkeypatch.setenv("BRAINTRUST_API_KEY", key)
    if status == 403:  # the function's own two requests pass
        deployed_world.braintrust.faults.add("user", status=403, after=2, times=None)
    assert main(["s", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert f"\n{BEN}: 2\n{ANA}: 1\n" in out
    assert err == f"Ids in place of names: {why}\n"


def test_the_stacks_own_braintrust_is_asked_where_the_terminal_names_none(
    deployed_world, monkeypatch, tmp_path, capsys
):
    monkeypatch.delenv("BRAINTRUST_API_URL")
    monkeypatch.setenv("BRAINTRUST_API_KEY", deployed_world.braintrust.api_key)
    (tmp_path / "ops/stacks").mkdir(parents=True)
    (tmp_path / "ops/stacks/s.yaml").write_text(
        f"region: eu-central-1\nparameters:\n  BraintrustApiUrl: {deployed_world.braintrust.url}\n"
    )
    assert main(["s", "--dry-run"]) == 0
    assert printed(capsys)[-1] == "Ana: 1"


def test_a_digest_that_failed_is_said(deployed_world, capsys):
    assert main(["s"]) == 1
    assert "ConfigurationError: 1 wrong setting:\n- WEBHOOK_PARAMETER" in capsys.readouterr().err
    assert deployed_world.objects() == {}


def test_only_whole_ids_of_known_people_are_replaced():
    text = f"{ANA}: 3 open, 1 waiting for a reviewer\nNot every row was seen.\n{BEN}: 2\nand 3 more"
    assert named(text, [User(BEN, "", "Ben")]) == text.replace(BEN, "Ben")


def test_a_stack_that_is_not_there_is_named(world, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    with pytest.raises(SystemExit, match=r"^no stack nowhere in region"):
        main(["nowhere", "--dry-run"])
