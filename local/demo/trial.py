"""`make run` against a real Braintrust: the handler, where the variables for it are set.

They are BRAINTRUST_API_KEY, PROJECT_ID, TAG and REVIEWERS. A dry run, unless DRY_RUN is false.
`--undo RUN_ID` takes back what such a run assigned; dry likewise. Only AWS is local; every other
variable of the function is honoured.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from lib.errors import AssignerError
from lib.settings import VARIABLES, Settings, load_settings
from local.aws import LocalAws, forget_real_aws
from local.demo.ending import LOG, Ending, in_words, tell
from local.demo.stop import Stop
from local.function import Function
from local.keep import InUseError, Keep
from local.screen import Screen
from ops import own_key
from ops.tags import tags_instead

ASKING = ("PROJECT_ID", "TAG", "REVIEWERS")  # a key alone may be there for other programs
NEEDED = ("BRAINTRUST_API_KEY", *ASKING)
AUDIT = Path(".local/audit-trial")


def main(screen: Screen, undo: str | None = None) -> int:
    """One run, or the undo of one, readably.

    1 if it could not do its work, 128 and more if it was stopped.
    """
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        screen.say(
            f"error: {listed(missing)} must be set too, for a dry run against a real Braintrust. "
            "A project's id is on its settings page in Braintrust. "
            f"To see everything run on this machine instead, set none of {listed(ASKING)}.",
            "red",
        )
        return 1
    try:
        with Keep(AUDIT) as keep, Stop(lambda: keep.put_last("plans") is not None) as stop:
            exit_code = tell(screen, run(screen, undo, keep, stop))
            if stop.again:  # threads still wait for answers
                os._exit(exit_code)
            return exit_code
    except InUseError as error:
        screen.say(f"error: {error}", "red")
    except OSError as error:
        screen.say(f"error: {AUDIT} cannot be written ({error.strerror})", "red")
    return 1


def run(screen: Screen, undo: str | None, keep: Keep, stop: Stop) -> Ending:
    """The run itself, whatever becomes of it.

    Its plan is on the disk before anything is assigned.
    """
    api_key, reviewers = os.environ["BRAINTRUST_API_KEY"], os.environ["REVIEWERS"]
    wanted = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    forget_real_aws()
    ending = Ending(keep, stop)
    try:
        with LocalAws() as aws:
            aws.prepare(api_key, reviewers)
            aws.keep_in(keep)
            variables = {"DRY_RUN": "true", **wanted, **aws.variables}
            variables.pop("BRAINTRUST_API_KEY_PARAMETER", None)
            if undo and variables["DRY_RUN"] != "false":  # as `make undo` understands it
                variables["DRY_RUN"] = "true"
            settings = load_settings(variables)
            reach(settings.braintrust_api_url)
            announce(screen, settings, undo)
            function = Function(variables, LOG, stop.remaining_ms)
            with screen.console.status(
                "Reading the rows; each page of 1,000 takes a second or so ..."
            ):
                ending.result = function.invoke({"undo": undo} if undo else {})
    except (AssignerError, UnreachableError, OSError) as error:
        ending.problem = in_words(error)
        if isinstance(error, OSError):
            ending.problem = f"{error.filename or LOG} cannot be written ({error.strerror})"
        if keep.refused:
            ending.problem = f"{AUDIT} cannot be written ({keep.refused.strerror})"
    except KeyboardInterrupt:
        pass  # said with the rest
    finally:
        stop.over()
    if ending.result and not stop.signal:
        ending.names = names(settings)
        if nothing_found(ending.result):
            url = settings.braintrust_api_url
            ending.instead = tags_instead(settings.project_id, settings.tag, url=url)
    return ending


def nothing_found(result: Mapping[str, Any]) -> bool:
    """Everything was read, and no row carries the tag."""
    return result["fetched"] == 0 and result["read"] == "full" and "undoes" not in result


def listed(names: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


class UnreachableError(Exception):
    """Raised when nothing answers at the API's address.

    The function itself would try for a quarter of an hour.
    """


def reach(url: str) -> None:
    """Raise UnreachableError unless something answers."""
    try:
        requests.head(url, timeout=10, allow_redirects=False)
    except requests.exceptions.InvalidSchema as error:  # what a SOCKS proxy comes to
        raise UnreachableError(
            f"{url} cannot be asked through this terminal's proxy ({error}): name an HTTP proxy in "
            "HTTPS_PROXY and unset ALL_PROXY"
        ) from error
    except requests.RequestException as error:
        raise UnreachableError(
            f"{url} does not answer ({type(error).__name__}): check BRAINTRUST_API_URL and the "
            "network"
        ) from error


def announce(screen: Screen, settings: Settings, undo: str | None) -> None:
    screen.fact("Braintrust", settings.braintrust_api_url)
    screen.fact("Project", settings.project_id)
    if undo:
        screen.whole("Undo of", undo)
    else:
        screen.fact("Rows", f'tagged "{settings.tag}", of the last {settings.days} days')
    if settings.dry_run:
        screen.fact(
            "Dry run",
            "nothing is written to Braintrust; "
            + ("DRY_RUN=false would undo" if undo else "DRY_RUN=false would assign"),
        )
    elif undo:
        screen.fact(
            "DRY_RUN=false",
            "what this run assigned IS taken back, as far as nobody has changed it since",
        )
    else:
        screen.fact(
            "DRY_RUN=false",
            "rows ARE assigned. The plan is kept on this machine only, so a deployed function "
            "would not know of it: let none run on this project meanwhile",
        )
    screen.say()


def names(settings: Settings) -> dict[str, str]:
    """Names by user id, as far as the key may see them."""
    try:
        with own_key.asking(settings.braintrust_api_url) as client:
            return own_key.people(client)
    except own_key.NoAnswerError:
        return {}
