"""What the machine has of its own, kept from the tests: a person's shell is set up for other work than theirs."""

import os
import re
import tempfile

CALLER = dict(os.environ)
"""The environment that the tests were started in: an index of packages or a proxy is found in it."""

FOREIGN = re.compile(
    r"(AWS|POWERTOOLS|BRAINTRUST|SAM|GIT|PIP|XDG)_\w+|_X_AMZN_\w+|LOG_LEVEL"  # others' programs
    r"|(https?|all|no)_proxy|\w*_CA_BUNDLE|SSL_CERT_\w+|NETRC|CURL_HOME"  # where requests go
    r"|MAKE\w*|MFLAGS|STACK|ARCH|ARGS|EVENT|RUN_ID|WORKERS|CDPATH|(BASH_)?ENV"  # make, shells
    r"|PYTHON(HOME|SAFEPATH|OPTIMIZE|WARNINGS)|COLUMNS|LINES|(NO|FORCE)_COLOR|AUDIT_STRICT",
    re.IGNORECASE,
)
_home = tempfile.TemporaryDirectory(prefix="home-")


def forget(*settings: str) -> None:
    """Leave neither what steers other programs nor `settings`, and a home without configuration files in it."""
    for name in list(os.environ):
        if name in settings or FOREIGN.fullmatch(name):
            del os.environ[name]
    os.environ["HOME"] = _home.name
