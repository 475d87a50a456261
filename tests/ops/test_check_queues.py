"""`make queues`: what is wrong with a file of queues, and what can hardly be meant, before it is stored."""

import json

import pytest

from ops import check_queues
from tests.world import QUEUES, TAG

STACK = "not-there-yet"
UNKNOWN = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
def check(world, tmp_path, monkeypatch, capsys):
    """Somebody with a key of their own, a stack's file, and people; what is said of some queues."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").symlink_to(
        check_queues.Path(check_queues.__file__).parents[1] / "template.yaml"
    )
    monkeypatch.setenv("AWS_ENDPOINT_URL", world.aws_url)
    monkeypatch.setenv("BRAINTRUST_API_KEY", world.braintrust.api_key)
    monkeypatch.setenv("BRAINTRUST_API_URL", world.braintrust.url)
    monkeypatch.setenv("COLUMNS", "200")
    given = {
        "ProjectId": world.braintrust.project_id,
        "Tag": TAG,
        "QueuesParameter": QUEUES,
        "ReviewersParameter": f"{QUEUES}/all",
    }
    (tmp_path / "ops/stacks").mkdir(parents=True)
    lines = "".join(f"  {name}: {value}\n" for name, value in given.items())
    (tmp_path / f"ops/stacks/{STACK}.yaml").write_text(f"region: r\nparameters:\n{lines}")
    world.add_users(2)
    world.set_parameter(f"{QUEUES}/all", world.users)

    def check(queues):
        text = queues if isinstance(queues, str) else json.dumps(queues)
        (tmp_path / "queues.json").write_text(text)
        code = check_queues.main([STACK, "queues.json"])
        said = capsys.readouterr()
        return code, said.out, said.err

    return check


def test_good_queues_are_listed_with_their_size_and_people(check, world):
    ana, _ = world.users
    for tag in ("de", "fr"):
        world.add_rows(1, tags=[tag])
    queues = [{"name": "de", "tag": "de", "reviewers": [ana]}, {"name": "fr", "tag": "fr"}]
    code, out, err = check(queues)
    assert (code, err) == (0, "")
    assert out.startswith(f"{len(json.dumps(queues))} bytes of 4,096\n\nQueue")
    assert "\nde, 1 people: user0@example.com\n" in out
    assert "\nfr, 2 people: user0@example.com, user1@example.com\n" in out
    assert out.endswith(f"Store them in {QUEUES}: the stack's output StoreQueuesCommand\n")
    assert "warning" not in out
    assert world.braintrust.requests.count("query") == 2  # of one row each


def test_what_the_function_would_refuse_is_named_whole(check):
    code, _, err = check([{"name": "de", "days": 0}, {"name": "De"}])
    assert code == 1
    assert err == (
        "error: 2 wrong settings:\n"
        "- field days of queue de is 0: must be an integer >= 1\n"
        "- field name of queue number 2 is 'De': must be up to 40 small letters, digits and hyphens, none at its ends\n"
    )


def test_each_queues_project_filter_and_people_are_tried(check):
    code, out, _ = check(
        [
            {"name": "de", "project_id": UNKNOWN},
            {"name": "fr", "tag": "fr", "filter": "metadata.x ="},
            {"name": "it", "tag": "it", "reviewers": [{"group": "Nobody's"}]},
            {"name": "es", "tag": "es", "reviewers_parameter": f"{QUEUES}/nowhere"},
        ]
    )
    assert code == 1
    assert f"queue de: BTQL query failed (403): verify that PROJECT_ID {UNKNOWN} exists" in out
    assert "queue fr: BTQL query failed (400): " in out
    assert "it, 0 people: nobody\n    warning: unknown reviewer left out: group Nobody's\n" in out
    assert "queue it: nobody on its list is known to the organisation\n" in out
    assert f"queue es: its list is not there: SSM parameter {QUEUES}/nowhere\n" in out
    assert "StoreQueuesCommand" not in out


@pytest.mark.parametrize(
    ("queues", "words"),
    [
        (
            [{"name": "de"}, {"name": "fr"}],
            "queues de and fr ask for the same rows: fr gets what de leaves",
        ),
        (
            [{"name": "all"}, {"name": "de", "filter": "metadata.language = 'de'"}],
            "queue all has no filter and comes before de, which asks for some of its rows: put de first, or",
        ),
        (
            [{"name": "rest", "filter": "metadata.language != 'de'"}],
            "the filter of queue rest has !=, which a row without that value does not meet: say where",
        ),
    ],
)
def test_what_can_hardly_be_meant_is_a_warning(check, queues, words):
    code, out, _ = check(queues)
    assert code == 0
    assert f"warning: {words}" in out


@pytest.mark.parametrize(
    "queues",
    [
        [{"name": "de", "filter": "metadata.language = 'de'"}, {"name": "all"}],
        [
            {"name": "de", "filter": "metadata.language = 'de'"},
            {"name": "rest", "filter": "metadata.language IS NULL OR metadata.language != 'de'"},
        ],
    ],
)
def test_filters_that_leave_every_row_a_home_are_none(check, world, queues):
    world.add_rows(1, metadata={"language": "de"})
    world.add_rows(1)
    assert "warning" not in check(queues)[1]


def test_a_queue_that_no_row_is_for_is_told(check, world):
    world.add_rows(1)
    code, out, _ = check(
        [{"name": "de", "filter": "created > now() + interval 1 day"}, {"name": "x"}]
    )
    assert code == 0
    assert (
        f"warning: no row of the last 7 days is asked for by queue de: is its tag {TAG!r} spelt as in Braintrust "
        "(letter by letter), and its filter meant so?\n"
    ) in out
    assert "by queue x" not in out


def test_one_person_with_two_time_zones_is_told(check, monkeypatch, world):
    (who, _) = world.users
    found = {"de": {who: {"UTC": "de", "Europe/Berlin": "fr"}}}
    monkeypatch.setattr(check_queues, "zones", lambda _: found["de"])
    assert (
        "warning: user0@example.com has two time zones: UTC in de, Europe/Berlin in fr"
        in check([{"name": "de"}])[1]
    )


def test_without_a_key_only_the_rules_are_tried(check, monkeypatch, world):
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    code, out, _ = check([{"name": "de"}])
    assert code == 0
    assert "With BRAINTRUST_API_KEY set to a key of your own" in out
    assert list(world.braintrust.requests) == []


@pytest.mark.parametrize(
    ("bytes_", "says"),
    [(4096, "4,096 bytes of 4,096\n"), (4097, "4,097 bytes of 8,192, in the advanced tier")],
)
def test_the_room_that_is_left_is_told(check, monkeypatch, bytes_, says):
    monkeypatch.delenv("BRAINTRUST_API_KEY")
    text = json.dumps([{"name": "de"}])
    assert check(text + " " * (bytes_ - len(text)))[1].startswith(says)


def test_more_than_a_parameter_holds_is_refused(check):
    code, _, err = check(json.dumps([{"name": "de"}]) + " " * 8192)
    assert code == 1
    assert "and a parameter holds 8,192: put lists of reviewers into parameters of their own" in err


def test_what_is_wrong_is_said_of_the_file_and_of_no_parameter(check):
    code, _, err = check("[{")
    assert code == 1
    assert err.startswith("error: 1 wrong setting:\n- queues.json is not valid JSON (")


def test_without_access_to_aws_the_stacks_file_says_what_queues_do_not(check, monkeypatch, world):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "nowhere")
    monkeypatch.setattr(check_queues.boto3, "DEFAULT_SESSION", None)
    ana, _ = world.users
    code, out, err = check([{"name": "de", "reviewers": [ana]}, {"name": "fr", "tag": "fr"}])
    assert code == 1
    assert err == (
        f"What queues do not say the stack could not be asked, and ops/stacks/{STACK}.yaml counts: "
        "No region: export AWS_REGION=... (the one that the stack is in)\n"
    )
    assert "\nde, 1 people: user0@example.com\n" in out
    assert (
        "\nqueue fr: its list cannot be read: No region: export AWS_REGION=... (the one that the stack is in)\n"
    ) in out


def test_where_neither_stack_nor_file_is_there_that_is_told(check, tmp_path):
    (tmp_path / f"ops/stacks/{STACK}.yaml").unlink()
    code, _, err = check([{"name": "de", "tag": "de"}])
    assert code == 1
    assert err.startswith(
        f"What queues do not say the stack could not be asked, and there is no ops/stacks/{STACK}.yaml either: no stack "
    )
    assert "\n- queue de has no project_id, and PROJECT_ID is not set\n" in err


@pytest.mark.usefixtures("check")
def test_a_file_that_is_not_there_is_told(capsys):
    assert check_queues.main([STACK, "nowhere.json"]) == 1
    assert "nowhere.json cannot be read: No such file" in capsys.readouterr().err
