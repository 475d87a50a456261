"""Contract section 4, the digest: a message and no run; whose names it says, and that nothing else says them."""

import json
import logging
import time
import traceback

import pytest

from lib.errors import AssignerError, ConfigurationError, DigestError, QueryError
from lib.settings import is_webhook, load_settings
from local.chat import PATH
from tests.history import APPROVED, HOUR, PENDING
from tests.world import ASSIGNMENTS, REVIEW_LISTS, TAG, WEBHOOK

DIGEST = {"digest": True}
PARAMETER = "the name of an SSM SecureString parameter (not the address itself), or empty"


def open_row(*people):
    return {"metadata": {ASSIGNMENTS: [*people], REVIEW_LISTS: PENDING}}


@pytest.fixture
def team(world):
    """Ana with 3 open rows, Ben with 1, Chen with none; 2 rows wait, 1 is finished."""
    store = world.braintrust.store
    ana = store.add_user("a.souza@example.com", given_name="Ana", user_id="a" * 8 + "-0" * 4)
    ben = store.add_user("ben@example.com", user_id="b" * 8 + "-0" * 4)
    chen = store.add_user("chen@example.com", given_name="Chen", user_id="c" * 8 + "-0" * 4)
    world.set_reviewers([{"email": "a.souza@example.com"}, {"email": "chen@example.com"}])
    world.add_rows(3, hours_ago=5, **open_row(ana))
    world.add_rows(1, hours_ago=2, **open_row(ben))
    world.add_rows(2)
    world.add_rows(1, metadata={ASSIGNMENTS: [ana], REVIEW_LISTS: APPROVED})
    return ana, ben, chen


# What is posted, and what comes back


def test_who_has_how_many_open_rows_is_posted(world, chat, team):
    ana, ben, chen = team
    before = world.braintrust.store.rows()
    result = world.run(DIGEST, request_id="r")
    assert chat.messages == [f"{TAG}: 4 open, 2 waiting for a reviewer\nAna: 3\nben: 1"]
    assert {name: value for name, value in result.items() if name != "duration_ms"} == {
        "run_id": result["run_id"],
        "status": "posted",
        "dry_run": False,
        "project_id": world.braintrust.project_id,
        "tag": TAG,
        "window": result["window"],
        "read": "full",
        "fetched": 7,
        "already_assigned": 5,
        "already_reviewed": 0,
        "unassigned": 2,
        "open": 4,
        "complete": True,
        "audit": {},
        "warnings": [],
        "people": {
            ana: {"open": 3, "reviewed": 1, "oldest_open_hours": 5.0},
            chen: {"open": 0, "reviewed": 0, "oldest_open_hours": None},
            ben: {"open": 1, "reviewed": 0, "oldest_open_hours": 2.0},
        },
    }
    assert world.braintrust.store.rows() == before
    assert (world.objects(), world.braintrust.requests.count("insert")) == ({}, 0)
    asked = world.braintrust.requests
    assert [asked.count(kind) for kind in ("query", "user")] == [2, 2]  # a page, and an empty one


def test_a_dry_run_posts_nothing_and_says_the_text_with_ids_in_place_of_names(world, chat, team):
    ana, ben, _ = team
    result = world.run(DIGEST | {"dry_run": True})
    assert (result["status"], result["text"]) == (
        "dry_run",
        f"{TAG}: 4 open, 2 waiting for a reviewer\n{ana}: 3\n{ben}: 1",
    )
    assert (chat.bodies, world.objects()) == ([], {})


def test_a_dry_run_needs_no_webhook(world):
    world.add_users(1)
    assert world.run(DIGEST | {"dry_run": True})["status"] == "dry_run"
    world.settings["DRY_RUN"] = "true"
    assert world.run(DIGEST)["status"] == "dry_run"


def test_where_nothing_is_open_and_nothing_waits_nothing_is_posted(world, chat):
    world.add_users(1)
    world.add_rows(2, metadata={REVIEW_LISTS: APPROVED})
    assert world.run(DIGEST)["status"] == "nothing_to_post"
    dry = world.run(DIGEST | {"dry_run": True})
    assert (dry["status"], dry["text"]) == ("dry_run", f"{TAG}: 0 open, 0 waiting for a reviewer")
    assert chat.bodies == []
    world.add_rows(1)
    assert world.run(DIGEST)["status"] == "posted"
    assert chat.messages == [f"{TAG}: 0 open, 1 waiting for a reviewer"]


def test_settings_may_stand_beside_it(world, chat):
    user, other = world.add_users(2)
    world.add_rows(1, tags=["german"], **open_row(user))
    world.add_rows(1, hours_ago=40, tags=["german"], **open_row(user))
    result = world.run(DIGEST | {"tag": "german", "days": 1, "reviewers": other})
    assert chat.messages == ["german: 1 open, 0 waiting for a reviewer\nuser0: 1"]
    assert result["people"].keys() == {user, other}


def test_where_not_every_row_was_seen_it_says_so(world, chat):
    (user,) = world.add_users(1)
    world.add_rows(5, **open_row(user))
    result = world.run(DIGEST | {"limit": 2, "max_pages": 2})
    assert chat.messages == [
        f"{TAG}: 4 open, 0 waiting for a reviewer\nNot every row was seen: there may be more.\nuser0: 4"
    ]
    assert (result["status"], result["complete"]) == ("posted", False)
    assert "people" not in result


def test_a_row_of_two_people_is_one_row_and_counts_for_both(world, chat):
    world.add_users(2)
    world.add_rows(1, **open_row(*world.users))
    world.run(DIGEST)
    assert chat.messages == [f"{TAG}: 1 open, 0 waiting for a reviewer\nuser0: 1\nuser1: 1"]


def test_the_part_of_an_address_before_its_sign_is_said_as_the_organisation_writes_it(world, chat):
    bo = world.braintrust.store.add_user("Bo.Li@Example.com")
    world.set_reviewers("bo.li@example.com")
    world.add_rows(1, **open_row(bo))
    world.run(DIGEST)
    assert chat.messages == [f"{TAG}: 1 open, 0 waiting for a reviewer\nBo.Li: 1"]


def test_a_key_that_may_not_list_users_says_ids(world, chat):
    (user,) = world.add_users(1)
    world.add_rows(1, **open_row(user))
    world.braintrust.faults.add("user", status=403, times=None)
    result = world.run(DIGEST)
    assert chat.messages == [f"{TAG}: 1 open, 0 waiting for a reviewer\n{user[:8]}: 1"]
    assert len(result["warnings"]) == 1


@pytest.mark.usefixtures("chat")
def test_everything_is_read_with_no_proof_and_no_plan_learns_of_it(history):
    world = history.world
    world.add_users(1)
    history.log("a", "b")
    history.run()
    history.wait(HOUR)
    before = world.objects()
    asked = world.overhear("query")
    result = history.run(DIGEST)
    assert (result["read"], result["people"][world.users[0]]["open"]) == ("full", 2)
    assert len({json.dumps(body["query"]["filter"]) for body in asked}) == 1  # no short read
    assert world.objects() == before
    history.wait(HOUR)
    assert history.run()["read"] == "short"  # as if there had been no digest


# What calls nobody


def test_a_first_name_and_a_tag_that_would_call_everybody_call_nobody(world, chat):
    user = world.braintrust.store.add_user("ana@example.com", given_name="<!channel>\n<@U1>")
    world.set_reviewers(user)
    world.add_rows(1, tags=["@here & <!everyone>"], **open_row(user))
    world.run(DIGEST | {"tag": "@here & <!everyone>"})
    assert chat.messages[0].splitlines() == [
        "\uff20here \uff06 \u2039!everyone\u203a: 1 open, 0 waiting for a reviewer",
        "\u2039!channel\u203a \u2039\uff20U1\u203a: 1",
    ]
    assert not [sign for sign in b"<>&@" if sign in chat.bodies[0]]


# What is refused


@pytest.mark.parametrize("value", [False, "true", 1, None, {}, "all"])
def test_only_true_asks_for_it(world, value):
    with pytest.raises(ConfigurationError) as refused:
        world.run({"digest": value})
    assert "event field digest is " in str(refused.value)
    assert str(refused.value).endswith(": must be true")


def test_it_is_a_command_like_any_other(world):
    run_id = "20261123T070000Z-a"
    with pytest.raises(ConfigurationError, match="digest and undo are commands"):
        world.run(DIGEST | {"undo": run_id})
    with pytest.raises(ConfigurationError, match="is an envelope of EventBridge with 'digest'"):
        world.run({"detail-type": "x", "source": "y"} | DIGEST)


def test_without_a_webhook_it_is_refused_with_everything_else_that_is_wrong(world):
    with pytest.raises(ConfigurationError) as refused:
        world.run(DIGEST | {"days": 0})
    assert str(refused.value).split("\n- ")[1:] == [
        "event field days is 0: must be an integer >= 1",
        "WEBHOOK_PARAMETER is not set: only a dry run of a digest needs no place to post it to",
    ]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "not an address",
        "http://hooks.example.com/RECOGNISE",
        "ftp://hooks.example.com/RECOGNISE",
        "https://",
        "https:///RECOGNISE",
        "hooks.example.com/RECOGNISE",
        "https://user:RECOGNISE@hooks.example.com/",
        "HTTPS://user:RECOGNISE@hooks.example.com/",
        "https://hooks.example.com/RECOGNISE#there",
        "https://hooks.example.com/REC OGNISE",
        "https://hooks.example.com/RECOGNISE\nhttps://hooks.example.com/RECOGNISE",
        "https://hooks.example.com:RECOGNISE/",
        "https://hooks.exämple.com/RECOGNISE",
        '{"url": "https://hooks.example.com/RECOGNISE"}',
    ],
)
def test_an_address_that_cannot_be_posted_to_is_refused_before_anything_is_read_and_not_shown(
    world, address, caplog
):
    world.add_users(1)
    world.set_webhook(address or " ")
    with pytest.raises(ConfigurationError) as refused:
        world.run(DIGEST)
    assert str(refused.value) == (
        f"WEBHOOK_PARAMETER: SSM parameter {WEBHOOK} holds no address to post to: must be one https:// address "
        "(http:// only for a loopback host or host.docker.internal)"
    )
    assert world.braintrust.requests.count("query") == 0
    assert "RECOGNISE" not in said_of(refused.value) + caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.slack.com/services/T0/B0/x",
        "https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t%3D",
        "https://mattermost.example.com:8443/hooks/x",
        "https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/c",
        "http://localhost:8065/hooks/x",
        "http://host.docker.internal/x",
    ],
)
def test_the_addresses_that_chats_give_are_taken(address):
    assert is_webhook(address)


@pytest.mark.parametrize(
    "name",
    [
        "https://hooks.example.com/RECOGNISE",
        "hooks.example.com/services/RECOGNISE",
        "//hooks.example.com/RECOGNISE",
        "hooks.example.com?key=RECOGNISE",
    ],
)
def test_the_address_itself_in_place_of_its_parameter_is_not_shown(world, name):
    with pytest.raises(ConfigurationError) as refused:
        load_settings(world.environ | {"WEBHOOK_PARAMETER": name})
    assert str(refused.value).endswith(
        f"WEBHOOK_PARAMETER looks like the secret itself: must be {PARAMETER}"
    )


def test_a_parameter_that_is_not_there_is_named(world):
    world.add_users(1)
    world.settings["WEBHOOK_PARAMETER"] = "/not/there"
    with pytest.raises(ConfigurationError, match="WEBHOOK_PARAMETER: SSM parameter /not/there"):
        world.run(DIGEST)


def test_other_runs_do_not_read_the_address(world):
    world.add_users(1)
    world.add_rows(1)
    world.settings["WEBHOOK_PARAMETER"] = "/not/there"
    assert world.run()["assigned"] == 1


@pytest.mark.usefixtures("team")
def test_what_braintrust_refuses_is_said_and_nothing_is_posted(world, chat):
    world.braintrust.faults.add("query", status=401, times=None)
    with pytest.raises(QueryError, match=r"BTQL query failed \(401\)"):
        world.run(DIGEST)
    assert chat.bodies == []


# What is said nowhere else


def said_of(error):
    """An error, what led to it, and what a traceback of it shows."""
    texts = []
    while error is not None:
        texts += [*traceback.format_exception(error), repr(error.args)]
        error = error.__cause__ or error.__context__
    return "".join(texts)


TRAPS = ("RECOGNISE", "Zacharias")
"""What is in the webhook's address, and in names and addresses of people."""


@pytest.fixture
def recognisable(world):
    """Everybody's name and address can be recognised, and entries that stand for nobody, too."""
    store = world.braintrust.store
    user = store.add_user(
        "zacharias@example.com", given_name="Zacharias", family_name="RECOGNISE-family"
    )
    world.set_reviewers(["zacharias@example.com", "RECOGNISE-ghost@example.com"])
    world.add_rows(2, **open_row(user))
    return user


@pytest.fixture
def told(caplog, capfd):
    """Everything that was said so far, on whatever way."""
    caplog.set_level(logging.DEBUG)
    return lambda: [*capfd.readouterr(), caplog.text]


@pytest.mark.usefixtures("recognisable")
@pytest.mark.parametrize("answer", [200, 302, 404, 429, 503, "silence"])
@pytest.mark.parametrize("dry", [False, True])
def test_names_and_addresses_are_in_that_message_only(world, chat, monkeypatch, told, answer, dry):
    monkeypatch.setattr("lib.webhook.LONGEST_ATTEMPT", 0.5)
    monkeypatch.setattr("lib.pauses.FIRST_PAUSE", 0.01)
    path = PATH + "/RECOGNISE"
    world.set_webhook(chat.address.replace(PATH, path))

    def take(_, body):
        chat.bodies.append(body)
        if answer == "silence":
            time.sleep(2)
        return 200 if answer == "silence" else answer

    chat.take = take
    said = []
    try:
        said.append(json.dumps(world.run(DIGEST | {"dry_run": dry})))
    except DigestError as error:
        said.append(said_of(error))
    said += [*told(), *world.objects().values()]
    assert [text for text in said if any(trap.lower() in text.lower() for trap in TRAPS)] == []
    posts = 0 if dry else 2 if answer in {429, 503} else 1
    lines = [json.loads(body)["text"].splitlines()[1] for body in chat.bodies]
    assert lines == ["Zacharias: 2"] * posts


@pytest.mark.usefixtures("chat", "recognisable")
def test_nobody_on_the_list_is_said_without_their_addresses(world):
    world.set_reviewers("RECOGNISE-ghost@example.com")
    with pytest.raises(ConfigurationError) as refused:
        world.run(DIGEST)
    assert "nobody in it is known to the organisation" in str(refused.value)
    assert "RECOGNISE" not in said_of(refused.value)


@pytest.mark.usefixtures("recognisable")
def test_a_defect_is_said_without_the_address(world, chat, monkeypatch, told):
    def broken(self, text, deadline):
        raise RuntimeError(f"{text} to {self._path} in {deadline}")

    monkeypatch.setattr("lib.webhook.Webhook.post", broken)
    world.set_webhook(chat.address + "/RECOGNISE")
    with pytest.raises(AssignerError, match="unexpected RuntimeError in lib") as failed:
        world.run(DIGEST)
    shown = "".join([*traceback.format_exception(failed.value), *told()])
    assert not [trap for trap in TRAPS if trap in shown]


def test_a_user_shows_nothing_but_the_id(world, recognisable):
    assert [repr(user) for user in world.connect().users()] == [f"User(id='{recognisable}')"]


# What it counts for


def metrics(out):
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line], [
        line["message"] for line in lines if "message" in line
    ]


@pytest.mark.usefixtures("chat", "team")
def test_it_counts_its_queries_and_for_nothing_else(world, capfd):
    world.run(DIGEST)
    emitted, said = metrics(capfd.readouterr().out)
    names = {name for line in emitted for name in line}
    assert names & {"RunSucceeded", "RunDuration", "RowsFetched"} == set()
    assert {"Queries", "Retries", "Throttles"} <= names
    assert "run finished" not in said


@pytest.mark.parametrize("event", [DIGEST, {"digest": "yes"}])
def test_one_that_failed_counts_for_no_run_either(world, event, capfd):
    with pytest.raises(ConfigurationError):
        world.run(event)
    emitted, _ = metrics(capfd.readouterr().out)
    assert emitted == []
